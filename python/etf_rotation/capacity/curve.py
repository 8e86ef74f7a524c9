"""Capacity: market impact and net return by capital."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from etf_rotation.contracts import read_checked, refuse, schema_of
from etf_rotation.errors import InputError


class Fill(NamedTuple):
    """A fill of the backtest, with the fund's figures at the previous close."""

    pool: str
    sequence: int
    trade_date: date
    symbol: str
    value: float  # CNY
    adv20: float | None  # CNY
    volatility: float | None  # daily


class CurvePoint(NamedTuple):
    """Result at one capital; null if the impact of any fill is unknown."""

    capital_cny: float
    annual_return: float
    net_annual_return: float | None
    annual_impact_cost: float | None
    max_order_share: float | None
    fills: int
    fills_without_estimate: int


class _Pool(NamedTuple):
    pool: str
    target_capital: float  # CNY


class _Equity(NamedTuple):
    pool: str
    trade_date: date
    equity: float


class _CurveKey(NamedTuple):
    pool: str
    trade_date: date


FILLS_SCHEMA = schema_of(Fill)
EQUITY_SCHEMA = schema_of(_Equity)
POOLS_SCHEMA = schema_of(_Pool)
CURVE_SCHEMA = schema_of(_CurveKey, CurvePoint)


def impact_cost(
    value: float, *, adv20: float, volatility: float, impact_coefficient: float
) -> float:
    """Return the cost of an order's market impact, in CNY.

    Parameters
    ----------
    value, adv20 : float
        CNY; ADV20 above zero.
    volatility : float
        Standard deviation of daily returns.
    impact_coefficient : float
        Dimensionless, of order one.

    Returns
    -------
    float
        value × impact_coefficient × volatility × sqrt(value / ADV20).

    Notes
    -----
    Source of the formula: the square-root law, as in Grinold and Kahn, "Active
    Portfolio Management" (2nd edition, 2000, chapter 16): trading one day's volume
    costs about one day's volatility. Almgren, Thum, Hauptmann and Li, "Direct
    estimation of equity market impact" (Risk, July 2005) fit an exponent of 3/5 on
    large US stocks, near the square root.
    """
    return value * impact_coefficient * volatility * math.sqrt(value / adv20)


def capacity_curve(
    fills: Iterable[Fill],
    equity: Mapping[date, float],
    capitals: Sequence[float],
    *,
    target_capital: float,
    impact_coefficient: float,
    sessions_per_year: int,
) -> list[CurvePoint]:
    """Estimate the results of a pool's backtest at other capitals.

    Parameters
    ----------
    fills : iterable of Fill
        The backtest's.
    equity : mapping of date to float
        CNY at each close of the backtest, in order of dates.
    capitals : sequence of float
        CNY, above zero.
    target_capital : float
        Initial capital of the backtest, CNY.
    impact_coefficient : float
        As in `impact_cost`.
    sessions_per_year : int
        Number of sessions in a year.

    Returns
    -------
    list of CurvePoint
        One point per capital, in the order given. `annual_impact_cost` is the mean
        daily cost as a fraction of equity × sessions per year. `max_order_share` is the
        largest order as a fraction of ADV20. A fill without ADV20 or volatility makes
        these two and the net return null.

    Notes
    -----
    k = capital / target_capital. E is the equity at a close. I is the impact of the
    session's fills, each at k times its value. Growth of a session = (k·E - I) / (k·E
    of the previous session). net_annual_return = (product of the
    growths)^(sessions_per_year / sessions) - 1, or -1 once a growth is not above zero.
    Everything but the impact is as in the backtest: slippage and commission, including
    its minimum, stay the same fraction of equity, and weights are not capped again.
    """
    fills = list(fills)
    dates = list(equity)
    before = dict(zip(dates, [target_capital, *equity.values()], strict=False))
    known = [fill for fill in fills if fill.adv20 and fill.volatility is not None]
    is_known = len(known) == len(fills)
    points = []
    for capital in capitals:
        scale = capital / target_capital
        costs: dict[date, list[float]] = {}
        for fill in known:
            cost = impact_cost(
                scale * fill.value,
                adv20=fill.adv20,
                volatility=fill.volatility,
                impact_coefficient=impact_coefficient,
            )
            costs.setdefault(fill.trade_date, []).append(cost / scale)
        impact = {day: math.fsum(values) for day, values in costs.items()}
        growths = [(equity[day] - impact.get(day, 0.0)) / before[day] for day in dates]
        shares = [impact[day] / before[day] for day in impact]
        points.append(
            CurvePoint(
                capital_cny=capital,
                annual_return=_annual(equity[dates[-1]] / target_capital, dates, sessions_per_year),
                net_annual_return=_net_annual(growths, sessions_per_year) if is_known else None,
                annual_impact_cost=(
                    math.fsum(shares) / len(dates) * sessions_per_year if is_known else None
                ),
                max_order_share=(
                    max((scale * fill.value / fill.adv20 for fill in fills), default=0.0)
                    if is_known
                    else None
                ),
                fills=len(fills),
                fills_without_estimate=len(fills) - len(known),
            )
        )
    return points


