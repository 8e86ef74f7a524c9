"""PORTFOLIO: the equity curve of all pools, rebalanced to their weights each month.

Each pool is one sleeve. Sums over sleeves use `math.fsum`, so the order of the pools
changes no bit.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import NamedTuple

import pyarrow as pa

from etf_rotation.contracts import read_checked, schema_of


class _SessionKey(NamedTuple):
    strategy: str
    trade_date: date
    pool: str


class PoolSession(NamedTuple):
    """One session's returns of a pool and its benchmark, plain ratios."""

    daily_return: float
    benchmark_return: float


class Member(NamedTuple):
    """A pool of a PORTFOLIO: its strategy, its capital in CNY, and its weight."""

    portfolio: str
    pool: str
    strategy: str
    target_capital: float
    portfolio_weight: float


class SleeveClose(NamedTuple):
    """A sleeve at the close, before any reset, with the totals of all sleeves."""

    sleeve: float  # CNY
    previous_equity: float  # CNY, of PORTFOLIO
    equity: float  # CNY, of PORTFOLIO
    benchmark_return: float  # of PORTFOLIO


SESSIONS_SCHEMA = schema_of(_SessionKey, PoolSession)
MEMBERS_SCHEMA = schema_of(Member)
SLEEVES_SCHEMA = schema_of(_SessionKey, SleeveClose)


def sleeves_at_close(
    dates: Sequence[date],
    returns: Mapping[str, Sequence[float]],
    weights: Mapping[str, float],
    capital: float,
) -> list[dict[str, float]]:
    """Compound each sleeve by its pool's returns, and reset all sleeves every month.

    Parameters
    ----------
    dates : sequence of date, length n
        Consecutive sessions.
    returns : mapping of pool to sequence of float, length n
        Daily returns, plain ratios.
    weights : mapping of pool to float
        Fractions of the whole for the same pools, adding up to 1.
    capital : float
        CNY, split by weight before the first session.

    Returns
    -------
    list of dict of pool to float, length n
        The sleeves in CNY at each close, before a reset at that close.

    Notes
    -----
    Source of the formula: "Portfolio of pools" in the strategy's specification. E is
    the sum of the sleeves. At the next close a sleeve is sleeve · (1 + r). If that
    session is the first of its month, the sleeve is weight · E · (1 + r).
    """
    closes = []
    held = {pool: weight * capital for pool, weight in weights.items()}
    for n, day in enumerate(dates):
        if n > 0 and (day.year, day.month) != (dates[n - 1].year, dates[n - 1].month):
            equity = math.fsum(held.values())
            held = {pool: weight * equity for pool, weight in weights.items()}
        held = {pool: value * (1 + returns[pool][n]) for pool, value in held.items()}
        closes.append(held)
    return closes


def run(sessions: pa.Table, members: pa.Table) -> pa.Table:
    """Combine the pools of every PORTFOLIO.

    Parameters
    ----------
    sessions : pyarrow.Table
        Columns of `SESSIONS_SCHEMA`, one row per session of a strategy in a pool, in
        any order. Rows of strategies that are no members are ignored.
    members : pyarrow.Table
        Columns of `MEMBERS_SCHEMA`, one row per portfolio and pool, in any order. The
        weights of a portfolio add up to 1.

    Returns
    -------
    pyarrow.Table
        `SLEEVES_SCHEMA`, one row per session and pool, sorted; `strategy` is the
        portfolio's name. A portfolio runs from the latest first session of its members
        to the earliest last session. It is absent if a member has no session.

    Raises
    ------
    ValueError
        A missing column, a null or infinite value, a duplicate row, or a pool that
        skips a session.

    Notes
    -----
    Source: "Portfolio of pools" and, for the benchmark, "Metrics" in the strategy's
    specification. Equity is the sum of the sleeves and starts from the sum of
    target_capital. The benchmark's sleeves are combined in the same way.
    """
    sessions = read_checked("sessions", sessions, SESSIONS_SCHEMA, _SessionKey._fields)
    members = read_checked("members", members, MEMBERS_SCHEMA, ("portfolio", "pool"))
    by_member: dict[tuple[str, str], dict[date, dict]] = {}
    for row in sessions.to_pylist():
        by_member.setdefault((row["strategy"], row["pool"]), {})[row["trade_date"]] = row
    tables = [SLEEVES_SCHEMA.empty_table()]
    of_portfolio: dict[str, list[Member]] = {}
    for row in members.to_pylist():
        of_portfolio.setdefault(row["portfolio"], []).append(Member(**row))
    for portfolio, own in of_portfolio.items():
        rows = {one.pool: by_member.get((one.strategy, one.pool), {}) for one in own}
        if all(rows.values()):
            tables.append(_combined(portfolio, own, rows))
    return pa.concat_tables(tables).combine_chunks()


def _combined(
    portfolio: str, members: Sequence[Member], by_pool: Mapping[str, Mapping[date, dict]]
) -> pa.Table:
    first = max(min(rows) for rows in by_pool.values())
    last = min(max(rows) for rows in by_pool.values())
    dates = sorted({day for rows in by_pool.values() for day in rows if first <= day <= last})
    if not dates:
        return SLEEVES_SCHEMA.empty_table()
    for pool, sessions in by_pool.items():
        for day in dates:
            if day not in sessions:
                raise ValueError(f"sessions, pool {pool}, trade_date {day}: no row")

    weights = {one.pool: one.portfolio_weight for one in members}
    capital = math.fsum(one.target_capital for one in members)
    curves = {}
    for column in PoolSession._fields:
        returns = {pool: [by_pool[pool][day][column] for day in dates] for pool in weights}
        curves[column] = sleeves_at_close(dates, returns, weights, capital)
    equity, benchmark = (
        [capital, *(math.fsum(sleeves.values()) for sleeves in curve)] for curve in curves.values()
    )
    totals = zip(
        equity,
        equity[1:],
        (after / before - 1 for before, after in pairwise(benchmark)),
        strict=False,
    )
    rows = [
        (portfolio, day, pool, sleeves[pool], *total)
        for day, sleeves, total in zip(dates, curves["daily_return"], totals, strict=True)
        for pool in weights
    ]
    return pa.table(list(zip(*rows, strict=True)), schema=SLEEVES_SCHEMA)
