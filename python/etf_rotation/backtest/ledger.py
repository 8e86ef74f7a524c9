"""The position walk as tables: fills, shares, cash and equity of a pool, session by session."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from etf_rotation.backtest.account import (
    ENDED,
    Account,
    Attempt,
    Order,
    Parameters,
    Rebalanced,
    Selection,
    Target,
    follow,
)
from etf_rotation.backtest.prices import (
    BARS_SCHEMA,
    ENDINGS_SCHEMA,
    Bar,
    Prices,
    fault,
    lay_out,
    read_prices,
)
from etf_rotation.signals.selection import FundKey, read_checked, refuse, schema_of


class Session(NamedTuple):
    """A session of the exchange; `n_eligible` must be known on a rebalance."""

    trade_date: date
    is_rebalance: bool
    n_eligible: int | None


class Entry(NamedTuple):
    """A row of the ledger; `walk` says which columns each kind has."""

    pool: str
    sequence: int
    kind: str
    trade_date: date
    symbol: str | None = None
    side: str | None = None
    reason: str | None = None
    is_carry_over: bool | None = None
    target_weight: float | None = None
    target_shares: float | None = None
    shares: float | None = None
    price: float | None = None
    close: float | None = None
    value: float | None = None
    market_value: float | None = None
    equity: float | None = None
    equity_as_of: float | None = None
    cash: float | None = None
    holdings_value: float | None = None
    commission: float | None = None
    slippage: float | None = None
    corporate_action_value: float | None = None
    price_pnl: float | None = None


class _PoolKey(NamedTuple):
    pool: str


# What the ledger has of the trail of an account.
ORDER = ("symbol", "side", "is_carry_over", "shares")
REJECTED = (*ORDER, "reason")
TRADE = (*REJECTED, "price", "value", "commission", "slippage")
REBALANCE = ("symbol", "target_weight", "target_shares", "price", "equity", "equity_as_of")

SESSIONS_SCHEMA = schema_of(_PoolKey, Session)
TARGETS_SCHEMA = schema_of(FundKey, Target)
PARAMETERS_SCHEMA = schema_of(Parameters)
LEDGER_SCHEMA = schema_of(Entry)


def walk(
    bars: Mapping[date, Mapping[str, Bar]],
    targets: Mapping[date, Mapping[str, Target]],
    sessions: Sequence[Session],
    parameters: Parameters,
    endings: Iterable[tuple[date, str]] = (),
) -> list[Entry]:
    """Walk one pool through its sessions.

    Parameters
    ----------
    bars : mapping of date to mapping of symbol to Bar
        Only the sessions on which a fund traded.
    targets : mapping of date to mapping of symbol to Target
        The selected funds of each rebalance; where none is selected, everything is sold. Those
        after the last session are tomorrow's and are left alone.
    sessions : sequence of Session
        Every session of the exchange from the pool's first to its last, in order.
    parameters : Parameters
        Of this pool.
    endings : iterable of (date, str)
        Each session on which a fund counts as ended, and the fund: it has been without any row for
        so long that nothing can be sold any more.

    Returns
    -------
    list of Entry
        Nothing before the first rebalance with at least `top_n` eligible funds; from then on, for
        each session in this order, in CNY and (real) shares:

        - for each fund held that ends, a `trade` with side `sell` and reason `ended`: its shares at
          their last close, without costs;
        - on a rebalance, a `rebalance` for each fund selected or held, in symbol order:
          target_weight (capped), equity (at the open), equity_as_of (at the last close), price
          (the open, else the last close), target_shares;
        - for each order as it was tried, sells before buys, a `trade`: side, shares, reason
          (`left_selection` or `reduced` of a sell, `entered` or `increased` of a buy), price (of
          the fill), value, commission, slippage, is_carry_over; or a `rejected`: side, shares,
          reason, is_carry_over;
        - a `position` for each fund held, in symbol order: shares, close (the last known),
          market_value;
        - one `session`: equity, cash, holdings_value, commission, slippage,
          corporate_action_value, price_pnl.

    Raises
    ------
    ValueError
        Bars, targets or endings on a date that is no session, targets on a session that is no
        rebalance, an `as_of_date` other than the session before, a target of a fund without any
        bar yet, or without the ADV20 that caps it, a fund that ends on a session with a bar.

    Notes
    -----
    Source of the formulas: "Execution and accounting" and step 3 of "Portfolio construction" in
    the strategy's specification. With ratio = adj / adj of the fund's previous bar, over funds
    with a bar:

    - corporate_action_value = Σ added shares × previous close / ratio: of a dividend, the cash
      that was paid and counts as reinvested at `pre_close`
    - slippage = Σ shares × |fill - open|
    - price_pnl = Σ shares before × (open - previous close)
      + Σ added shares × (open - previous close / ratio) + Σ shares at the close × (close - open)
    - change in equity = price_pnl + corporate_action_value - commission - slippage, to rounding;
      the first change is from `target_capital`
    """
    dates = [session.trade_date for session in sessions]
    prices = lay_out(dates, bars, parameters.pool, endings)
    return _walk(prices, targets, sessions, parameters)


def plan(
    session: Session,
    last_bars: Mapping[str, Bar],
    targets: Mapping[str, Target],
    parameters: Parameters,
    *,
    cash: float,
    shares: Mapping[str, float],
    open_orders: Mapping[str, Order],
) -> list[Entry]:
    """Return what a session to come would do if every fund opened at its last close.

    Parameters
    ----------
    session : Session
        The one after the last close; on a rebalance the pool is taken to have started.
    last_bars : mapping of symbol to Bar
        The last bar of each fund that is held, selected or in an open order.
    targets : mapping of symbol to Target
        The funds selected for the session; none unless it is a rebalance.
    parameters : Parameters
        Of this pool. `target_capital` counts for nothing here: the capital is the account's.
    cash : float
        CNY at the last close.
    shares : mapping of symbol to float
        Held at the last close, above zero.
    open_orders : mapping of symbol to Order
        Orders of the last rebalance that had no fill so far.

    Returns
    -------
    list of Entry
        As `walk` records them: the `rebalance` rows, and each order as a `trade`, or as a
        `rejected` where cash does not cover one lot.

    Raises
    ------
    ValueError
        A target without the ADV20 that caps it.
    """
    bars = {
        symbol: Bar(bar.close, bar.close, bar.adj, None, None) for symbol, bar in last_bars.items()
    }
    last, today = None, session.trade_date
    prices = lay_out([last, today], {last: bars, today: bars}, parameters.pool)
    columns = {symbol: n for n, symbol in enumerate(prices.symbols)}
    account = Account(
        prices,
        parameters,
        cash,
        {columns[symbol]: n for symbol, n in shares.items()},
        {columns[symbol]: order for symbol, order in open_orders.items()},
    )
    own = {columns[symbol]: target for symbol, target in targets.items()}
    account.trade(1, own if session.is_rebalance else None)
    ledger = _ledger(account)
    return [e for e in ledger if e.kind in ("rebalance", "trade", "rejected")]


def run(
    bars: pa.Table,
    targets: pa.Table,
    sessions: pa.Table,
    endings: pa.Table,
    parameters: pa.Table,
) -> pa.Table:
    """Walk every pool of `parameters`.

    Parameters
    ----------
    bars, targets, sessions, endings, parameters : pyarrow.Table
        Columns of `BARS_SCHEMA`, `TARGETS_SCHEMA`, `SESSIONS_SCHEMA`, `ENDINGS_SCHEMA` and
        `PARAMETERS_SCHEMA`, rows in any order; meaning and units as in `walk`. A pool without
        sessions has no ledger.

    Returns
    -------
    pyarrow.Table
        `LEDGER_SCHEMA`, sorted by pool and sequence; `sequence` counts from 0 in each pool.

    Raises
    ------
    ValueError
        A missing column, a null or infinite value, a duplicate row, a price, limit or adjustment
        factor that is not positive, a weight outside 0 to 1, an ADV20 below zero, a rebalance
        without `n_eligible`, a pool without sessions or parameters, and what `walk` refuses; the
        message names pool, fund and date.
    """
    bars = read_checked("bars", bars, BARS_SCHEMA, FundKey._fields)
    targets = read_checked("targets", targets, TARGETS_SCHEMA, FundKey._fields)
    sessions = read_checked("sessions", sessions, SESSIONS_SCHEMA, ("pool", "trade_date"))
    endings = read_checked("endings", endings, ENDINGS_SCHEMA, FundKey._fields)
    parameters = read_checked("parameters", parameters, PARAMETERS_SCHEMA, ("pool",))
    for column in Bar._fields:
        refuse("bars", bars, pc.less_equal(bars[column], 0), f"{column} is not above zero")
    is_unknown = pc.and_(sessions["is_rebalance"], pc.is_null(sessions["n_eligible"]))
    refuse("sessions", sessions, is_unknown, "a rebalance without n_eligible")
    refuse("targets", targets, pc.less(targets["adv20"], 0), "adv20 is below zero")
    refuse("targets", targets, pc.less(targets["target_weight"], 0), "target_weight is below 0")
    refuse("targets", targets, pc.greater(targets["target_weight"], 1), "target_weight is above 1")
    for name, table, owner, owners in (
        ("bars", bars, "sessions", sessions),
        ("targets", targets, "sessions", sessions),
        ("endings", endings, "sessions", sessions),
        ("sessions", sessions, "parameters", parameters),
    ):
        is_known = pc.is_in(table["pool"], value_set=owners["pool"].combine_chunks())
        refuse(name, table, pc.invert(is_known), f"unknown pool, it has no {owner}")

    ledgers = [LEDGER_SCHEMA.empty_table()]
    for row in parameters.to_pylist():
        is_of_pool = pc.field("pool") == row["pool"]
        own_sessions = _records(sessions.filter(is_of_pool), Session)
        own_targets: dict[date, dict[str, Target]] = defaultdict(dict)
        table = targets.filter(is_of_pool)
        for key, target in zip(_records(table, FundKey), _records(table, Target), strict=True):
            own_targets[key.trade_date][key.symbol] = target
        prices = read_prices(
            bars.filter(is_of_pool),
            [own.trade_date for own in own_sessions],
            endings.filter(is_of_pool),
        )
        ledger = _walk(prices, own_targets, own_sessions, Parameters(**row))
        if ledger:
            ledgers.append(pa.table(list(zip(*ledger, strict=True)), schema=LEDGER_SCHEMA))
    return pa.concat_tables(ledgers).combine_chunks()


def _walk(
    prices: Prices,
    targets: Mapping[date, Mapping[str, Target]],
    sessions: Sequence[Session],
    parameters: Parameters,
) -> list[Entry]:
    _check_dates(targets, sessions, parameters.pool)
    columns = {symbol: n for n, symbol in enumerate(prices.symbols)}
    rebalances = {}
    for n, session in enumerate(sessions):
        if session.is_rebalance:
            own = targets.get(session.trade_date, {})
            for symbol in own.keys() - columns.keys():
                raise fault("targets", parameters.pool, session.trade_date, symbol, "no bar so far")
            rebalances[n] = Selection(
                session.n_eligible, {columns[symbol]: target for symbol, target in own.items()}
            )
    return _ledger(follow(prices, rebalances, parameters))


def _ledger(account: Account) -> list[Entry]:
    """Tell an account's trail session by session, with where the change in equity came from."""
    prices, closes = account.prices, account.closes()
    ledger: list[Entry] = []
    if closes is None:
        return ledger

    def record(kind: str, **values: object) -> None:
        pool, trade_date = account.parameters.pool, prices.dates[session]
        ledger.append(Entry(pool, len(ledger), kind, trade_date, **values))

    rebalanced, attempts = _by_session(account.rebalanced), _by_session(account.attempts)
    states = {state.session: state.shares for state in account.states}
    held: Mapping[int, float] = {}
    for n, session in enumerate(range(closes.first, len(prices.dates))):
        # The payouts come before the rebalance, which invests their cash.
        payouts = [row for row in attempts.get(session, ()) if row.reason == ENDED]
        orders = [row for row in attempts.get(session, ()) if row.reason != ENDED]
        for row in (*payouts, *rebalanced.get(session, ()), *orders):
            kind, names = _kind(row)
            values = row._asdict() | {"symbol": prices.symbols[row.fund]}
            record(kind, **{name: values[name] for name in names})

        before, held = held, states.get(session, held)
        action_value, overnight_pnl = _overnight(prices, session, before)
        intraday_pnl = []
        for fund, shares in sorted(held.items()):
            close = prices.last_close.item(session, fund)
            open_ = prices.open.item(session, fund)
            if not math.isnan(open_):
                intraday_pnl.append(shares * (close - open_))
            symbol, value = prices.symbols[fund], shares * close
            record("position", symbol=symbol, shares=shares, close=close, market_value=value)
        record(
            "session",
            **{name: getattr(closes, name).item(n) for name in closes._fields[1:]},
            corporate_action_value=action_value,
            price_pnl=overnight_pnl + math.fsum(intraday_pnl),
        )
    return ledger


