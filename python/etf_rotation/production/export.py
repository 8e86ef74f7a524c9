"""Write the files of the output tree from a finished database.

Numbers are written as numbers, dates as ISO text, unknown values as null.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import re
from pathlib import Path

import duckdb

from etf_rotation.errors import InputError
from etf_rotation.production import panel_file
from etf_rotation.signals.factor_summary import KEYS
from etf_rotation.sql import sql_text
from etf_rotation.staging.raw_files import MARKER
from etf_rotation.staging.seed_checks import POOL

# Text that a spreadsheet runs as a formula when it opens a CSV file.
FORMULA = r"^[=+\-@\t\r]"
SYNTHETIC_NOTE = "Synthetic data, not market data.\n"
PUBLISHED_SCHEMAS = (
    "staging",
    "factors",
    "signals",
    "strategies",
    "backtest",
    "capacity",
    "gate",
    "marts",
    "research",
)

# A pool's files describe its live strategy.
LIVE = "(select strategy from backtest.int_live_strategies where pool = ?)"

IS_SORTED = """
    select count(*) = 0
    from (
        select
            symbol,
            trade_date,
            lag(symbol) over () as previous_symbol,
            lag(trade_date) over () as previous_date
        from ({panel})
    )
    where symbol < previous_symbol or (symbol = previous_symbol and trade_date <= previous_date)
"""


def write_all(connection: duckdb.DuckDBPyConnection, folder: Path, *, is_synthetic: bool) -> None:
    """Export the database: one folder per pool, and the table of the pools.

    Parameters
    ----------
    connection : DuckDBPyConnection
        The finished database, opened read-only.
    folder : Path
        Existing folder; receives `panel_{POOL}/…` and `pool_metrics_summary.csv`.
    is_synthetic : bool
        If true, every file is labeled as synthetic, and a marker file is written beside
        them.
    """
    if is_synthetic:
        (folder / MARKER).write_text(SYNTHETIC_NOTE, encoding="utf-8")
    for pool in pools(connection):
        _write_pool(connection, pool, folder / f"panel_{pool}", is_synthetic)
    if has(connection, "marts.pool_metrics_summary"):
        table = (
            "select * from marts.pool_metrics_summary "
            "order by is_live desc, strategy, pool = 'PORTFOLIO', pool"
        )
        _write_csv(connection, table, folder / "pool_metrics_summary.csv", is_synthetic)


def pools(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the pools that have a panel."""
    rows = connection.execute("select distinct pool from signals.factor_panel order by pool")
    return [row[0] for row in rows.fetchall()]


