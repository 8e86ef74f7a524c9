"""Capacity: weights checked against limits, and market impact by capital."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from etf_rotation.contracts import FundKey, read_checked, refuse, schema_of
from etf_rotation.errors import InputError
from etf_rotation.signals.selection import LIMIT_TOLERANCE

INFORMATIVE = "informative"


class Holding(NamedTuple):
    """A fund of a portfolio, as known at the close at which `equity` is measured."""

    symbol: str
    category: str
    is_broad: bool
    weight: float  # share of equity
    order_weight: float  # fraction of equity after the ADV cap; of holdings: actual
    adv20: float | None  # CNY


Record = TypeVar("Record")


class Limits(NamedTuple):
    """A pool's limits; weights are fractions of equity, `max_adv_pct` of ADV20."""

    max_single_weight: float
    max_sector_weight: float
    max_broad_funds: int | None  # None: no limit, because the strategy holds every fund
    max_adv_pct: float


class Check(NamedTuple):
    """One figure and its limit; the value is null if unknown."""

    check_name: str
    subject: str
    value: float | None
    limit_value: float
    is_violation: bool
    days_to_liquidate: float | None


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


class _Portfolio(NamedTuple):
    equity: float
    target_capital: float


class _Pool(NamedTuple):
    pool: str
    target_capital: float  # CNY


class _Equity(NamedTuple):
    pool: str
    trade_date: date
    equity: float


class _CheckKey(NamedTuple):
    pool: str
    trade_date: date
    kind: str
    tranche: int


class _CurveKey(NamedTuple):
    pool: str
    trade_date: date


WEIGHTS_SCHEMA = schema_of(FundKey, _CheckKey, _Portfolio, Holding, Limits)
CHECKS_SCHEMA = schema_of(_CheckKey, Check)
FILLS_SCHEMA = schema_of(Fill)
EQUITY_SCHEMA = schema_of(_Equity)
POOLS_SCHEMA = schema_of(_Pool)
CURVE_SCHEMA = schema_of(_CurveKey, CurvePoint)


def check_portfolio(
    holdings: Sequence[Holding],
    limits: Limits,
    *,
    equity: float,
    target_capital: float | None = None,
) -> list[Check]:
    """Check one portfolio of a pool against the pool's limits.

    Parameters
    ----------
    holdings : sequence of Holding
        The funds with a weight above zero.
    limits : Limits
        The pool's limits.
    equity : float
        CNY; the base of `order_weight`.
    target_capital : float, optional
        CNY; given for holdings. They are also checked as if the portfolio had this
        size.

    Returns
    -------
    list of Check
        `single_weight` and `adv_pct` for each fund, `sector_weight` for each category
        of funds that are not broad, and one `broad_funds`. With a `target_capital` also
        `adv_pct_at_target_capital` for each fund, and the sessions needed to sell it.

    Notes
    -----
    Source of the formulas: "Capacity" in the strategy's specification. adv_pct =
    order_weight × equity / ADV20; sessions to sell = adv_pct / max_adv_pct. A violation
    exceeds its limit by a fraction of more than 1e-9. A missing ADV20 is a violation.
    """
    is_held = target_capital is not None
    capitals = {"adv_pct": equity}
    if is_held:
        capitals["adv_pct_at_target_capital"] = target_capital
    sectors: dict[str, list[float]] = {}
    for fund in holdings:
        if not fund.is_broad:
            sectors.setdefault(fund.category, []).append(fund.weight)

    checks = [
        _check("single_weight", fund.symbol, fund.weight, limits.max_single_weight)
        for fund in holdings
    ]
    for category, weights in sorted(sectors.items()):
        value = math.fsum(weights)
        checks.append(_check("sector_weight", category, value, limits.max_sector_weight))
    if limits.max_broad_funds is not None:
        broad_funds = float(sum(fund.is_broad for fund in holdings))
        checks.append(_check("broad_funds", "broad", broad_funds, float(limits.max_broad_funds)))
    for name, capital in capitals.items():
        for fund in holdings:
            value = fund.order_weight * capital / fund.adv20 if fund.adv20 else None
            check = _check(name, fund.symbol, value, limits.max_adv_pct)
            if is_held and value is not None:
                check = check._replace(days_to_liquidate=value / limits.max_adv_pct)
            checks.append(check)
    return checks


def check_all(weights: pa.Table) -> pa.Table:
    """Apply `check_portfolio` to every portfolio of a table.

    Parameters
    ----------
    weights : pyarrow.Table
        Columns of `WEIGHTS_SCHEMA`, one row per (pool, trade_date, kind, tranche,
        symbol), in any order. Each row repeats the columns of its pool and portfolio.
        `kind` is `binding` for a rebalance and `informative` for holdings.

    Returns
    -------
    pyarrow.Table
        `CHECKS_SCHEMA`, sorted by pool, trade_date, kind, tranche.

    Raises
    ------
    ValueError
        A missing column, a null or infinite value, a duplicate row, an ADV20 below
        zero.
    """
    key = (*_CheckKey._fields, "symbol")
    weights = read_checked("weights", weights, WEIGHTS_SCHEMA, key)
    refuse("weights", weights, pc.less(weights["adv20"], 0), "adv20 is below zero")
    rows = []
    for portfolio, group in groupby(weights.to_pylist(), key=lambda row: _pick(_CheckKey, row)):
        funds = list(group)
        checks = check_portfolio(
            [_pick(Holding, fund) for fund in funds],
            _pick(Limits, funds[0]),
            equity=funds[0]["equity"],
            target_capital=funds[0]["target_capital"] if portfolio.kind == INFORMATIVE else None,
        )
        rows += [{**portfolio._asdict(), **check._asdict()} for check in checks]
    return pa.Table.from_pylist(rows, schema=CHECKS_SCHEMA)


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


def _check(name: str, subject: str, value: float | None, limit: float) -> Check:
    is_violation = value is None or value > limit * (1 + LIMIT_TOLERANCE)
    return Check(name, subject, value, limit, is_violation, None)


def _net_annual(growths: Sequence[float], sessions_per_year: int) -> float:
    if min(growths) <= 0:
        return -1.0
    return _annual(math.prod(growths), growths, sessions_per_year)


def _annual(growth: float, sessions: Sequence, sessions_per_year: int) -> float:
    return growth ** (sessions_per_year / len(sessions)) - 1


def _pick(record: type[Record], row: Mapping) -> Record:
    return record(**{name: row[name] for name in record.__annotations__})
