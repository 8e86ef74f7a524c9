"""Differences in orders, holdings and returns between two builds."""

from __future__ import annotations

import duckdb

SHOWN = (
    "annual_return",
    "max_drawdown",
    "sharpe",
    "monthly_win_rate",
    "annual_turnover",
)

# Each query needs two attached databases that both have its tables.
ORDERS = """
    select
        pool,
        symbol,
        coalesce(b.name, a.name) as name,
        a.trade_date as date_a,
        a.side as side_a,
        a.shares as shares_a,
        b.trade_date as date_b,
        b.side as side_b,
        b.shares as shares_b
    from (from {a}.marts.next_session_orders where symbol is not null) as a
    full join (from {b}.marts.next_session_orders where symbol is not null) as b
        using (pool, symbol)
    where (a.trade_date, a.side, a.shares) is distinct from (b.trade_date, b.side, b.shares)
    order by pool, symbol
"""
HOLDINGS = """
    select
        pool,
        symbol,
        coalesce(b.name, a.name) as name,
        a.shares as shares_a,
        b.shares as shares_b,
        a.weight as weight_a,
        b.weight as weight_b
    from {a}.marts.holdings as a
    full join {b}.marts.holdings as b using (pool, symbol)
    where a.shares is distinct from b.shares
    order by pool, symbol
"""
METRICS = """
    with a_metrics as (
        unpivot (select pool, {shown} from {a}.marts.pool_metrics_summary where is_live)
        on {shown} into name metric value figure
    ),
    b_metrics as (
        unpivot (select pool, {shown} from {b}.marts.pool_metrics_summary where is_live)
        on {shown} into name metric value figure
    )
    select pool, metric, a.figure as a, b.figure as b, b.figure - a.figure as change
    from a_metrics as a
    full join b_metrics as b using (pool, metric)
    where a.figure is distinct from b.figure
    order by pool <> 'PORTFOLIO', pool, metric
"""
QUERIES = {
    "orders": ("marts.next_session_orders", ORDERS),
    "holdings": ("marts.holdings", HOLDINGS),
    "metrics": ("marts.pool_metrics_summary", METRICS),
}


def changes(connection: duckdb.DuckDBPyConnection, a: str, b: str) -> dict[str, list[dict]]:
    """Compare orders, holdings and the live strategies' metrics of builds `a` and `b`.

    Parameters
    ----------
    connection : DuckDBPyConnection
        A connection that has attached both databases under these names.
    a, b : str
        Names of the databases.

    Returns
    -------
    dict
        orders, holdings, metrics: rows that differ. A table is left out if one database
        lacks it or has it with other columns.
    """
    found = {}
    for name, (table, query) in QUERIES.items():
        if not all(_has(connection, database, table) for database in (a, b)):
            continue
        try:
            cursor = connection.execute(query.format(a=a, b=b, shown=", ".join(SHOWN)))
        except duckdb.BinderException:
            continue
        names = [column[0] for column in cursor.description]
        found[name] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return found


def _has(connection: duckdb.DuckDBPyConnection, database: str, table: str) -> bool:
    return bool(
        connection.execute(
            "select count(*) from duckdb_tables() "
            "where database_name = ? and schema_name || '.' || table_name = ?",
            [database, table],
        ).fetchall()[0][0]
    )
