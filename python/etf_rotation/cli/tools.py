"""The commands that need no production run: `report`, `export`, `sample`, `lookahead`."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path

import click

from etf_rotation.cli.options import Acting
from etf_rotation.dbt_project import PROJECT
from etf_rotation.production.run import PASSED
from etf_rotation.texts import LANGUAGES


@click.command(cls=Acting, epilog="Exit codes: 0 written, 2 could not be written.")
@click.argument("database", type=click.Path(path_type=Path))
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--language", type=click.Choice(LANGUAGES), default=LANGUAGES[0], show_default=True)
def report(*, database: Path, path: Path, language: str) -> int:
    """Write the report page of the build in DATABASE to PATH."""
    from etf_rotation.report.page import write_report  # noqa: PLC0415

    write_report(database, path, language=language)
    return PASSED


@click.command(cls=Acting, epilog="Exit codes: 0 written, 2 could not be written.")
@click.argument("database", type=click.Path(path_type=Path))
@click.argument("path", type=click.Path(path_type=Path))
def export(*, database: Path, path: Path) -> int:
    """Compute the panel of all funds in DATABASE into the parquet file PATH.

    The command computes the factors from the bars, so DATABASE needs nothing else:
    'dbt build --select +stg_etf_daily +trading_calendar' builds enough.
    """
    from etf_rotation.production.panel_file import export as write  # noqa: PLC0415

    write(database, path)
    return PASSED


@click.command(cls=Acting, epilog="Exit codes: 0 written, 2 could not be written.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--pools-csv",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=PROJECT / "seeds" / "etf_pools.csv",
    help="The seed etf_pools (default: the project's).",
)
@click.option(
    "--last-session",
    metavar="YYYY-MM-DD",
    type=click.DateTime(["%Y-%m-%d"]),
    default="2024-12-31",
    show_default=True,
    help="The last date of the sample.",
)
@click.option(
    "--sessions", type=int, default=1500, show_default=True, help="The number of sessions."
)
def sample(*, folder: Path, pools_csv: Path, last_session: dt.datetime, sessions: int) -> int:
    """Write a synthetic sample of daily bars to FOLDER, in the raw layout.

    The sample replaces an older one in FOLDER. Its prices are not market prices. The
    docstring of python/etf_rotation/sample_prices.py lists its suspensions, splits and
    limits.
    """
    from etf_rotation.sample import summary, write_sample  # noqa: PLC0415

    write_sample(
        folder,
        pools_csv=pools_csv,
        last_session=f"{last_session:%Y-%m-%d}",
        sessions=sessions,
    )
    print(summary(folder))
    return PASSED


@click.command(
    epilog="Exit codes: 0 nothing sees the future, 1 something does, 2 it could not be tested."
)
@click.argument("raw_root", type=click.Path(path_type=Path))
@click.argument("dates", metavar="[YYYY-MM-DD]...", nargs=-1, type=click.DateTime(["%Y-%m-%d"]))
def lookahead(*, raw_root: Path, dates: tuple[dt.datetime, ...]) -> int:
    """Prove by truncated rebuilds that nothing sees the future.

    RAW_ROOT is the folder above ETF/daily. The command rebuilds as of each given date,
    or as of dates that it chooses. Every table must equal the full build bit for bit.
    """
    from etf_rotation.lookahead import prove  # noqa: PLC0415

    days = [date.date() for date in dates]
    with tempfile.TemporaryDirectory() as folder:
        differences = prove(str(raw_root.resolve()), days, Path(folder))
    for difference in differences:
        print(difference)
    return 1 if differences else PASSED
