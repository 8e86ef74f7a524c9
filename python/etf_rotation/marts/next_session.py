"""Tomorrow's orders: what each pool trades at the next open, or why it trades nothing."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from etf_rotation.backtest.account import Order, Parameters, Target
from etf_rotation.backtest.ledger import PARAMETERS_SCHEMA, Session, plan
from etf_rotation.backtest.prices import Bar
from etf_rotation.bilingual import Bilingual
from etf_rotation.marts.holdings import Holdings
from etf_rotation.signals.selection import read_checked, refuse, schema_of

SIMULATED = "simulated"
HOLDINGS_FILE = "holdings_file"

CASH_DOES_NOT_COVER = Bilingual(
    ", at the last close cash does not cover it", "，按最新收盘价现金不足"
)
CUT_TO_CASH = Bilingual(", cut to what cash covers", "，已按现金缩减")
# By side, and whether the fund is held both before and after.
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


class NextSession(NamedTuple):
    """A pool before the session to trade; `cash` is null before the pool's first rebalance."""

    pool: str
    trade_date: date
    as_of_date: date
    is_rebalance: bool
    n_eligible: int | None
    next_rebalance_date: date | None  # after trade_date; null where the calendar ends before it
    cash: float | None  # CNY at the close of as_of_date


class Fund(NamedTuple):
    """A fund with a bar, before the session to trade; unadjusted prices in CNY."""

    pool: str
    symbol: str
    last_bar_date: date
    last_close: float
    has_ended: bool
    ends_next: bool  # unless it has a row on the session to trade
    shares: float  # simulated, at the last close
    target_weight: float | None  # nominal; null unless selected for the session
    rank: int | None
    adv20: float | None
    open_sequence: int | None  # of the last session's attempt; null without an open order
    open_side: str | None
    open_shares: float | None
    open_weight: float | None  # capped, of the last rebalance
    open_reason: str | None


class NextOrder(NamedTuple):
    """A row of tomorrow's orders, in the order to send them; no symbol where there is none."""

    pool: str
    sequence: int
    basis: str
    symbol: str | None
    side: str | None
    shares: float | None
    target_weight: float | None
    target_shares: float | None
    reason: str
    reason_zh: str


SESSIONS_SCHEMA = schema_of(NextSession)
FUNDS_SCHEMA = schema_of(Fund)
ORDERS_SCHEMA = schema_of(NextOrder)


def next_orders(
    session: NextSession,
    funds: Sequence[Fund],
    parameters: Parameters,
    holdings: Holdings | None = None,
) -> list[NextOrder]:
    """Return one pool's orders for the session after its last bar.

    Parameters
    ----------
    session : NextSession
        Of this pool.
    funds : sequence of Fund
        Every fund of the pool that has a bar.
    parameters : Parameters
        Of this pool.
    holdings : Holdings, optional
        The user's own at the last close, in place of the simulated ones.

    Returns
    -------
    list of NextOrder
        Shares above zero; sells before buys, as the backtest sends them. One row without a symbol
        where there is nothing to trade; its reason names the next rebalance session. A fund that
        has ended is never ordered, and the user's own holdings count without it.

    Notes
    -----
    Source of the rules: "Execution and accounting" in the strategy's specification, as `plan`
    applies them with the last close in the place of the open. On a session that is no rebalance
    the simulated account tries again what had no fill so far; the user's own holdings are traded
    on rebalance sessions only, since nothing tells which of the user's orders were filled.
    """
    basis = HOLDINGS_FILE if holdings else SIMULATED
    has_started = session.cash is not None
    if not has_started and not (session.is_rebalance and session.n_eligible >= parameters.top_n):
        return [_no_order(session, basis, parameters, has_started=False)]

    by_symbol = {fund.symbol: fund for fund in funds}
    if holdings is None:
        cash = session.cash if has_started else parameters.target_capital
        holdings = Holdings(cash, {fund.symbol: fund.shares for fund in funds if fund.shares > 0})
    ended = {fund.symbol for fund in funds if fund.has_ended}
    tradable = {symbol: n for symbol, n in holdings.shares.items() if symbol not in ended}
    holdings = holdings._replace(shares=tradable)
    open_orders = {}
    if basis == SIMULATED:
        open_orders = {fund.symbol: _open_order(fund) for fund in funds if fund.open_side}
    entries = plan(
        Session(session.trade_date, session.is_rebalance, session.n_eligible),
        {fund.symbol: Bar(fund.last_close, fund.last_close, 1.0, None, None) for fund in funds},
        {
            fund.symbol: Target(session.as_of_date, fund.target_weight, fund.rank, fund.adv20)
            for fund in funds
            if fund.target_weight is not None
        },
        parameters,
        cash=holdings.cash,
        shares=holdings.shares,
        open_orders=open_orders,
    )
    targets = {entry.symbol: entry for entry in entries if entry.kind == "rebalance"}
    orders = []
    for entry in entries:
        if entry.kind == "rebalance":
            continue
        fund = by_symbol[entry.symbol]
        held = holdings.shares.get(entry.symbol, 0.0)
        if session.is_rebalance:
            rebalance = targets[entry.symbol]
            weight, target = rebalance.target_weight, rebalance.target_shares
            reason = CHANGES[entry.side, held > 0 and target > 0]
        else:
            weight, target = fund.open_weight, open_orders[entry.symbol].target_shares
            reason = _carried_over(fund.open_reason, session.as_of_date)
        if entry.kind == "rejected":
            reason += CASH_DOES_NOT_COVER
        elif entry.side == "buy" and target - held - entry.shares >= parameters.lot_size:
            reason += CUT_TO_CASH
        if fund.last_bar_date < session.as_of_date:
            since = fund.last_bar_date
            reason += Bilingual(f", no trade since {since}", f"，自 {since} 起无成交")
        if fund.ends_next:
            reason += _ends_next([fund], session)
        orders.append(
            NextOrder(
                pool=session.pool,
                sequence=len(orders) + 1,
                basis=basis,
                symbol=entry.symbol,
                side=entry.side,
                shares=entry.shares,
                target_weight=weight,
                target_shares=target,
                reason=reason.en,
                reason_zh=reason.zh,
            )
        )
    ending = [fund for fund in funds if fund.ends_next and fund.symbol in holdings.shares]
    return orders or [_no_order(session, basis, parameters, has_started=True, ending=ending)]


