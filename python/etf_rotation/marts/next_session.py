"""Tomorrow's orders: each pool's trades at the next open, or why there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from etf_rotation.backtest.planning import Planned, plan
from etf_rotation.backtest.prices import Bar
from etf_rotation.backtest.records import PARAMETERS_SCHEMA, Order, Parameters, Target
from etf_rotation.bilingual import Bilingual
from etf_rotation.contracts import read_checked, refuse, schema_of
from etf_rotation.marts.holdings import Holdings
from etf_rotation.marts.netting import ORDERS_SCHEMA, NextOrder, Part, netted

SIMULATED = "simulated"
HOLDINGS_FILE = "holdings_file"

CASH_DOES_NOT_COVER = Bilingual(
    ", at the last close cash does not cover it", "，按最新收盘价现金不足"
)
CUT_TO_CASH = Bilingual(", cut to what cash covers", "，已按现金缩减")
# Key: side, and whether the fund is held both before and after.
CHANGES = {
    ("buy", False): Bilingual("rebalance: enter", "调仓：建仓"),
    ("buy", True): Bilingual("rebalance: increase", "调仓：加仓"),
    ("sell", True): Bilingual("rebalance: reduce", "调仓：减仓"),
    ("sell", False): Bilingual("rebalance: exit", "调仓：清仓"),
}
OBSTACLES_ZH = {
    "suspended": "停牌",
    "limit_up": "涨停",
    "limit_down": "跌停",
    "cash": "现金不足",
}


class Tranche(NamedTuple):
    """A tranche of a pool's live strategy before the session to trade."""

    pool: str
    tranche: int
    trade_date: date
    as_of_date: date
    is_rebalance: bool
    n_eligible: int | None
    next_rebalance_date: date | None  # after trade_date; null beyond the calendar
    has_begun: bool  # whether it has been rebalanced before
    cash: float  # CNY at the close of as_of_date


class Fund(NamedTuple):
    """A fund with a bar and its state in one tranche; unadjusted prices in CNY.

    `raw_value` and `sector` are those of the backtest's `Target`.
    """

    pool: str
    tranche: int
    symbol: str
    last_bar_date: date
    last_close: float
    has_ended: bool
    ends_next: bool  # it ends on the session to trade unless it has a row there
    shares: float  # simulated, at the last close
    last_weight: float | None  # nominal, of the tranche's last rebalance
    target_weight: float | None  # nominal; null unless selected for the session
    rank: int | None
    adv20: float | None
    raw_value: float | None
    sector: str | None
    open_sequence: int | None  # of the last session's attempt; null without an open order
    open_side: str | None
    open_shares: float | None
    open_weight: float | None  # capped, of the last rebalance
    open_reason: str | None


TRANCHES_SCHEMA = schema_of(Tranche)
FUNDS_SCHEMA = schema_of(Fund)


def next_orders(
    tranches: Sequence[Tranche],
    funds: Sequence[Fund],
    parameters: Parameters,
    holdings: Holdings | None = None,
) -> list[NextOrder]:
    """Return one pool's orders for the session after its last bar.

    Parameters
    ----------
    tranches : sequence of Tranche
        The pool's tranches, in order.
    funds : sequence of Fund
        Every fund of the pool that has a bar, once for each tranche.
    parameters : Parameters
        The live strategy's parameters in this pool.
    holdings : Holdings, optional
        The user's own holdings at the last close; they replace the simulated ones.

    Returns
    -------
    list of NextOrder
        Net orders over all tranches, shares above zero. Sells come before buys, as in
        the backtest. If there is nothing to trade, one row without a symbol; its reason
        names the next rebalance session. A fund that has ended has no order, because it
        no longer trades; its value in the user's own holdings counts as zero.

    Notes
    -----
    Source of the rules: "Execution and accounting" in the strategy's specification, as
    `plan` applies them with the last close in place of the open. Between rebalances,
    the simulated account retries orders without a fill. The user's own holdings are
    traded on rebalance sessions only: the project does not know which of the user's
    orders were filled.
    """
    basis = SIMULATED if holdings is None else HOLDINGS_FILE
    active = _active(tranches, parameters)
    if not active:
        return [_no_order(tranches, basis, parameters, has_begun=False)]
    of_tranche = {
        own.tranche: [fund for fund in funds if fund.tranche == own.tranche] for own in active
    }
    if holdings is None:
        parts = [
            part for own in active for part in _simulated(own, of_tranche[own.tranche], parameters)
        ]
        held = {fund.symbol for fund in funds if fund.shares > 0}
    else:
        parts = _of_account(active, of_tranche, parameters, holdings)
        held = set(holdings.shares)
    orders = netted(parts, basis, parameters.tranches if basis == SIMULATED else 1)
    if not orders:
        first = of_tranche[active[0].tranche]
        ending = [fund for fund in first if fund.ends_next and fund.symbol in held]
        orders = [_no_order(tranches, basis, parameters, has_begun=True, ending=ending)]
    return orders


