"""A finished build, and the settings of a strategy that a sweep varies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from etf_rotation.backtest.records import Parameters
from etf_rotation.dbt_project import project_vars
from etf_rotation.errors import InputError
from etf_rotation.signals.selection import Rules

BY_SCORE = "rank_by_score"  # the only ranking whose factors can be varied
NEEDED = (
    "factor_catalog",
    "int_backtest__bars",
    "int_backtest__benchmark",
    "int_backtest__endings",
    "int_backtest__parameters",
    "int_backtest__sessions",
    "int_bars__lagged",
    "int_funds",
    "int_rankings",
    "int_scored_factors",
    "int_strategies",
    "metrics",
    "equity_daily",
    "raw_files",
    "run_settings",
    "trading_calendar",
)


class Variant(NamedTuple):
    """The settings that a sweep varies; all others come from the build."""

    factors: tuple[str, ...]  # scored factors, sorted; empty if not ranked by score
    top_n: int | None
    keep_rank: float
    weighting: str
    redistribute: bool
    rebalance: str
    rebalance_offset: int
    tranches: int
    min_weight_change: float
    slippage_bps: float
    commission_bps: float


@dataclass(frozen=True)
class Build:
    """A finished build, with the strategy and pool to sweep."""

    database: Path
    strategy: str
    pool: str
    is_live: bool
    ranking: str
    volatility_window: int
    live_top_n: int | None
    variables: Mapping[str, Any]
    scored: tuple[str, ...]
    rules: Rules
    parameters: Parameters
    variant: Variant  # the settings of the build's own backtest
    is_synthetic: bool

    def start_funds(self, variant: Variant) -> int:
        """Return how many eligible funds a variant's first rebalance needs."""
        live_top_n = variant.top_n if self.is_live else self.live_top_n
        return variant.top_n or live_top_n or 2


def read_build(database: Path, pool: str, strategy: str | None = None) -> Build:
    """Read the settings and inputs of a build.

    Parameters
    ----------
    database : Path
        The build, opened read-only.
    pool : str
        One of its pools.
    strategy : str, optional
        One of the pool's strategies; default: the live one.

    Raises
    ------
    InputError
        The database does not exist, or lacks a backtest, the pool or the strategy.
    """
    if not database.is_file():
        raise InputError(f"no database {database}")
    with closing(duckdb.connect(str(database), read_only=True)) as connection:
        tables = tables_of(connection)
        missing = [name for name in NEEDED if name not in tables]
        if missing:
            raise InputError(f"{database} has no {missing[0]}: build it with 'dbt build' first")
        ((given, is_synthetic),) = connection.execute(
            f"select given_vars, (select bool_or(is_synthetic) from {tables['raw_files']}) "
            f"from {tables['run_settings']}"
        ).fetchall()
        rows = _strategies(connection, tables, database, pool)
        live = next(row for row in rows.values() if row["is_live"])
        name = live["strategy"] if strategy is None else strategy
        if name not in rows:
            raise InputError(
                f"{database} has no strategy {name} in {pool}; there are {', '.join(rows)}"
            )
        parameters = connection.sql(
            f"from {tables['int_backtest__parameters']} "
            "where strategy = $strategy and pool = $pool",
            params={"strategy": name, "pool": pool},
        ).to_arrow_table()
        scored = connection.execute(
            f"select factor_id from {tables['factor_catalog']} "
            "where score_direction is not null order by factor_id"
        ).fetchall()
    own = rows[name]
    varied = {field: own[field] for field in Variant._fields if field in own}
    (row,) = parameters.to_pylist()
    costs = {field: row[field] for field in ("slippage_bps", "commission_bps")}
    factors = tuple(factor for (factor,) in scored) if own["ranking"] == BY_SCORE else ()
    return Build(
        database=database,
        strategy=own["strategy"],
        pool=own["pool"],
        is_live=own["is_live"],
        ranking=own["ranking"],
        volatility_window=own["volatility_window"],
        live_top_n=live["top_n"],
        variables=project_vars() | json.loads(given),
        scored=factors,
        rules=Rules(*(own[field] for field in Rules._fields)),
        parameters=Parameters(**row),
        variant=Variant(factors=factors, **varied, **costs),
        is_synthetic=bool(is_synthetic),
    )


def _strategies(
    connection: duckdb.DuckDBPyConnection, tables: Mapping[str, str], database: Path, pool: str
) -> dict[str, dict]:
    """Return a pool's strategies by name; the pool must have a backtest."""
    rows = connection.sql(
        f"from {tables['int_strategies']} where pool in "
        f"(select pool from {tables['int_backtest__parameters']}) order by strategy"
    ).to_arrow_table()
    found = {row["strategy"]: row for row in rows.to_pylist() if row["pool"] == pool}
    if not found:
        pools = ", ".join(sorted(set(rows["pool"].to_pylist())))
        raise InputError(f"{database} has no backtest of the pool {pool}; there are {pools}")
    return found


def tables_of(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the schema-qualified tables and views of a build, by name."""
    rows = connection.execute(
        "select table_name, table_schema from information_schema.tables"
    ).fetchall()
    return {name: f"{schema}.{name}" for name, schema in rows}