def next_orders_of_all(
    sessions: pa.Table,
    funds: pa.Table,
    parameters: pa.Table,
    holdings: Mapping[str, Holdings],
) -> pa.Table:
    """Apply `next_orders` to every pool.

    Parameters
    ----------
    sessions, funds, parameters : pyarrow.Table
        Columns of `SESSIONS_SCHEMA`, `FUNDS_SCHEMA` and the backtest's `PARAMETERS_SCHEMA`, rows
        in any order; meaning and units as in `next_orders`.
    holdings : mapping of pool to Holdings
        The user's own; pools without stay simulated.

    Returns
    -------
    pyarrow.Table
        `ORDERS_SCHEMA`, at least one row a pool, sorted by pool and sequence.

    Raises
    ------
    ValueError
        A missing column, a null or infinite value, a duplicate row, a close that is not positive,
        a rebalance without `n_eligible`, a session without parameters.
    """
    sessions = read_checked("sessions", sessions, SESSIONS_SCHEMA, ("pool",))
    funds = read_checked("funds", funds, FUNDS_SCHEMA, ("pool", "symbol"))
    parameters = read_checked("parameters", parameters, PARAMETERS_SCHEMA, ("pool",))
    refuse("funds", funds, pc.less_equal(funds["last_close"], 0), "last_close is not above zero")
    is_unknown = pc.and_(sessions["is_rebalance"], pc.is_null(sessions["n_eligible"]))
    refuse("sessions", sessions, is_unknown, "a rebalance without n_eligible")
    is_known = pc.is_in(sessions["pool"], value_set=parameters["pool"].combine_chunks())
    refuse("sessions", sessions, pc.invert(is_known), "unknown pool, it has no parameters")

    parameters_of = {row["pool"]: Parameters(**row) for row in parameters.to_pylist()}
    orders = []
    for row in sessions.to_pylist():
        pool = row["pool"]
        of_pool = funds.filter(pc.field("pool") == pool).to_pylist()
        orders += next_orders(
            NextSession(**row),
            [Fund(**fund) for fund in of_pool],
            parameters_of[pool],
            holdings.get(pool),
        )
    return pa.Table.from_pylist([order._asdict() for order in orders], schema=ORDERS_SCHEMA)


def _open_order(fund: Fund) -> Order:
    # What was tried last is what will be tried next: no corporate action is known in between.
    sign = 1 if fund.open_side == "buy" else -1
    return Order(fund.shares + sign * fund.open_shares, fund.open_sequence)


def _carried_over(obstacle: str, as_of_date: date) -> Bilingual:
    obstacle_zh = OBSTACLES_ZH[obstacle]
    return Bilingual(
        f"carry-over: {obstacle} on {as_of_date}", f"延续委托：{as_of_date} {obstacle_zh}，未成交"
    )


def _ends_next(funds: Sequence[Fund], session: NextSession) -> Bilingual:
    named, day = " ".join(fund.symbol for fund in funds), session.trade_date
    return Bilingual(
        f", {named} counts as ended and is paid out at its last close if it has no row on {day}",
        f"，若 {day} 仍没有数据，{named} 视为终止，按最后收盘价兑付",
    )


def _no_order(
    session: NextSession,
    basis: str,
    parameters: Parameters,
    *,
    has_started: bool,
    ending: Sequence[Fund] = (),
) -> NextOrder:
    day, eligible, needed = session.trade_date, session.n_eligible, parameters.top_n
    reason = Bilingual("no order: ", "无委托：")
    if session.is_rebalance and has_started:
        reason += Bilingual(
            f"the rebalance on {day} finds nothing to change, ", f"{day} 的调仓无需变动，"
        )
    elif session.is_rebalance:
        reason += Bilingual(
            f"{eligible} funds are eligible for the rebalance on {day}, the first needs {needed}, ",
            f"{day} 的调仓只有 {eligible} 只合格基金，首次需要 {needed} 只，",
        )
    if later := session.next_rebalance_date:
        reason += Bilingual(f"next rebalance on {later}", f"下次调仓在 {later}")
    else:
        reason += Bilingual("the calendar holds no later rebalance", "日历中没有更晚的调仓日")
    if ending:
        reason += _ends_next(ending, session)
    return NextOrder(
        pool=session.pool,
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
