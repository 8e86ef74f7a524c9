"""The account of a pool: what it trades and holds, session by session.

Sums over holdings are `math.fsum` and everything else touches one fund at a time: no bit of a
session depends on later sessions or on funds that the pool does not trade.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np

from etf_rotation.backtest.prices import Prices

# In lots: a quotient that misses a whole lot by the last bits of a double is that lot.
LOT_TOLERANCE = 1e-9
# Limit prices are multiples of it; raw prices carry float noise beyond.
PRICE_DECIMALS = 3
BPS = 10_000
# The reason of the payout of a fund that ended.
ENDED = "ended"


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


class Target(NamedTuple):
    """The nominal weight of a selected fund, from bars up to `as_of_date`; ADV20 in CNY."""

    as_of_date: date
    target_weight: float
    rank: int
    adv20: float | None


class Selection(NamedTuple):
    """The funds selected for a rebalance, by their column in `Prices`."""

    n_eligible: int
    targets: Mapping[int, Target]


class Order(NamedTuple):
    """An open order: the shares to hold once it is filled.

    `rank` is the score's rank of the selected fund; 0 for a fund that left the selection.
    """

    target_shares: float
    rank: int


class Rebalanced(NamedTuple):
    """What a rebalance made of a fund; equities and price in CNY."""

    session: int
    fund: int
    target_weight: float
    target_shares: float
    price: float
    equity: float
    equity_as_of: float


class Attempt(NamedTuple):
    """An order as it was tried, or the payout of a fund that ended.

    Of a fill `reason` says why it was sent and the amounts are in CNY; of an order without any
    fill `reason` names the obstacle and there are no amounts.
    """

    session: int
    fund: int
    side: str
    is_carry_over: bool
    shares: float
    reason: str
    price: float | None = None
    value: float | None = None
    commission: float | None = None
    slippage: float | None = None

    @property
    def is_filled(self) -> bool:
        """Whether shares and cash changed hands."""
        return self.price is not None


class State(NamedTuple):
    """Cash in CNY and shares by fund, from the close of `session` until the next state."""

    session: int
    cash: float
    shares: Mapping[int, float]


class Closes(NamedTuple):
    """The sessions from `first` on, float (sessions,) each, CNY."""

    first: int
    equity: np.ndarray
    cash: np.ndarray
    holdings_value: np.ndarray
    commission: np.ndarray
    slippage: np.ndarray


class Account:
    """Cash, shares and open orders of one pool, and the trail that its trading leaves.

    Parameters
    ----------
    prices : Prices
        Of the pool.
    parameters : Parameters
        Of the pool.
    cash : float
        CNY.
    shares : mapping of int to float
        Held, above zero, by the fund's column in `prices`.
    orders : mapping of int to Order
        Those of the last rebalance without any fill.

    Notes
    -----
    Source of the formulas: "Execution and accounting" and step 3 of "Portfolio construction" in
    the strategy's specification.
    """

    def __init__(
        self,
        prices: Prices,
        parameters: Parameters,
        cash: float,
        shares: Mapping[int, float] | None = None,
        orders: Mapping[int, Order] | None = None,
    ) -> None:
        self.prices, self.parameters = prices, parameters
        self.cash = cash
        self.shares = dict(shares or {})
        self.orders = dict(orders or {})
        self.rebalanced: list[Rebalanced] = []
        self.attempts: list[Attempt] = []
        self.states: list[State] = []

    def is_at_rest(self, session: int) -> bool:
        """Return whether nothing but prices can change on a session without a rebalance."""
        return (
            not self.orders
            and session not in self.prices.actions
            and session not in self.prices.endings
        )

    def trade(self, session: int, targets: Mapping[int, Target] | None) -> None:
        """Pass a session; `targets` are those of a rebalance, None where it is none.

        Raises
        ------
        ValueError
            A target of a fund without any bar yet, or without the ADV20 that caps it.
        """
        self.session = session
        equity_as_of = None if targets is None else self._equity_as_of()
        self._apply_corporate_actions()
        self._pay_out_ended_funds()
        if targets is not None:
            self._set_orders(targets, equity_as_of)
        elif not self.parameters.carry_over:
            self.orders = {}
        # After the rebalance: it may target a fund that ends on this session.
        for fund in self.prices.endings.get(session, ()):
            self.orders.pop(fund, None)
        self._try_orders(is_carry_over=targets is None)
        self.states.append(State(session, self.cash, dict(self.shares)))

    def _equity_as_of(self) -> float:
        return self.cash + math.fsum(
            n * self.prices.last_close.item(self.session - 1, fund)
            for fund, n in self.shares.items()
        )

    def _pay_out_ended_funds(self) -> None:
        for fund in self.prices.endings.get(self.session, ()):
            if fund in self.shares:
                shares = self.shares.pop(fund)
                price = self.prices.last_close.item(self.session, fund)
                value = shares * price
                self.cash += value
                self.attempts.append(
                    Attempt(
                        self.session, fund, "sell", False, shares, ENDED, price, value, 0.0, 0.0
                    )
                )

    def _apply_corporate_actions(self) -> None:
        for fund, ratio in self.prices.actions.get(self.session, {}).items():
            if fund in self.orders:
                order = self.orders[fund]
                self.orders[fund] = Order(order.target_shares * ratio, order.rank)
            if fund in self.shares:
                self.shares[fund] *= ratio

    def _set_orders(self, targets: Mapping[int, Target], equity_as_of: float) -> None:
        prices = {fund: self._open_or_last_close(fund) for fund in sorted({*self.shares, *targets})}
        equity = self.cash + math.fsum(n * prices[fund] for fund, n in self.shares.items())
        least_change = self.parameters.min_weight_change * equity
        self.orders = {}
        for fund, price in prices.items():
            target = targets.get(fund)
            weight = self._capped_weight(fund, target, equity_as_of) if target else 0.0
            target_shares = self._whole_lots(weight * equity / price)
            self.rebalanced.append(
                Rebalanced(self.session, fund, weight, target_shares, price, equity, equity_as_of)
            )
            change_value = abs(target_shares - self.shares.get(fund, 0.0)) * price
            if target_shares == 0 or change_value > least_change:
                self.orders[fund] = Order(target_shares, target.rank if target else 0)

    def _open_or_last_close(self, fund: int) -> float:
        price = self.prices.open.item(self.session, fund)
        if math.isnan(price):
            price = self.prices.last_close.item(self.session, fund)
        if math.isnan(price):
            raise self._fault(fund, "no bar so far")
        return price

    def _capped_weight(self, fund: int, target: Target, equity_as_of: float) -> float:
        if not self.parameters.enforce_adv:
            return target.target_weight
        if target.adv20 is None:
            raise self._fault(fund, "no adv20")
        return min(target.target_weight, self.parameters.max_adv_pct * target.adv20 / equity_as_of)

    def _try_orders(self, *, is_carry_over: bool) -> None:
        sells, buys, unfilled = [], [], {}
        for fund, order in self.orders.items():
            change = order.target_shares - self.shares.get(fund, 0.0)
            if change < 0:
                sells.append((fund, "sell", -change))
            elif (shares := self._whole_lots(change)) > 0:
                buys.append((fund, "buy", shares))
        sells.sort()
        buys.sort(key=lambda buy: (self.orders[buy[0]].rank, buy[0]))
        for fund, side, shares in sells + buys:
            attempt = self._fill(fund, side, shares, is_carry_over)
            self.attempts.append(attempt)
            if not attempt.is_filled:
                unfilled[fund] = self.orders[fund]
        self.orders = unfilled

    def _fill(self, fund: int, side: str, shares: float, is_carry_over: bool) -> Attempt:
        open_ = self.prices.open.item(self.session, fund)
        obstacle = self._obstacle(side, fund, open_)
        if obstacle is None:
            sign = 1 if side == "buy" else -1
            price = open_ * (1 + sign * self.parameters.slippage_bps / BPS)
            filled = self._affordable(shares, price) if side == "buy" else shares
            value = filled * price
            commission = self._commission(value)
            cash = self.cash - (sign * value + commission)
            # A few odd shares can be worth less than the commission of selling them.
            if filled == 0 or cash < 0:
                obstacle = "cash"
        if obstacle is not None:
            return Attempt(self.session, fund, side, is_carry_over, shares, obstacle)

        reason = self._reason(side, fund)
        self.cash = cash
        if side == "buy":
            self.shares[fund] = self.shares.get(fund, 0.0) + filled
        elif self.orders[fund].target_shares > 0:
            self.shares[fund] = self.orders[fund].target_shares
        else:
            del self.shares[fund]
        slippage = filled * abs(price - open_)
        return Attempt(
            self.session,
            fund,
            side,
            is_carry_over,
            filled,
            reason,
            price,
            value,
            commission,
            slippage,
        )

    def _reason(self, side: str, fund: int) -> str:
        if side == "buy":
            return "increased" if fund in self.shares else "entered"
        # A target below one lot sells all shares of a fund that is still selected.
        return "reduced" if self.orders[fund].rank > 0 else "left_selection"

    def _obstacle(self, side: str, fund: int, open_: float) -> str | None:
        if math.isnan(open_):
            return "suspended"
        price = round(open_, PRICE_DECIMALS)
        # Nothing compares with a limit that is NaN: there is none.
        if side == "buy" and price >= self.prices.limit_up.item(self.session, fund):
            return "limit_up"
        if side == "sell" and price <= self.prices.limit_down.item(self.session, fund):
            return "limit_down"
        return None

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

    def _fault(self, fund: int, fault: str) -> ValueError:
        return ValueError(
            f"targets, pool {self.parameters.pool}, trade_date {self.prices.dates[self.session]}, "
            f"symbol {self.prices.symbols[fund]}: {fault}"
        )

    def closes(self) -> Closes | None:
        """Mark every session from the first state on to its close; None where there is no state."""
        if not self.states:
            return None
        first = self.states[0].session
        sessions, cash, shares = zip(*self.states, strict=True)
        lengths = np.diff([*sessions, len(self.prices.dates)])
        # A row for each state, filled up with nothing of the first fund.
        width = max(map(len, shares))
        funds = np.zeros((len(shares), width), dtype=int)
        held = np.zeros((len(shares), width))
        for n, of_state in enumerate(shares):
            funds[n, : len(of_state)] = list(of_state.keys())
            held[n, : len(of_state)] = list(of_state.values())
        days = np.arange(first, len(self.prices.dates))[:, None]
        closes = self.prices.last_close[days, np.repeat(funds, lengths, axis=0)]
        # A fund that is not listed yet has no close, and is not held.
        values = np.repeat(held, lengths, axis=0) * np.nan_to_num(closes)
        holdings_value = np.array([math.fsum(row) for row in values.tolist()])
        cash = np.repeat(cash, lengths)
        return Closes(
            first,
            cash + holdings_value,
            cash,
            holdings_value,
            *(self._sum_by_session(name, first, len(cash)) for name in ("commission", "slippage")),
        )

    def _sum_by_session(self, name: str, first: int, count: int) -> np.ndarray:
        amounts: dict[int, list[float]] = {}
        for attempt in self.attempts:
            if attempt.is_filled:
                amounts.setdefault(attempt.session - first, []).append(getattr(attempt, name))
        sums = np.zeros(count)
        for session, values in amounts.items():
            sums[session] = math.fsum(values)
        return sums


def follow(prices: Prices, rebalances: Mapping[int, Selection], parameters: Parameters) -> Account:
    """Lead a pool's account through all sessions.

    Parameters
    ----------
    prices : Prices
        Of the pool.
    rebalances : mapping of int to Selection
        By the position of the session; where no fund is selected, everything is sold.
    parameters : Parameters
        Of the pool.

    Returns
    -------
    Account
        After the last session. It begins on the first rebalance with at least `top_n` eligible
        funds.

    Raises
    ------
    ValueError
        A target of a fund without any bar yet, or without the ADV20 that caps it.
    """
    account = Account(prices, parameters, parameters.target_capital)
    firsts = (n for n, own in sorted(rebalances.items()) if own.n_eligible >= parameters.top_n)
    for session in range(next(firsts, len(prices.dates)), len(prices.dates)):
        selection = rebalances.get(session)
        if selection is not None:
            account.trade(session, selection.targets)
        elif not account.is_at_rest(session):
            account.trade(session, None)
    return account