def _active(tranches: Sequence[Tranche], parameters: Parameters) -> list[Tranche]:
    """Return the tranches that have begun or will begin on the session to trade."""

    def begins(own: Tranche) -> bool:
        return own.is_rebalance and own.n_eligible >= parameters.start_funds

    first = tranches[0]
    if not (first.has_begun or begins(first)):
        return []
    return [own for own in tranches if own.has_begun or begins(own)]


def _bars(funds: Sequence[Fund]) -> dict[str, Bar]:
    return {fund.symbol: Bar(fund.last_close, fund.last_close, 1.0, None, None) for fund in funds}


def _target(fund: Fund, weight: float, as_of_date: date) -> Target:
    value = 1.0 if fund.raw_value is None else fund.raw_value
    return Target(as_of_date, weight, fund.rank, fund.adv20, value, fund.sector)


def _simulated(own: Tranche, funds: Sequence[Fund], parameters: Parameters) -> list[Part]:
    """Return the targets of a simulated tranche."""
    shares = {fund.symbol: fund.shares for fund in funds if fund.shares > 0 and not fund.has_ended}
    open_orders = {fund.symbol: _open_order(fund) for fund in funds if fund.open_side}
    targets = None
    if own.is_rebalance:
        targets = {
            fund.symbol: _target(fund, fund.target_weight, own.as_of_date)
            for fund in funds
            if fund.target_weight is not None
        }
    trail = plan(
        own.trade_date,
        _bars(funds),
        targets,
        parameters,
        cash=own.cash,
        shares=shares,
        open_orders=open_orders,
    )
    return _parts(own, funds, trail, shares, open_orders, parameters)


def _of_account(
    active: Sequence[Tranche],
    of_tranche: Mapping[int, Sequence[Fund]],
    parameters: Parameters,
    holdings: Holdings,
) -> list[Part]:
    """Return the targets of the user's account: the mean of the tranches' weights."""
    first = active[0]
    funds = of_tranche[first.tranche]
    if not any(own.is_rebalance for own in active):
        return []
    ended = {fund.symbol for fund in funds if fund.has_ended}
    shares = {symbol: n for symbol, n in holdings.shares.items() if symbol not in ended}
    only = None
    if parameters.tranches == 1:
        wanted = {fund.symbol: fund for fund in funds if fund.target_weight is not None}
        weights = {symbol: fund.target_weight for symbol, fund in wanted.items()}
    else:
        # One account: the ADV cap is not split by tranche, and capped weight stays in
        # cash.
        wanted, weights, only = _mean_weights(active, of_tranche, parameters.tranches, shares)
        parameters = replace(parameters, tranches=1, redistribute=False)
    targets = {
        symbol: _target(fund, weights[symbol], first.as_of_date) for symbol, fund in wanted.items()
    }
    trail = plan(
        first.trade_date,
        _bars(funds),
        targets,
        parameters,
        cash=holdings.cash,
        shares=shares,
        open_orders={},
        only=only,
    )
    rebalanced = first._replace(is_rebalance=True)
    return _parts(rebalanced, funds, trail, shares, {}, parameters)


def _mean_weights(
    active: Sequence[Tranche],
    of_tranche: Mapping[int, Sequence[Fund]],
    tranches: int,
    shares: Mapping[str, float],
) -> tuple[dict[str, Fund], dict[str, float], set[str]]:
    """Return the targeted funds, their mean weights, and the funds to trade.

    The funds to trade are those whose target changed today, and those held without a
    target in any tranche.
    """
    wanted: dict[str, Fund] = {}
    before: dict[str, list[float]] = {}
    after: dict[str, list[float]] = {}
    for own in active:
        for fund in of_tranche[own.tranche]:
            if fund.has_ended:
                continue
            old, new = fund.last_weight or 0.0, fund.target_weight or 0.0
            new = new if own.is_rebalance else old
            before.setdefault(fund.symbol, []).append(old)
            after.setdefault(fund.symbol, []).append(new)
            if new > 0:
                wanted[fund.symbol] = fund
    weights = {symbol: sum(after[symbol]) / tranches for symbol in wanted}
    changed = {symbol for symbol in after if after[symbol] != before[symbol]}
    return wanted, weights, changed | (set(shares) - set(wanted))


def _parts(
    own: Tranche,
    funds: Sequence[Fund],
    trail: Sequence[Planned],
    shares: Mapping[str, float],
    open_orders: Mapping[str, Order],
    parameters: Parameters,
) -> list[Part]:
    by_symbol = {fund.symbol: fund for fund in funds}
    parts = []
    for planned in trail:
        fund, held = by_symbol[planned.symbol], shares.get(planned.symbol, 0.0)
        if own.is_rebalance:
            weight, target = planned.target_weight, planned.target_shares
            reason = CHANGES[planned.side, held > 0 and target > 0]
        else:
            weight, target = fund.open_weight, open_orders[planned.symbol].target_shares
            reason = _carried_over(fund.open_reason, own.as_of_date)
        if not planned.is_filled:
            reason += CASH_DOES_NOT_COVER
        elif planned.side == "buy" and target - held - planned.shares >= parameters.lot_size:
            reason += CUT_TO_CASH
        if fund.last_bar_date < own.as_of_date:
            since = fund.last_bar_date
            reason += Bilingual(f", no trade since {since}", f"，自 {since} 起无成交")
        if fund.ends_next:
            reason += _ends_next([fund], own.trade_date)
        parts.append(Part(own.tranche, fund, planned, weight, target, reason))
    return parts


