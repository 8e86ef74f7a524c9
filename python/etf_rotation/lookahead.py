"""Proof, by rebuilding, that nothing sees the future.

A build from raw rows up to a date D must equal the full build bit for bit: panel,
scores and target weights up to the session after D, all other tables up to D.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from etf_rotation import dbt_project
from etf_rotation.sql import attach, sql_text

# Published tables with a trade_date, and their keys beside it.
UP_TO_NEXT_SESSION = {
    "signals.factor_panel": ("pool", "symbol"),
    "signals.scores": ("pool", "symbol"),
    # Rankings of all models in models/strategies, including the user's own.
    "signals.int_rankings": ("ranking", "pool", "symbol"),
    "signals.target_weights": ("strategy", "pool", "tranche", "symbol"),
    "signals.selection_log": ("strategy", "pool", "tranche", "symbol"),
}
UP_TO_AS_OF = {
    "staging.trading_calendar": (),
    "staging.stg_etf_daily": ("pool", "symbol"),
    "staging.suspensions": ("pool", "symbol"),
    "staging.quarantine": ("source_file", "source_row"),
    "backtest.rebalances": ("strategy", "pool", "tranche", "symbol"),
    "backtest.trades": ("strategy", "pool", "sequence"),
    "backtest.rejected_orders": ("strategy", "pool", "sequence"),
    "backtest.positions_daily": ("strategy", "pool", "symbol"),
    "backtest.equity_daily": ("strategy", "pool"),
    "backtest.tranches_daily": ("strategy", "pool", "tranche"),
    "backtest.benchmark_daily": ("strategy", "pool"),
    "backtest.excess_attribution": ("strategy", "pool"),
    "backtest.rolling_metrics": ("strategy", "pool"),
}
# Published tables about the whole span of the data or its last session. They change
# with as_of, so they are compared only between builds of the same sessions.
OF_THE_SAME_SESSIONS = {
    "signals.factor_summary": ("pool", "factor_id"),
    "backtest.metrics": ("strategy", "pool"),
    "backtest.monthly_returns": ("strategy", "pool", "month"),
    "backtest.drawdowns": ("strategy", "pool", "rank"),
    "backtest.extreme_months": (
        "strategy",
        "pool",
        "kind",
        "rank",
        "component_type",
        "component",
    ),
    "backtest.metrics_by_period": ("strategy", "pool", "period"),
    "backtest.evidence": ("strategy", "pool", "period"),
    "backtest.rebalance_luck": ("strategy", "pool", "offset"),
    "backtest.rebalance_luck_summary": ("strategy", "pool"),
    "backtest.common_growth": ("strategy", "pool", "trade_date"),
    "backtest.strategy_comparison": ("strategy", "pool"),
    "backtest.excess_by_month": ("strategy", "pool", "month"),
    "backtest.return_statistics": ("strategy", "pool", "curve"),
    "backtest.return_distribution": ("strategy", "pool", "frequency", "step"),
    "backtest.trading_by_period": ("strategy", "pool", "period"),
    "backtest.round_trips": ("strategy", "pool", "symbol", "trip"),
    "backtest.round_trip_summary": ("strategy", "pool"),
    "capacity.capacity_checks": (
        "pool",
        "trade_date",
        "kind",
        "tranche",
        "check_name",
        "subject",
    ),
    "capacity.pool_capacity": ("pool",),
    "capacity.capacity_curve": ("pool", "capital_cny"),
    "marts.holdings": ("pool", "symbol"),
    "marts.pool_metrics_summary": ("strategy", "pool"),
    "marts.next_session_orders": ("pool", "sequence", "symbol"),
}

LAYERS = ("staging", "factors", "signals", "backtest", "capacity", "marts")


@dataclass(frozen=True)
class Difference:
    """The first row in which a column differs between a full and a truncated build."""

    as_of: dt.date
    table: str
    column: str
    trade_date: dt.date | None
    key: str

    def __str__(self) -> str:
        """Name table, column, date and row."""
        where = f"{self.trade_date or ''} {self.key}".strip()
        return f"as_of {self.as_of}: {self.table}.{self.column} differs first at {where}"


def compare(
    full: Path, part: Path, *, as_of: dt.date = dt.date.max, pools: Sequence[str] = ()
) -> list[Difference]:
    """Compare a full build with a build from part of its input, bit for bit.

    Parameters
    ----------
    full, part : Path
        DuckDB files of the two builds.
    as_of : datetime.date
        The last date that the partial build saw.
    pools : sequence of str
        The pools of the partial build; all of them when empty.

    Returns
    -------
    list of Difference
        One per table and column that differs; empty if no number depends on later data.
    """
    differences = []
    with duckdb.connect() as connection:
        attach(connection, full, "whole")
        attach(connection, part, "cut")
        ((horizon,),) = connection.execute(
            "select min(trade_date) from whole.staging.trading_calendar where trade_date > ?",
            [as_of],
        ).fetchall()
        tables = {table: (horizon or as_of, keys) for table, keys in UP_TO_NEXT_SESSION.items()}
        tables |= {table: (as_of, keys) for table, keys in UP_TO_AS_OF.items()}
        if as_of == dt.date.max:
            tables |= {table: (None, keys) for table, keys in OF_THE_SAME_SESSIONS.items()}
        for table, (last, keys) in tables.items():
            if pools and table == "staging.trading_calendar":
                continue
            rows = "true"
            if last is not None:
                # A row without a date belongs to no truncated build; compare it only
                # without a cut.
                rows = f"coalesce(trade_date <= '{last}', {as_of == dt.date.max})"
                keys = ("trade_date", *keys)  # noqa: PLW2901
            if pools:
                rows += f" and pool in ({', '.join(sql_text(pool) for pool in pools)})"
            # Quoted, because `offset` is a keyword of SQL.
            order = ", ".join(f'"{key}"' for key in keys)
            whole, cut = (
                connection.sql(
                    f"select * from {build}.{table} where {rows} order by {order}"
                ).to_arrow_table()
                for build in ("whole", "cut")
            )
            differences += _differences(table, keys, whole, cut, as_of)
    return differences


def _differences(
    table: str, keys: tuple[str, ...], whole: pa.Table, cut: pa.Table, as_of: dt.date
) -> list[Difference]:
    if whole.column_names != cut.column_names:
        return [Difference(as_of, table, "columns", None, "")]
    if not whole.select(keys).equals(cut.select(keys)):
        rows = min(len(whole), len(cut))
        unequal = np.zeros(rows, dtype=bool)
        for name in keys:
            unequal |= ~_same_bits(whole[name][:rows], cut[name][:rows])
        row = int(np.argmax(unequal)) if unequal.any() else rows
        longer = whole if len(whole) > row else cut
        return [_difference(as_of, table, "rows", longer, keys, row)]
    found = []
    for name in whole.column_names:
        same = _same_bits(whole[name], cut[name])
        if not same.all():
            found.append(_difference(as_of, table, name, whole, keys, int(np.argmin(same))))
    return found


def _difference(
    as_of: dt.date, table: str, column: str, rows: pa.Table, keys: tuple[str, ...], row: int
) -> Difference:
    values = {name: rows[name][row].as_py() for name in keys}
    trade_date = values.pop("trade_date", None)
    return Difference(as_of, table, column, trade_date, " ".join(map(str, values.values())))


def _same_bits(left: pa.ChunkedArray, right: pa.ChunkedArray) -> np.ndarray:
    """Return whether each pair is null on both sides or equal in bits, bool (rows,)."""
    if not pa.types.is_floating(left.type):
        return np.array(
            [a == b for a, b in zip(left.to_pylist(), right.to_pylist(), strict=True)], dtype=bool
        )
    nulls = [side.is_null().to_numpy() for side in (left, right)]
    bits = [side.fill_null(0.0).to_numpy().view(np.int64) for side in (left, right)]
    return (nulls[0] == nulls[1]) & (bits[0] == bits[1])


def telling_dates(database: Path) -> list[dt.date]:
    """Choose, from the full build, truncation dates that would expose look-ahead.

    Returns
    -------
    list of datetime.date
        The last rebalance session of a live strategy in the first two thirds of the
        data, and the session before it; the session before the latest split or
        consolidation; and the last session of the fund that ended first. If no fund
        ended, the last is replaced by the first session of the fund listed last.
    """
    with duckdb.connect(str(database), read_only=True) as connection:
        rows = connection.execute(
            """
            with bars as (
                select
                    *,
                    adj / lag(adj) over (partition by symbol order by trade_date) as link,
                    lag(trade_date) over (partition by symbol order by trade_date) as previous
                from staging.stg_etf_daily
            ),
            spans as (
                select min(trade_date) as first, max(trade_date) as last from bars
            ),
            funds as (
                select symbol, min(trade_date) as listed, max(trade_date) as ended
                from bars group by symbol
            )
            select unnest([max(trade_date), max(as_of_date)])
            from (
                from signals.target_weights
                semi join backtest.int_live_strategies using (strategy, pool)
            ), spans
            where trade_date <= first + ((last - first) * 2 // 3)::integer
            union all
            select max(previous) from bars where link not between 0.85 and 1.15
            union all
            select coalesce(min(ended) filter (where ended < spans.last), max(listed))
            from funds, spans
            """
        ).fetchall()
    return sorted({date for (date,) in rows if date is not None})


def build(
    folder: Path,
    raw_root: str,
    as_of: dt.date | None = None,
    *,
    project: Path = dbt_project.PROJECT,
    **variables: str,
) -> Path:
    """Build the tables to compare into a new database below `folder`; return its path.

    Parameters
    ----------
    folder : Path
        Created by the build.
    raw_root : str
        Folder above ETF/daily, absolute.
    as_of : datetime.date, optional
        Raw rows after this date are not read. Only the tables are built that `compare`
        reads with such a date.
    project : Path
        The dbt project's folder.
    **variables : str
        More environment variables for the build, such as ETF_POOLS.

    Raises
    ------
    RuntimeError
        If the build fails.
    """
    folder.mkdir(parents=True)
    database = folder / "etf_rotation.duckdb"
    # The builds of a proof share dbt's parse result, which is good for one path alone.
    building = folder.parent / "building" / database.name
    building.parent.mkdir(exist_ok=True)
    dated = (table.partition(".")[2] for table in (*UP_TO_NEXT_SESSION, *UP_TO_AS_OF))
    models = dated if as_of else (f"path:models/{layer}" for layer in LAYERS)
    result = dbt_project.invoke(
        ["--quiet", "build", "--resource-type", "model", "--resource-type", "seed"]
        + ["--select", *(f"+{model}" for model in models)],
        database=building,
        folder=folder.parent,
        project=project,
        variables={"ETF_RAW_ROOT": raw_root, "ETF_AS_OF": as_of.isoformat() if as_of else ""}
        | variables,
    )
    if not result.success:
        raise RuntimeError(f"the build as of {as_of or 'the last row'} failed, see above")
    building.rename(database)
    return database


def prove(raw_root: str, dates: Sequence[dt.date], folder: Path) -> list[Difference]:
    """Build in full and cut at each date; print progress; return all differences."""
    started = time.monotonic()
    full = build(folder / "full", raw_root)
    print(f"full build: {time.monotonic() - started:.0f} s", flush=True)
    differences = []
    for as_of in dates or telling_dates(full):
        started = time.monotonic()
        cut = build(folder / as_of.isoformat(), raw_root, as_of)
        found = compare(full, cut, as_of=as_of)
        verdict = "the same bits" if not found else f"{len(found)} columns differ"
        print(f"as of {as_of}: {verdict}, {time.monotonic() - started:.0f} s", flush=True)
        differences += found
    return differences