def has(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Return whether the database has `schema.table`."""
    query = (
        "select count(*) from information_schema.tables where table_schema || '.' || table_name = ?"
    )
    return connection.execute(query, [table]).fetchall()[0][0] > 0


def records(connection: duckdb.DuckDBPyConnection, query: str, values: list | None = None) -> list:
    """Return the rows of a query as dicts that JSON can hold."""
    cursor = connection.execute(query, values or [])
    names = [column[0] for column in cursor.description]
    return [
        {name: _plain(value) for name, value in zip(names, row, strict=True)}
        for row in cursor.fetchall()
    ]


def _plain(value: object) -> object:
    if isinstance(value, (dt.date, dt.datetime)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(path: Path, content: object) -> None:
    """Write one JSON document."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def row_counts(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Return row counts by `schema.table`, without internal relations."""
    rows = connection.execute(
        "select table_schema || '.' || table_name from information_schema.tables "
        "where list_contains(?, table_schema) and not starts_with(table_name, 'int_') order by 1",
        [list(PUBLISHED_SCHEMAS)],
    )
    names = [row[0] for row in rows.fetchall()]
    return {
        name: connection.execute(f"select count(*) from {name}").fetchall()[0][0] for name in names
    }


def _write_pool(
    connection: duckdb.DuckDBPyConnection, pool: str, folder: Path, is_synthetic: bool
) -> None:
    """Write a pool's tables that exist; partial runs and MARKET lack some."""
    if not re.fullmatch(POOL, pool):
        raise InputError(f"the pool's name {pool!r} cannot be the name of a folder")
    folder.mkdir()
    own = {"pool": pool, "is_synthetic": is_synthetic}
    of_pool = f"where pool = {sql_text(pool)}"
    if has(connection, "signals.factor_summary"):
        _write_panel(connection, own, of_pool, folder)
    if has(connection, "backtest.metrics"):
        metrics = records(
            connection, f"select * from backtest.metrics {of_pool} and strategy = {LIVE}", [pool]
        )
        if metrics:
            results = folder / "backtest_results.parquet"
            _write_parquet(connection, _results(pool), results, is_synthetic)
            write_json(folder / "backtest_metrics.json", metrics[0] | own)
    if has(connection, "capacity.capacity_checks"):
        report = {
            table: records(connection, f"select * from capacity.{table} {of_pool} order by all")
            for table in ("pool_capacity", "capacity_checks")
        }
        if any(report.values()):
            write_json(folder / "capacity_constraints_report.json", own | report)


def _write_panel(
    connection: duckdb.DuckDBPyConnection, own: dict, of_pool: str, folder: Path
) -> None:
    facts = records(
        connection,
        "select count(*) as rows, count(distinct symbol) as symbols, "
        "min(trade_date) as first_date, max(trade_date) as last_date "
        f"from signals.factor_panel {of_pool}",
    )[0]
    span = f"{facts['first_date']}_{facts['last_date']}".replace("-", "")
    panel = f"select * from signals.factor_panel {of_pool}"
    # Sorted only if needed: a sort would hold the whole panel in memory.
    if not connection.execute(IS_SORTED.format(panel=panel)).fetchall()[0][0]:
        panel += " order by symbol, trade_date"
    is_synthetic = own["is_synthetic"]
    panel_file.write(connection, panel, folder / f"panel_FULL_{span}.parquet", _label(is_synthetic))
    columns = [row[0] for row in connection.execute("describe signals.factor_panel").fetchall()]
    factors = [column for column in columns if column not in KEYS]
    summary = (
        f"select * from signals.factor_summary {of_pool} "
        f"order by list_position([{', '.join(map(sql_text, factors))}], factor_id)"
    )
    _write_csv(connection, summary, folder / f"factor_summary_{span}.csv", is_synthetic)
    rows = connection.execute(f"select factor_id from ({summary}) where is_production").fetchall()
    text = "".join(f"{row[0]}\n" for row in rows)
    (folder / "production_factors.txt").write_text(text, encoding="utf-8")
    facts |= {"factors": len(factors), "production_factors": len(rows), "columns": columns}
    write_json(folder / "panel_meta.json", run_metadata(connection) | own | facts)


def run_metadata(connection: duckdb.DuckDBPyConnection) -> dict:
    """Return the build's metadata (`gate.run_metadata`), empty if it was not built."""
    if not has(connection, "gate.run_metadata"):
        return {}
    return records(connection, "select * from gate.run_metadata")[0]


def _results(pool: str) -> str:
    """Return the query for one row per session; positions are a list, maybe empty."""
    own = f"pool = {sql_text(pool)} and strategy = {LIVE.replace('?', sql_text(pool))}"
    return f"""
        select
            equity.trade_date,
            equity.equity,
            equity.cash,
            equity.holdings_value,
            equity.daily_return,
            equity.drawdown,
            coalesce(held.positions, []) as positions
        from backtest.equity_daily as equity
        left join (
            select
                trade_date,
                list(
                    {{symbol: symbol, shares: shares, close: close, market_value: market_value,
                    weight: weight}} order by symbol
                ) as positions
            from backtest.positions_daily
            where {own}
            group by trade_date
        ) as held
            on equity.trade_date = held.trade_date
        where {own}
        order by equity.trade_date"""


def _write_parquet(
    connection: duckdb.DuckDBPyConnection, query: str, path: Path, is_synthetic: bool
) -> None:
    ((key, value),) = _label(is_synthetic).items()
    connection.execute(
        f"copy ({query}) to {sql_text(path)} (format parquet, compression lz4_raw, "
        f"kv_metadata {{'{key}': '{value}'}})"
    )


def _label(is_synthetic: bool) -> dict[str, str]:
    """Return the metadata of every parquet file."""
    return {"etf_rotation.synthetic": str(is_synthetic).lower()}


def _write_csv(
    connection: duckdb.DuckDBPyConnection, query: str, path: Path, is_synthetic: bool
) -> None:
    labeled = f"select *, {str(is_synthetic).lower()} as is_synthetic from ({query})"
    columns = connection.execute(f"describe {labeled}").fetchall()
    cells = [
        f"case when regexp_matches({name}, {sql_text(FORMULA)})"
        f" then chr(39) || {name} else {name} end as {name}"
        for name in (f'"{column}"' for column, kind, *_ in columns if kind == "VARCHAR")
    ]
    safe = f"replace ({', '.join(cells)})" if cells else ""
    connection.execute(
        f"copy (select * {safe} from ({labeled})) to {sql_text(path)} (format csv, header)"
    )


def csv_cell(value: object) -> object:
    """Return a value as a CSV cell; text that a spreadsheet would run is escaped."""
    is_formula = isinstance(value, str) and re.match(FORMULA, value)
    return f"'{value}" if is_formula else value
