"""The position walk: fills, shares, cash and equity of a pool, session by session.

Sums over holdings are `math.fsum` and everything else touches one fund at a time: no bit of a
session depends on later sessions or on funds that the pool does not trade.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from etf_rotation.selection import FundKey, read_checked, refuse, schema_of

# In lots: a quotient that misses a whole lot by the last bits of a double is that lot.
LOT_TOLERANCE = 1e-9
# Limit prices are multiples of it; raw prices carry float noise beyond.
PRICE_DECIMALS = 3
BPS = 10_000


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Capital, limits and costs of one pool."""

    pool: str
    target_capital: float  # CNY
    top_n: int
    max_adv_pct: float  # share of ADV20
    enforce_adv: bool
    carry_over: bool
    min_weight_change: float  # share of equity
    slippage_bps: float
    commission_bps: float
    min_commission_cny: float
    lot_size: int  # shares

    def __post_init__(self) -> None:
        """Refuse values with which the walk would make no sense."""
        for name in ("target_capital", "top_n", "max_adv_pct", "lot_size"):
            if not getattr(self, name) > 0:
                raise ValueError(f"parameters, pool {self.pool}: {name} is not above zero")
        for name in ("min_weight_change", "slippage_bps", "commission_bps", "min_commission_cny"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"parameters, pool {self.pool}: {name} is below zero")


class Bar(NamedTuple):
    """A fund's session, unadjusted CNY; limits are rounded to 0.001, null where there is none."""

    open: float
    close: float
    adj: float  # cumulative adjustment factor
    limit_up: float | None
    limit_down: float | None


class Session(NamedTuple):
    """A session of the exchange; `n_eligible` must be known on a rebalance."""

    trade_date: date
    is_rebalance: bool
    n_eligible: int | None


class Target(NamedTuple):
    """The nominal weight of a selected fund, from bars up to `as_of_date`; ADV20 in CNY."""

    as_of_date: date
    target_weight: float
    rank: int
    adv20: float | None


class Order(NamedTuple):
    """An open order: the shares to hold once it is filled, and the score's rank of a buy."""

    target_shares: float
    rank: int


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


BARS_SCHEMA = schema_of(FundKey, Bar)
SESSIONS_SCHEMA = schema_of(_PoolKey, Session)
TARGETS_SCHEMA = schema_of(FundKey, Target)
PARAMETERS_SCHEMA = schema_of(Parameters)
LEDGER_SCHEMA = schema_of(Entry)


