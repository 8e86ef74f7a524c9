"""Differences between two runs: orders, holdings, metrics, weights, factors."""

from __future__ import annotations

from pathlib import Path

import duckdb

from etf_rotation.errors import InputError
from etf_rotation.production.changes import changes
from etf_rotation.production.export import records
from etf_rotation.production.snapshots import DATABASE
from etf_rotation.sql import attach

TABLES = (
    "marts.pool_metrics_summary",
    "signals.factor_panel",
    "signals.factor_summary",
    "signals.target_weights",
)

METRICS = """
    unpivot (
        select strategy, pool, columns(* exclude (strategy, pool))::varchar
        from {run}.marts.pool_metrics_summary
    )
    on columns(* exclude (strategy, pool)) into name metric value figure
"""

WEIGHTS = """
    select strategy, pool, tranche, symbol, trade_date, target_weight
    from {run}.signals.target_weights
    qualify trade_date = max(trade_date) over (partition by strategy, pool, tranche)
"""

FACTORS = """
    select 'panel' as pool, column_name as factor_id
    from duckdb_columns()
    where database_name = '{run}' and schema_name = 'signals' and table_name = 'factor_panel'
    union all
    select pool || ' production', factor_id from {run}.signals.factor_summary where is_production
"""


def compare(a: Path, b: Path) -> dict[str, list[dict]]:
    """Return the differences of run `b` from run `a`, each as rows.

    Parameters
    ----------
    a, b : Path
        Directories of two runs.

    Raises
    ------
    InputError
        One of the runs lacks a table to compare.

    Returns
    -------
    dict
        orders, holdings: as `changes` returns them, if both runs have the tables.
        metrics: strategy, pool, metric, a, b, change. weights (of each tranche's last
        rebalance): strategy, pool, tranche, symbol, date_a, weight_a, date_b, weight_b.
        factors: where (panel, or a pool's production factors), factor_id, change
        (added, lost).
    """
    with duckdb.connect() as connection:
        for name, run in (("a", a), ("b", b)):
            attach(connection, run / DATABASE, name)
            held = connection.execute(
                "select table_schema || '.' || table_name from information_schema.tables "
                "where table_catalog = ?",
                [name],
            ).fetchall()
            if missing := set(TABLES) - {table for (table,) in held}:
                raise InputError(
                    f"run {run.name} was built in part, without {', '.join(sorted(missing))}: "
                    "compare full runs"
                )
        traded = changes(connection, "a", "b")
        return {
            **{name: traded[name] for name in ("orders", "holdings") if name in traded},
            "metrics": records(connection, _metrics()),
            "weights": records(connection, _weights()),
            "factors": records(connection, _factors()),
        }


def _metrics() -> str:
    return f"""
        with a_metrics as ({METRICS.format(run="a")}),
        b_metrics as ({METRICS.format(run="b")})
        select
            strategy,
            pool,
            metric,
            a.figure as a,
            b.figure as b,
            try_cast(b.figure as double) - try_cast(a.figure as double) as change
        from a_metrics as a
        full join b_metrics as b using (strategy, pool, metric)
        where a.figure is distinct from b.figure
        order by strategy, pool = 'PORTFOLIO', pool, metric"""


def _weights() -> str:
    return f"""
        select
            strategy,
            pool,
            tranche,
            symbol,
            a.trade_date as date_a,
            a.target_weight as weight_a,
            b.trade_date as date_b,
            b.target_weight as weight_b
        from ({WEIGHTS.format(run="a")}) as a
        full join ({WEIGHTS.format(run="b")}) as b using (strategy, pool, tranche, symbol)
        where a.target_weight is distinct from b.target_weight
        order by strategy, pool, tranche, symbol"""


def _factors() -> str:
    return f"""
        select
            pool as "where",
            factor_id,
            case when a.factor_id is null then 'added' else 'lost' end as change
        from ({FACTORS.format(run="a")}) as a
        full join ({FACTORS.format(run="b")}) as b using (pool, factor_id)
        where a.factor_id is null or b.factor_id is null
        order by pool, factor_id"""