def curves_of_all(
    fills: pa.Table,
    equity: pa.Table,
    pools: pa.Table,
    *,
    capitals: Sequence[float],
    impact_coefficient: float,
    sessions_per_year: int,
) -> pa.Table:
    """Apply `capacity_curve` to every pool with equity.

    Parameters
    ----------
    fills, equity, pools : pyarrow.Table
        Columns of `FILLS_SCHEMA`, `EQUITY_SCHEMA` and `POOLS_SCHEMA`, rows in any
        order.
    capitals, impact_coefficient, sessions_per_year
        As in `capacity_curve`.

    Returns
    -------
    pyarrow.Table
        `CURVE_SCHEMA`, sorted by pool and capital; `trade_date` is the pool's last
        session.

    Raises
    ------
    InputError
        A capital that is not above zero, a coefficient below zero.
    ValueError
        A missing column, a null or infinite value, a duplicate row, a fill's value that
        is not above zero, an ADV20 or a volatility below zero.
    """
    if not capitals or not all(math.isfinite(c) and c > 0 for c in capitals):
        raise InputError(
            f"var capacity_capitals is {list(capitals)}; give a list of capitals in CNY above zero"
        )
    if not (math.isfinite(impact_coefficient) and impact_coefficient >= 0):
        raise InputError(f"var impact_coefficient is {impact_coefficient}; give zero or more")
    fills = read_checked("fills", fills, FILLS_SCHEMA, ("pool", "sequence"))
    equity = read_checked("equity", equity, EQUITY_SCHEMA, ("pool", "trade_date"))
    pools = read_checked("pools", pools, POOLS_SCHEMA, ("pool",))
    refuse("fills", fills, pc.less_equal(fills["value"], 0), "value is not above zero")
    for column in ("adv20", "volatility"):
        refuse("fills", fills, pc.less(fills[column], 0), f"{column} is below zero")

    rows = []
    for row in pools.to_pylist():
        pool = row["pool"]
        is_of_pool = pc.field("pool") == pool
        closes = equity.filter(is_of_pool)
        if not closes.num_rows:
            continue
        dates = closes["trade_date"].to_pylist()
        points = capacity_curve(
            [Fill(**fill) for fill in fills.filter(is_of_pool).to_pylist()],
            dict(zip(dates, closes["equity"].to_pylist(), strict=True)),
            sorted(set(capitals)),
            target_capital=row["target_capital"],
            impact_coefficient=impact_coefficient,
            sessions_per_year=sessions_per_year,
        )
        rows += [{"pool": pool, "trade_date": dates[-1], **point._asdict()} for point in points]
    return pa.Table.from_pylist(rows, schema=CURVE_SCHEMA)


def _net_annual(growths: Sequence[float], sessions_per_year: int) -> float:
    if min(growths) <= 0:
        return -1.0
    return _annual(math.prod(growths), growths, sessions_per_year)


def _annual(growth: float, sessions: Sequence, sessions_per_year: int) -> float:
    return growth ** (sessions_per_year / len(sessions)) - 1
