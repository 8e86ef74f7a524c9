"""Tomorrow's orders: what each pool trades at the next open, or why it trades nothing."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from etf_rotation.account import Bar, Order, Parameters, Target
from etf_rotation.backtest import PARAMETERS_SCHEMA, Session, plan
from etf_rotation.holdings import Holdings
from etf_rotation.selection import read_checked, refuse, schema_of

SIMULATED = "simulated"
HOLDINGS_FILE = "holdings_file"


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
        where there is nothing to trade; its reason names the next rebalance session.

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
            reason = f"rebalance: {_change(entry.side, held, target)}"
        else:
            weight, target = fund.open_weight, open_orders[entry.symbol].target_shares
            reason = f"carry-over: {fund.open_reason} on {session.as_of_date}"
        if entry.kind == "rejected":
            reason += ", at the last close cash does not cover it"
        elif entry.side == "buy" and target - held - entry.shares >= parameters.lot_size:
            reason += ", cut to what cash covers"
        if fund.last_bar_date < session.as_of_date:
            reason += f", no trade since {fund.last_bar_date}"
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
                reason=reason,
            )
        )
    return orders or [_no_order(session, basis, parameters, has_started=True)]


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


def _change(side: str, held: float, target: float) -> str:
    if side == "buy":
        return "increase" if held > 0 else "enter"
    return "reduce" if target > 0 else "exit"


def _no_order(
    session: NextSession, basis: str, parameters: Parameters, *, has_started: bool
) -> NextOrder:
    reason = "no order: "
    if session.is_rebalance and has_started:
        reason += f"the rebalance on {session.trade_date} finds nothing to change, "
    elif session.is_rebalance:
        reason += (
            f"{session.n_eligible} funds are eligible for the rebalance on {session.trade_date}, "
            f"the first needs {parameters.top_n}, "
        )
    if session.next_rebalance_date:
        reason += f"next rebalance on {session.next_rebalance_date}"
    else:
        reason += "the calendar holds no later rebalance"
    return NextOrder(
        pool=session.pool,
        sequence=0,
        basis=basis,
        symbol=None,
        side=None,
        shares=None,
        target_weight=None,
        target_shares=None,
        reason=reason,
    )
