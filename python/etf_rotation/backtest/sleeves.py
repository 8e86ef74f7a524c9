"""PORTFOLIO: the curve of the pools together, each a sleeve that is reset to its weight monthly.

The sums over sleeves are `math.fsum`, so that the order of the pools decides no bit.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import NamedTuple

import pyarrow as pa

from etf_rotation.signals.selection import read_checked, schema_of


class _SessionKey(NamedTuple):
    trade_date: date
    pool: str


class PoolSession(NamedTuple):
    """What a pool and its benchmark made of a session, plain ratios."""

    daily_return: float
    benchmark_return: float


class PoolShare(NamedTuple):
    """A pool's capital in CNY and its share of PORTFOLIO."""

    pool: str
    target_capital: float
    portfolio_weight: float


class SleeveClose(NamedTuple):
    """A sleeve at the close, before any reset, beside what all sleeves make together."""

    sleeve: float  # CNY
    previous_equity: float  # CNY, of PORTFOLIO
    equity: float  # CNY, of PORTFOLIO
    benchmark_return: float  # of PORTFOLIO


SESSIONS_SCHEMA = schema_of(_SessionKey, PoolSession)
SHARES_SCHEMA = schema_of(PoolShare)
SLEEVES_SCHEMA = schema_of(_SessionKey, SleeveClose)


def sleeves_at_close(
    dates: Sequence[date],
    returns: Mapping[str, Sequence[float]],
    weights: Mapping[str, float],
    capital: float,
) -> list[dict[str, float]]:
    """Let each sleeve earn its pool's returns, and reset the sleeves before each month.

    Parameters
    ----------
    dates : sequence of date, length n
        Consecutive sessions.
    returns : mapping of pool to sequence of float, length n
        Daily returns, plain ratios.
    weights : mapping of pool to float
        Shares of the whole for the same pools, adding up to 1.
    capital : float
        CNY, split by weight before the first session.

    Returns
    -------
    list of dict of pool to float, length n
        The sleeves in CNY at each close, before a reset at that close.

    Notes
    -----
    Source of the formula: "Portfolio of pools" in the strategy's specification. With E the sum of
    the sleeves, a sleeve is sleeve · (1 + r) at the next close; where the next session is the
    first of its month, it is weight · E · (1 + r).
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


def run(sessions: pa.Table, shares: pa.Table) -> pa.Table:
    """Combine the pools that have a share of PORTFOLIO.

    Parameters
    ----------
    sessions : pyarrow.Table
        Columns of `SESSIONS_SCHEMA`, one row per session of a pool, in any order; pools without a
        share may be among them.
    shares : pyarrow.Table
        Columns of `SHARES_SCHEMA`, one row per pool, in any order.

    Returns
    -------
    pyarrow.Table
        `SLEEVES_SCHEMA`, one row per session of PORTFOLIO and pool with a weight above zero,
        sorted. PORTFOLIO runs from the latest of their first sessions to the earliest of their
        last; it has no row where one of them has no session, or where no pool has a weight.

    Raises
    ------
    ValueError
        A missing column, a null or infinite value, a duplicate row, a pool that skips a session.

    Notes
    -----
    Source of the formula: "Portfolio of pools" and, for the benchmark, "Metrics" in the strategy's
    specification. Equity = Σ sleeves, from Σ target_capital of these pools; the benchmark's sleeves
    are combined in the same way.
    """
    sessions = read_checked("sessions", sessions, SESSIONS_SCHEMA, _SessionKey._fields)
    shares = read_checked("shares", shares, SHARES_SCHEMA, ("pool",)).to_pylist()
    weights = {s["pool"]: s["portfolio_weight"] for s in shares if s["portfolio_weight"] != 0}

    by_pool = {pool: {} for pool in weights}
    for row in sessions.to_pylist():
        if row["pool"] in weights:
            by_pool[row["pool"]][row["trade_date"]] = row
    if not weights or not all(by_pool.values()):
        return SLEEVES_SCHEMA.empty_table()

    first = max(min(rows) for rows in by_pool.values())
    last = min(max(rows) for rows in by_pool.values())
    if first > last:
        return SLEEVES_SCHEMA.empty_table()
    dates = sorted({day for rows in by_pool.values() for day in rows if first <= day <= last})
    for pool, rows in by_pool.items():
        for day in dates:
            if day not in rows:
                raise ValueError(f"sessions, pool {pool}, trade_date {day}: no row")

    capital = math.fsum(s["target_capital"] for s in shares if s["pool"] in weights)
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
        (day, pool, sleeves[pool], *total)
        for day, sleeves, total in zip(dates, curves["daily_return"], totals, strict=True)
        for pool in weights
    ]
    return pa.table(list(zip(*rows, strict=True)), schema=SLEEVES_SCHEMA)
