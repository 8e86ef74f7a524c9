"""Capacity: weights checked against the limits of their pool."""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from etf_rotation.contracts import FundKey, read_checked, refuse, schema_of
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


class _Portfolio(NamedTuple):
    equity: float
    target_capital: float


class _CheckKey(NamedTuple):
    pool: str
    trade_date: date
    kind: str
    tranche: int


WEIGHTS_SCHEMA = schema_of(FundKey, _CheckKey, _Portfolio, Holding, Limits)
CHECKS_SCHEMA = schema_of(_CheckKey, Check)


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


def _check(name: str, subject: str, value: float | None, limit: float) -> Check:
    is_violation = value is None or value > limit * (1 + LIMIT_TOLERANCE)
    return Check(name, subject, value, limit, is_violation, None)


def _pick(record: type[Record], row: Mapping) -> Record:
    return record(**{name: row[name] for name in record.__annotations__})