def _kind(row: Rebalanced | Attempt) -> tuple[str, Sequence[str]]:
    if isinstance(row, Rebalanced):
        return "rebalance", REBALANCE
    return ("trade", TRADE) if row.is_filled else ("rejected", REJECTED)


def _overnight(prices: Prices, session: int, held: Mapping[int, float]) -> tuple[float, float]:
    added_values, pnl = [], []
    actions = prices.actions.get(session, {})
    for fund, shares in held.items():
        open_ = prices.open.item(session, fund)
        if not math.isnan(open_):
            last_close = prices.last_close.item(session - 1, fund)
            ratio = actions.get(fund, 1.0)
            added = shares * ratio - shares
            ex_close = last_close / ratio
            added_values.append(added * ex_close)
            pnl += shares * (open_ - last_close), added * (open_ - ex_close)
    return math.fsum(added_values), math.fsum(pnl)


def _by_session(rows: Sequence) -> dict[int, list]:
    groups: dict[int, list] = defaultdict(list)
    for row in rows:
        groups[row.session].append(row)
    return groups


def _check_dates(
    targets: Mapping[date, Mapping[str, Target]], sessions: Sequence[Session], pool: str
) -> None:
    dates = [session.trade_date for session in sessions]
    session_before = dict(zip(dates, [None, *dates], strict=False))
    rebalances = {session.trade_date for session in sessions if session.is_rebalance}
    for trade_date, funds in targets.items():
        if trade_date > dates[-1]:
            continue
        for symbol, target in funds.items():
            if trade_date not in rebalances:
                raise fault("targets", pool, trade_date, symbol, "not a rebalance session")
            before = session_before[trade_date]
            if target.as_of_date >= trade_date or before not in (None, target.as_of_date):
                what = f"as_of_date {target.as_of_date} is not the session before"
                raise fault("targets", pool, trade_date, symbol, what)


def _records(table: pa.Table, record: type) -> list:
    columns = (table[name].to_pylist() for name in record._fields)
    return list(map(record._make, zip(*columns, strict=True)))
