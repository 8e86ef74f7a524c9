"""`fetch` and its options on the command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import MutableMapping

from etf_rotation.fetch.sources import CHECKS, TOKEN
from etf_rotation.fetch.update import SOURCES

SUMMARY = "Fetch the bars of every fund up to the last completed session."
IMPORT_SUMMARY = "Import CSV and parquet files from other programs into the raw folder."
IMPORT_EPILOG = """exit codes: 0 every file, 1 some were refused (the rest is written), 2 nothing

environment:
  ETF_RAW_ROOT            the folder above ETF/daily (default: raw in the project)
  ETF_LANGUAGE            en or zh
"""
EPILOG = """exit codes: 0 all there, 1 some not (the rest is written), 2 could not begin

environment:
  ETF_RAW_ROOT            the folder above ETF/daily (default: raw in the project)
  TUSHARE_TOKEN           token of a Tushare account; with it Tushare is the default source
  ETF_FETCH_SOURCE        the source of funds without a file; with it cron_daily.sh fetches
  ETF_FETCH_CHECK         where --check is not given
  ETF_FETCH_AFTER         when the vendors have the day, HH:MM in Shanghai (17:30)
  ETF_FETCH_SPACING       seconds between two requests to one host (each vendor's own)
  ETF_FETCH_TIMEOUT       seconds to wait for an answer (20)
  ETF_TUSHARE_URL, ETF_EASTMONEY_URL, ETF_SSE_URL, ETF_SZSE_URL
                          another address of a vendor, such as your proxy
  ETF_LANGUAGE            en or zh
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `fetch` to its parser."""
    parser.add_argument("--raw-root", help="the folder above ETF/daily")
    parser.add_argument(
        "--source",
        choices=sorted(SOURCES),
        help="where bars come from (default: each file's own source; for a new one tushare with a "
        "token, else eastmoney)",
    )
    parser.add_argument(
        "--check",
        choices=CHECKS,
        help="compare new rows with the exchange's own (default: none)",
    )
    parser.add_argument("--symbols", help="these funds only, separated by commas")
    parser.add_argument("--to", metavar="YYYY-MM-DD", help="nothing after this session")
    parser.add_argument(
        "--full", action="store_true", help="ask for the whole history again, not the last month"
    )
    parser.add_argument(
        "--accept-restatement",
        metavar="SYMBOL,...|all",
        help="write the history that the vendor now gives otherwise",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="ask, compare and report, but write nothing"
    )
    parser.add_argument("--status", action="store_true", help="show what is there, and ask nobody")


def take_token(environment: MutableMapping[str, str]) -> str:
    """Remove the token from the environment and return it: what runs later never has it."""
    return environment.pop(TOKEN, "").strip()


def fetch(given: argparse.Namespace, token: str) -> int:
    """Fetch, or show the status."""
    # The calendar takes half a second to import: only who fetches pays for it.
    from etf_rotation.fetch import command  # noqa: PLC0415

    if given.status:
        return command.status(given.raw_root, os.environ)
    wish = command.Wish(
        raw_root=given.raw_root,
        source=given.source,
        check=given.check,
        symbols=given.symbols,
        to=given.to,
        full=given.full,
        dry_run=given.dry_run,
        accept_restatement=given.accept_restatement,
    )
    return command.fetch(wish, os.environ, token)


def add_import_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `import` to its parser."""
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        help="CSV or text in UTF-8 or GB18030, or parquet; of AkShare, Tushare, TDX, an exchange",
    )
    parser.add_argument("--raw-root", help="the folder above ETF/daily")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be imported, and write nothing"
    )


def import_(given: argparse.Namespace) -> int:
    """Import files."""
    from etf_rotation.importing.command import import_files  # noqa: PLC0415

    return import_files(given.files, os.environ, raw_root=given.raw_root, is_dry=given.dry_run)
