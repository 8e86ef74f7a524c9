"""The commands that write the raw folder: `fetch` and `import`."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

import click

from etf_rotation.cli.options import Acting, Process, raw_root_option
from etf_rotation.fetch.sources import CHECKS, TOKEN
from etf_rotation.fetch.update import SOURCES

FETCH_EPILOG = """Exit codes: 0 all complete, 1 some are not (the rest is written), 2 no start.

\b
Environment:
  ETF_RAW_ROOT            the folder above ETF/daily (default: raw in the project)
  TUSHARE_TOKEN           token of a Tushare account, which makes Tushare the
                          default source
  ETF_FETCH_SOURCE        the source of funds without a file; if it is set,
                          cron_daily.sh fetches before it runs
  ETF_FETCH_CHECK         used if --check is not given
  ETF_FETCH_AFTER         when vendors have the bars of the day, HH:MM in
                          Shanghai (17:30)
  ETF_FETCH_SPACING       seconds between two requests to one host (each vendor's own)
  ETF_FETCH_TIMEOUT       seconds to wait for an answer (20)
  ETF_TUSHARE_URL, ETF_EASTMONEY_URL, ETF_SSE_URL, ETF_SZSE_URL
                          another address of a vendor, such as your proxy
  ETF_LANGUAGE            en or zh
"""
IMPORT_EPILOG = """Exit codes: 0 all imported, 1 some rejected (the rest is written), 2 nothing.

\b
Environment:
  ETF_RAW_ROOT            the folder above ETF/daily (default: raw in the project)
  ETF_LANGUAGE            en or zh
"""


def take_token(environment: MutableMapping[str, str]) -> str:
    """Remove the token from the environment, so that later code cannot leak it."""
    return environment.pop(TOKEN, "").strip()


@click.command(cls=Acting, epilog=FETCH_EPILOG)
@raw_root_option
@click.option(
    "--source",
    type=click.Choice(sorted(SOURCES)),
    help="Where bars come from (default: each file's own source; for a new file tushare with a "
    "token, else eastmoney).",
)
@click.option(
    "--check",
    type=click.Choice(CHECKS),
    help="Compare new rows with the exchange's (default: none).",
)
@click.option("--symbols", help="Comma-separated funds to fetch (default: all).")
@click.option("--to", metavar="YYYY-MM-DD", help="The last session to fetch.")
@click.option("--full", is_flag=True, help="Fetch the whole history, not just the last month.")
@click.option(
    "--accept-restatement",
    metavar="SYMBOL,...|all",
    help="Accept the changed history of these funds, and write it.",
)
@click.option("--dry-run", is_flag=True, help="Fetch, compare and report, but write nothing.")
@click.option(
    "--status", is_flag=True, help="Show the state of the raw folder, without any request."
)
@click.pass_obj
def fetch(
    own: Process,
    /,
    *,
    raw_root: str | None,
    source: str | None,
    check: str | None,
    symbols: str | None,
    to: str | None,
    full: bool,
    accept_restatement: str | None,
    dry_run: bool,
    status: bool,
) -> int:
    """Fetch the bars of every fund up to the last completed session."""
    # Not imported above: the calendar takes half a second, and only `fetch` needs it.
    from etf_rotation.fetch import command  # noqa: PLC0415

    if status:
        return command.status(raw_root, os.environ)
    wish = command.Wish(
        raw_root=raw_root,
        source=source,
        check=check,
        symbols=symbols,
        to=to,
        full=full,
        dry_run=dry_run,
        accept_restatement=accept_restatement,
    )
    return command.fetch(wish, os.environ, own.token)


@click.command("import", cls=Acting, epilog=IMPORT_EPILOG)
@raw_root_option
@click.option("--dry-run", is_flag=True, help="Show the result of the import, but write nothing.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
def import_(*, raw_root: str | None, dry_run: bool, files: tuple[str, ...]) -> int:
    """Import CSV and parquet files from other programs into the raw folder.

    FILE is an export of AkShare, Tushare, TDX or an exchange: parquet, or CSV or text
    in UTF-8 or GB18030.
    """
    from etf_rotation.importing.command import import_files  # noqa: PLC0415

    return import_files(files, os.environ, raw_root=raw_root, is_dry=dry_run)
