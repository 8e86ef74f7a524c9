"""Read the live PORTFOLIO's return, costs and profit by fund from a finished build."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

import duckdb

from etf_rotation.reconcile.tracking import Model

TABLES = (
    "backtest.equity_daily",
    "backtest.positions_daily",
    "backtest.trades",
    "backtest.int_backtest__sleeves",
    "backtest.int_portfolio_members",
)

# The ratio of a sleeve to its pool's equity is constant within a month. It scales the
# pool's amounts.
SCALES = """
    create or replace temp table live_scales as
    select
        members.strategy, sleeves.pool, sleeves.trade_date,
        sleeves.sleeve / equity.equity / sleeves.previous_equity as per_cny
    from backtest.int_portfolio_members as members
    inner join backtest.int_backtest__sleeves as sleeves
        on members.portfolio = sleeves.strategy and members.pool = sleeves.pool
    inner join backtest.equity_daily as equity
        on members.strategy = equity.strategy and members.pool = equity.pool
        and sleeves.trade_date = equity.trade_date
    where members.is_live and sleeves.trade_date in (select unnest($sessions))
"""

RETURNS = """
    select trade_date, daily_return, (commission + slippage) / previous_equity
    from backtest.equity_daily
    where
        pool = 'PORTFOLIO' and trade_date in (select unnest($sessions))
        and strategy in (select portfolio from backtest.int_portfolio_members where is_live)
"""

# Profit by fund before costs: value at the close, less value at the last close, less
# purchases (plus sales) at the open. This includes corporate actions.
MADE = """
    with
    sessions as (
        select
            strategy, pool, trade_date,
            lag(trade_date) over (partition by strategy, pool order by trade_date)
                as previous_date
        from backtest.equity_daily
    ),
    moves as (
        select strategy, pool, trade_date, symbol, market_value as amount
        from backtest.positions_daily
        union all
        select
            sessions.strategy, sessions.pool, sessions.trade_date, held.symbol,
            -held.market_value
        from sessions
        inner join backtest.positions_daily as held
            on sessions.strategy = held.strategy and sessions.pool = held.pool
            and sessions.previous_date = held.trade_date
        union all
        select
            strategy, pool, trade_date, symbol,
            case side when 'buy' then slippage - value else value + slippage end
        from backtest.trades
    )
    select
        moves.trade_date,
        moves.symbol,
        -- Ordered, so that the sum does not depend on the threads.
        sum(moves.amount * scales.per_cny order by moves.pool, moves.amount)
    from moves
    inner join live_scales as scales using (strategy, pool, trade_date)
    group by moves.trade_date, moves.symbol
"""

WEIGHTS = """
    select held.trade_date, held.symbol,
        sum(
            held.market_value * scales.per_cny * equity.previous_equity / equity.equity
            order by held.pool
        )
    from backtest.positions_daily as held
    inner join live_scales as scales using (strategy, pool, trade_date)
    inner join backtest.equity_daily as equity
        on equity.pool = 'PORTFOLIO' and held.trade_date = equity.trade_date
        and equity.strategy in (
            select portfolio from backtest.int_portfolio_members where is_live
        )
    group by held.trade_date, held.symbol
"""


def has_tables(connection: duckdb.DuckDBPyConnection, *tables: str) -> bool:
    """Return whether the database has all of these tables (`schema.name`)."""
    found = connection.execute(
        "select schema_name || '.' || table_name from duckdb_tables()"
    ).fetchall()
    return set(tables) <= {name for (name,) in found}


def read_model(
    connection: duckdb.DuckDBPyConnection, sessions: Collection[dt.date], run_id: str
) -> dict[dt.date, Model]:
    """Return the model's figures for some sessions.

    Parameters
    ----------
    connection : DuckDBPyConnection
        A finished build.
    sessions : collection of date
    run_id : str
        Of the build.

    Returns
    -------
    dict of date to Model
        Of the sessions that PORTFOLIO has.
    """
    values = {"sessions": sorted(sessions)}
    connection.execute(SCALES, values)
    made: dict[dt.date, dict[str, float]] = {}
    for session, symbol, ratio in connection.execute(MADE).fetchall():
        made.setdefault(session, {})[symbol] = ratio
    return {
        session: Model(daily_return, cost, made.get(session, {}), run_id)
        for session, daily_return, cost in connection.execute(RETURNS, values).fetchall()
    }


def read_weights(connection: duckdb.DuckDBPyConnection) -> dict[tuple[dt.date, str], float]:
    """Return the model's weights at the closes that `read_model` last read."""
    rows = connection.execute(WEIGHTS).fetchall()
    return {(session, symbol): weight for session, symbol, weight in rows}