def next_orders_of_all(
    tranches: pa.Table,
    funds: pa.Table,
    parameters: pa.Table,
    holdings: Mapping[str, Holdings],
) -> pa.Table:
    """Apply `next_orders` to every pool.

    Parameters
    ----------
    tranches, funds, parameters : pyarrow.Table
        Columns of `TRANCHES_SCHEMA`, `FUNDS_SCHEMA` and the backtest's
        `PARAMETERS_SCHEMA`, rows in any order; meaning and units as in `next_orders`.
        `parameters` holds live strategies only.
    holdings : mapping of pool to Holdings
        The user's own holdings; a pool without an entry is simulated.

    Returns
    -------
    pyarrow.Table
        `ORDERS_SCHEMA`, at least one row per pool, sorted by pool and sequence.

    Raises
    ------
    ValueError
        A missing column, a null or infinite value, a duplicate row, a close that is not
        positive, a rebalance without `n_eligible`, a tranche without parameters.
    """
    tranches = read_checked("tranches", tranches, TRANCHES_SCHEMA, ("pool", "tranche"))
    funds = read_checked("funds", funds, FUNDS_SCHEMA, ("pool", "tranche", "symbol"))
    parameters = read_checked("parameters", parameters, PARAMETERS_SCHEMA, ("pool",))
    refuse("funds", funds, pc.less_equal(funds["last_close"], 0), "last_close is not above zero")
    is_unknown = pc.and_(tranches["is_rebalance"], pc.is_null(tranches["n_eligible"]))
    refuse("tranches", tranches, is_unknown, "a rebalance without n_eligible")
    is_known = pc.is_in(tranches["pool"], value_set=parameters["pool"].combine_chunks())
    refuse("tranches", tranches, pc.invert(is_known), "unknown pool, it has no parameters")

    by_pool: dict[str, list[Tranche]] = {}
    for row in tranches.to_pylist():
        by_pool.setdefault(row["pool"], []).append(Tranche(**row))
    parameters_of = {row["pool"]: Parameters(**row) for row in parameters.to_pylist()}
    orders = []
    for pool, own in by_pool.items():
        of_pool = funds.filter(pc.field("pool") == pool).to_pylist()
        of_pool = [Fund(**fund) for fund in of_pool]
        orders += next_orders(own, of_pool, parameters_of[pool], holdings.get(pool))
    return pa.Table.from_pylist([order._asdict() for order in orders], schema=ORDERS_SCHEMA)


def _open_order(fund: Fund) -> Order:
    # Repeat the last attempt unchanged: no corporate action since then is known.
    sign = 1 if fund.open_side == "buy" else -1
    return Order(fund.shares + sign * fund.open_shares, fund.open_sequence)


def _carried_over(obstacle: str, as_of_date: date) -> Bilingual:
    obstacle_zh = OBSTACLES_ZH[obstacle]
    return Bilingual(
        f"carry-over: {obstacle} on {as_of_date}", f"延续委托：{as_of_date} {obstacle_zh}，未成交"
    )


def _ends_next(funds: Sequence[Fund], day: date) -> Bilingual:
    named = " ".join(fund.symbol for fund in funds)
    return Bilingual(
        f", {named} counts as ended and is paid out at its last close if it has no row on {day}",
        f"，若 {day} 仍没有数据，{named} 视为终止，按最后收盘价兑付",
    )


def _no_order(
    tranches: Sequence[Tranche],
    basis: str,
    parameters: Parameters,
    *,
    has_begun: bool,
    ending: Sequence[Fund] = (),
) -> NextOrder:
    first = tranches[0]
    rebalancing = [own for own in tranches if own.is_rebalance]
    day, needed = first.trade_date, parameters.start_funds
    reason = Bilingual("no order: ", "无委托：")
    if rebalancing and has_begun:
        reason += Bilingual(
            f"the rebalance on {day} finds nothing to change, ", f"{day} 的调仓无需变动，"
        )
    elif first.is_rebalance:
        eligible = first.n_eligible
        reason += Bilingual(
            f"{eligible} funds are eligible for the rebalance on {day}, the first needs {needed}, ",
            f"{day} 的调仓只有 {eligible} 只合格基金，首次需要 {needed} 只，",
        )
    later = [own.next_rebalance_date for own in tranches if own.next_rebalance_date]
    if later:
        reason += Bilingual(f"next rebalance on {min(later)}", f"下次调仓在 {min(later)}")
    else:
        reason += Bilingual("the calendar holds no later rebalance", "日历中没有更晚的调仓日")
    if ending:
        reason += _ends_next(ending, day)
    return NextOrder(
        pool=first.pool,
        sequence=0,
        basis=basis,
        symbol=None,
        side=None,
        shares=None,
        target_weight=None,
        target_shares=None,
        reason=reason.en,
        reason_zh=reason.zh,
    )