def walk(
    bars: Mapping[date, Mapping[str, Bar]],
    targets: Mapping[date, Mapping[str, Target]],
    sessions: Sequence[Session],
    parameters: Parameters,
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

    Returns
    -------
    list of Entry
        Nothing before the first rebalance with at least `top_n` eligible funds; from then on, for
        each session in this order, in CNY and (real) shares:

        - on a rebalance, a `rebalance` for each fund selected or held, in symbol order:
          target_weight (capped), equity (at the open), equity_as_of (at the last close), price
          (the open, else the last close), target_shares;
        - for each order as it was tried, sells before buys, a `trade`: side, shares, price (of the
          fill), value, commission, slippage, is_carry_over; or a `rejected`: side, shares,
          reason, is_carry_over;
        - a `position` for each fund held, in symbol order: shares, close (the last known),
          market_value;
        - one `session`: equity, cash, holdings_value, commission, slippage,
          corporate_action_value, price_pnl.

    Raises
    ------
    ValueError
        Bars or targets on a date that is no session, targets on a session that is no rebalance,
        an `as_of_date` other than the session before, a target of a fund without any bar yet, or
        without the ADV20 that caps it.

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
    _check_dates(bars, targets, sessions, parameters.pool)
    account = _Account(parameters)
    has_started = False
    for session in sessions:
        today = bars.get(session.trade_date, {})
        if session.is_rebalance and session.n_eligible >= parameters.top_n:
            has_started = True
        if has_started:
            account.trade(session, today, targets.get(session.trade_date, {}))
        account.last_bars.update(today)
    return account.ledger


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
    account = _Account(parameters)
    account.cash = cash
    account.shares = dict(shares)
    account.orders = dict(open_orders)
    account.last_bars = dict(last_bars)
    account.equity = cash + math.fsum(n * last_bars[symbol].close for symbol, n in shares.items())
    opens = {
        symbol: Bar(bar.close, bar.close, bar.adj, None, None) for symbol, bar in last_bars.items()
    }
    account.trade(session, opens, targets)
    return [e for e in account.ledger if e.kind in ("rebalance", "trade", "rejected")]


def run(bars: pa.Table, targets: pa.Table, sessions: pa.Table, parameters: pa.Table) -> pa.Table:
    """Walk every pool of `parameters`.

    Parameters
    ----------
    bars, targets, sessions, parameters : pyarrow.Table
        Columns of `BARS_SCHEMA`, `TARGETS_SCHEMA`, `SESSIONS_SCHEMA` and `PARAMETERS_SCHEMA`, rows
        in any order; meaning and units as in `walk`. A pool without sessions has no ledger.

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
        ("sessions", sessions, "parameters", parameters),
    ):
        is_known = pc.is_in(table["pool"], value_set=owners["pool"].combine_chunks())
        refuse(name, table, pc.invert(is_known), f"unknown pool, it has no {owner}")

    ledgers = [LEDGER_SCHEMA.empty_table()]
    for row in parameters.to_pylist():
        is_of_pool = pc.field("pool") == row["pool"]
        ledger = walk(
            _by_date(bars.filter(is_of_pool), Bar),
            _by_date(targets.filter(is_of_pool), Target),
            _records(sessions.filter(is_of_pool), Session),
            Parameters(**row),
        )
        if ledger:
            ledgers.append(pa.table(list(zip(*ledger, strict=True)), schema=LEDGER_SCHEMA))
    return pa.concat_tables(ledgers).combine_chunks()


class _Account:
    """Cash, shares and open orders of one pool, and the ledger they leave."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.cash = parameters.target_capital
        self.equity = parameters.target_capital  # at the last close
        self.shares: dict[str, float] = {}
        self.orders: dict[str, Order] = {}  # those without any fill
        self.last_bars: dict[str, Bar] = {}  # of the sessions before
        self.ledger: list[Entry] = []

    def trade(
        self, session: Session, bars: Mapping[str, Bar], targets: Mapping[str, Target]
    ) -> None:
        self.session, self.bars = session, bars
        first = len(self.ledger)
        corporate_action_value, overnight_pnl = self._apply_corporate_actions()
        if session.is_rebalance:
            self._set_orders(targets)
        elif not self.parameters.carry_over:
            self.orders = {}
        self._try_orders()
        intraday_pnl = self._mark_to_close()

        today = self.ledger[first:]
        trades = [entry for entry in today if entry.kind == "trade"]
        holdings_value = math.fsum(e.market_value for e in today if e.kind == "position")
        self.equity = self.cash + holdings_value
        self._record(
            "session",
            equity=self.equity,
            cash=self.cash,
            holdings_value=holdings_value,
            commission=math.fsum(trade.commission for trade in trades),
            slippage=math.fsum(trade.slippage for trade in trades),
            corporate_action_value=corporate_action_value,
            price_pnl=overnight_pnl + intraday_pnl,
        )

    def _apply_corporate_actions(self) -> tuple[float, float]:
        added_values, overnight_pnl = [], []
        for symbol in self.bars.keys() & (self.shares.keys() | self.orders.keys()):
            bar, last = self.bars[symbol], self.last_bars[symbol]
            ratio = bar.adj / last.adj
            if symbol in self.orders:
                order = self.orders[symbol]
                self.orders[symbol] = order._replace(target_shares=order.target_shares * ratio)
            if symbol in self.shares:
                held = self.shares[symbol]
                added = held * ratio - held
                ex_close = last.close / ratio
                self.shares[symbol] = held * ratio
                added_values.append(added * ex_close)
                overnight_pnl += held * (bar.open - last.close), added * (bar.open - ex_close)
        return math.fsum(added_values), math.fsum(overnight_pnl)

    def _set_orders(self, targets: Mapping[str, Target]) -> None:
        symbols = sorted(self.shares.keys() | targets.keys())
        prices = {symbol: self._open_or_last_close(symbol) for symbol in symbols}
        equity = self.cash + math.fsum(n * prices[symbol] for symbol, n in self.shares.items())
        self.orders = {}
        for symbol, price in prices.items():
            target = targets.get(symbol)
            weight = self._capped_weight(symbol, target) if target else 0.0
            target_shares = self._whole_lots(weight * equity / price)
            self._record(
                "rebalance",
                symbol=symbol,
                target_weight=weight,
                target_shares=target_shares,
                price=price,
                equity=equity,
                equity_as_of=self.equity,
            )
            change_value = abs(target_shares - self.shares.get(symbol, 0.0)) * price
            if target_shares == 0 or change_value > self.parameters.min_weight_change * equity:
                self.orders[symbol] = Order(target_shares, target.rank if target else 0)

    def _open_or_last_close(self, symbol: str) -> float:
        if symbol in self.bars:
            return self.bars[symbol].open
        if symbol not in self.last_bars:
            raise self._fault(symbol, "no bar so far")
        return self.last_bars[symbol].close

    def _capped_weight(self, symbol: str, target: Target) -> float:
        if not self.parameters.enforce_adv:
            return target.target_weight
        if target.adv20 is None:
            raise self._fault(symbol, "no adv20")
        return min(target.target_weight, self.parameters.max_adv_pct * target.adv20 / self.equity)

    def _try_orders(self) -> None:
        sells, buys, unfilled = [], [], {}
        for symbol, order in self.orders.items():
            change = order.target_shares - self.shares.get(symbol, 0.0)
            if change < 0:
                sells.append((symbol, "sell", -change))
            elif (shares := self._whole_lots(change)) > 0:
                buys.append((symbol, "buy", shares))
        sells.sort()
        buys.sort(key=lambda buy: (self.orders[buy[0]].rank, buy[0]))
        for symbol, side, shares in sells + buys:
            if not self._fill(symbol, side, shares):
                unfilled[symbol] = self.orders[symbol]
        self.orders = unfilled

    def _fill(self, symbol: str, side: str, shares: float) -> bool:
        bar = self.bars.get(symbol)
        order = {"symbol": symbol, "side": side, "is_carry_over": not self.session.is_rebalance}
        reason = _obstacle(side, bar)
        if reason is None:
            sign = 1 if side == "buy" else -1
            price = bar.open * (1 + sign * self.parameters.slippage_bps / BPS)
            filled = self._affordable(shares, price) if side == "buy" else shares
            value = filled * price
            commission = self._commission(value)
            cash = self.cash - (sign * value + commission)
            # A few odd shares can be worth less than the commission of selling them.
            if filled == 0 or cash < 0:
                reason = "cash"
        if reason is not None:
            self._record("rejected", shares=shares, reason=reason, **order)
            return False

        self.cash = cash
        if side == "buy":
            self.shares[symbol] = self.shares.get(symbol, 0.0) + filled
        elif self.orders[symbol].target_shares > 0:
            self.shares[symbol] = self.orders[symbol].target_shares
        else:
            del self.shares[symbol]
        slippage = filled * abs(price - bar.open)
        amounts = {"value": value, "commission": commission, "slippage": slippage}
        self._record("trade", shares=filled, price=price, **amounts, **order)
        return True

    def _affordable(self, shares: float, price: float) -> float:
        shares = min(shares, self._whole_lots(self.cash / price))
        while shares > 0 and shares * price + self._commission(shares * price) > self.cash:
            shares -= self.parameters.lot_size
        return shares

    def _commission(self, value: float) -> float:
        return max(self.parameters.min_commission_cny, value * self.parameters.commission_bps / BPS)

    def _whole_lots(self, shares: float) -> float:
        lot_size = self.parameters.lot_size
        return float(math.floor(shares / lot_size + LOT_TOLERANCE) * lot_size)

    def _mark_to_close(self) -> float:
        intraday_pnl = []
        for symbol, shares in sorted(self.shares.items()):
            bar = self.bars.get(symbol)
            if bar:
                intraday_pnl.append(shares * (bar.close - bar.open))
            close = (bar or self.last_bars[symbol]).close
            value = shares * close
            self._record("position", symbol=symbol, shares=shares, close=close, market_value=value)
        return math.fsum(intraday_pnl)

    def _record(self, kind: str, **values: object) -> None:
        key = self.parameters.pool, len(self.ledger), kind, self.session.trade_date
        self.ledger.append(Entry(*key, **values))

    def _fault(self, symbol: str, fault: str) -> ValueError:
        return _fault("targets", self.parameters.pool, self.session.trade_date, symbol, fault)


def _obstacle(side: str, bar: Bar | None) -> str | None:
    if bar is None:
        return "suspended"
    price = round(bar.open, PRICE_DECIMALS)
    if side == "buy" and bar.limit_up is not None and price >= bar.limit_up:
        return "limit_up"
    if side == "sell" and bar.limit_down is not None and price <= bar.limit_down:
        return "limit_down"
    return None


def _check_dates(
    bars: Mapping[date, Mapping[str, Bar]],
    targets: Mapping[date, Mapping[str, Target]],
    sessions: Sequence[Session],
    pool: str,
) -> None:
    dates = [session.trade_date for session in sessions]
    session_before = dict(zip(dates, [None, *dates], strict=False))
    rebalances = {session.trade_date for session in sessions if session.is_rebalance}
    for trade_date in bars.keys() - session_before.keys():
        raise _fault("bars", pool, trade_date, min(bars[trade_date]), "not a session")
    for trade_date, funds in targets.items():
        if trade_date > dates[-1]:
            continue
        for symbol, target in funds.items():
            if trade_date not in rebalances:
                raise _fault("targets", pool, trade_date, symbol, "not a rebalance session")
            before = session_before[trade_date]
            if target.as_of_date >= trade_date or before not in (None, target.as_of_date):
                fault = f"as_of_date {target.as_of_date} is not the session before"
                raise _fault("targets", pool, trade_date, symbol, fault)


def _fault(table: str, pool: str, trade_date: date, symbol: str, fault: str) -> ValueError:
    return ValueError(f"{table}, pool {pool}, trade_date {trade_date}, symbol {symbol}: {fault}")


def _by_date(table: pa.Table, record: type) -> dict[date, dict]:
    # The table is sorted by date; one date object a row would cost more than the whole walk.
    runs = pc.run_end_encode(table["trade_date"].combine_chunks())
    ends = runs.run_ends.to_pylist()
    rows = zip(table["symbol"].to_pylist(), _records(table, record), strict=True)
    return {
        trade_date: dict(islice(rows, end - start))
        for trade_date, start, end in zip(runs.values.to_pylist(), [0, *ends], ends, strict=False)
    }


def _records(table: pa.Table, record: type) -> list:
    columns = (table[name].to_pylist() for name in record._fields)
    return list(map(record._make, zip(*columns, strict=True)))
