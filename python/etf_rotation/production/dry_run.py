"""The input of a run, read and checked as in the run itself, without a build."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow.compute as pc

from etf_rotation.errors import InputError
from etf_rotation.marts import holdings
from etf_rotation.production.settings import Settings, setting
from etf_rotation.staging import raw_files, raw_rows, seed_checks

DATES = ("backtest_start", "holdout_start")


@dataclass(frozen=True)
class Input:
    """The raw data of a build: files, rows, funds, and the first and the last date."""

    files: int
    rows: int
    funds: frozenset[str]
    first_date: dt.date
    last_date: dt.date


def read_input(settings: Settings, environment: Mapping[str, str]) -> Input:
    """Read the raw rows of the build's funds, up to `as_of`.

    Raises
    ------
    InputError
        An error that would stop the run: an unreadable file, a contradictory seed, an
        invalid date, or no row up to `as_of`.
    """
    for name in DATES:
        if value := setting(name, settings.dbt_vars, environment):
            _check_date(name, value)
    funds = _seed(settings.project, "etf_pools")
    selected = {name.strip() for name in settings.dbt_vars.get("pools", "").split(",")} - {""}
    rows = [[row[field] for field in seed_checks.FIELDS] for row in funds]
    takes_all = setting("universe", settings.dbt_vars, environment) == "all"
    universe = seed_checks.Universe.of_seed(rows, selected, takes_all=takes_all)
    files = raw_files.inspect_files(settings.raw_root, universe)
    with duckdb.connect() as connection:
        as_of = settings.dbt_vars.get("as_of")
        raw = raw_rows.read_rows(connection, files, universe, as_of)
        rows, first, last = raw.aggregate("count(*), min(trade_date), max(trade_date)").fetchall()[
            0
        ]
        known = frozenset(symbol for (symbol,) in raw.unique("raw_symbol").fetchall()) - {None}
    return Input(pc.sum(files["is_read"]).as_py(), rows, known, first, last)


def check_holdings(settings: Settings, environment: Mapping[str, str], found: Input) -> str:
    """Read the holdings file, if one is set, and return its path.

    Raises
    ------
    InputError
        An error that would stop the run: an unreadable file or an invalid line.
    """
    path = setting("holdings_file", settings.dbt_vars, environment)
    if not path:
        return ""
    pool_of = {row["symbol"]: row["pool"] for row in _seed(settings.project, "etf_pools")}
    holdings.read(str(path), pool_of=pool_of, pools=set(pool_of.values()), priced=found.funds)
    return str(path)


def _check_date(name: str, value: object) -> None:
    try:
        dt.date.fromisoformat(str(value))
    except ValueError:
        raise InputError(f"{name} is {value!r}, which must be a date YYYY-MM-DD") from None


def _seed(project: Path, name: str) -> list[dict[str, str]]:
    with (project / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
