"""Accounts of a pool: trades and holdings by session, many accounts at once.

Accounts are independent, so each may stand at another session. One step takes every account
to the next session that changes it. Sums over funds are exact, and every other operation
touches one fund at a time. Therefore no bit of a session depends on later sessions, on other
accounts, or on funds that the account does not trade.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple, Protocol

import numpy as np

from etf_rotation.backtest.exact_sums import exact_sums
from etf_rotation.backtest.prices import Prices
from etf_rotation.signals.weights import EQUAL, UNIT, Cap, Limits, redistribute

# In lots. A quotient this close below a whole number of lots counts as that number.
LOT_TOLERANCE = 1e-9
BPS = 10_000
# Reasons of an order, or obstacles to its fill; `ended` is the payout of an ended fund.
ENTERED, INCREASED, LEFT, REDUCED, ENDED = range(5)
SUSPENDED, LIMIT_UP, LIMIT_DOWN, CASH = range(5, 9)
REASONS = (
    "entered",
    "increased",
    "left_selection",
    "reduced",
    "ended",
    "suspended",
    "limit_up",
    "limit_down",
    "cash",
)
FILLED = ENDED  # reasons up to it belong to fills


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Capital, limits, costs and rules of a strategy in one pool."""

    strategy: str
    pool: str
    target_capital: float  # CNY
    start_funds: int  # eligible funds that the first rebalance needs
    tranches: int = 1
    weighting: str = EQUAL
    redistribute: bool = False
    max_single_weight: float
    max_sector_weight: float
    max_adv_pct: float  # fraction of ADV20
    enforce_adv: bool
    carry_over: bool
    min_weight_change: float  # fraction of equity
    slippage_bps: float
    commission_bps: float
    min_commission_cny: float
    lot_size: int  # shares

    def __post_init__(self) -> None:
        """Reject values with which the simulation would make no sense."""
        for name in ("target_capital", "start_funds", "tranches", "max_adv_pct", "lot_size"):
            if not getattr(self, name) > 0:
                raise ValueError(f"parameters, pool {self.pool}: {name} is not above zero")
        for name in ("min_weight_change", "slippage_bps", "commission_bps", "min_commission_cny"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"parameters, pool {self.pool}: {name} is below zero")


class Target(NamedTuple):
    """The nominal weight of a selected fund, from bars up to `as_of_date`; ADV20 in CNY.

    `raw_value` is what the weighting takes of the fund (see `signals.weights.redistribute`), and
    `sector` its category, None for a broad fund; both count only where weights are redistributed.
    """

    as_of_date: date
    target_weight: float
    rank: int
    adv20: float | None
    raw_value: float = 1.0
    sector: str | None = None


Selection = Mapping[int, Target]  # by the fund's column in `Prices`


class Order(NamedTuple):
    """An open order: the shares to hold once it is filled.

    `rank` is that of the selected fund; 0 for a fund that left the selection.
    """

    target_shares: float
    rank: int


class Rebalanced(NamedTuple):
    """The funds of every rebalance, one array per field; equities and price in CNY."""

    account: np.ndarray
    session: np.ndarray
    fund: np.ndarray
    target_weight: np.ndarray
    target_shares: np.ndarray
    price: np.ndarray
    equity: np.ndarray
    equity_as_of: np.ndarray


class Attempts(NamedTuple):
    """Attempts to fill an order, and payouts, one array per field; amounts in CNY.

    `reason` is an index into `REASONS`. Up to `FILLED` the order was filled; above it the reason
    names the obstacle, and the amounts are NaN.
    """

    account: np.ndarray
    session: np.ndarray
    fund: np.ndarray
    is_buy: np.ndarray
    is_carry_over: np.ndarray
    shares: np.ndarray
    reason: np.ndarray
    price: np.ndarray
    value: np.ndarray
    commission: np.ndarray
    slippage: np.ndarray

    @property
    def is_filled(self) -> np.ndarray:
        """Whether shares and cash changed hands."""
        return self.reason <= FILLED


class States(NamedTuple):
    """Cash in CNY and shares at a close, valid until the account's next state; (rows,) each."""

    account: np.ndarray
    session: np.ndarray
    cash: np.ndarray
    shares: np.ndarray  # (rows, funds)


class Trail(NamedTuple):
    """The record of accounts; the rows of an account are in the order of events."""

    capital: np.ndarray  # (accounts,), CNY before the first session
    states: States
    rebalanced: Rebalanced
    attempts: Attempts


class Selected(Protocol):
    """Selections by place."""

    def __getitem__(self, place: int, /) -> Selection:
        """Return a selection."""


class LaidOut(Protocol):
    """Selections that `Accounts` reads by place, laid out by fund."""

    funds: int

    @property
    def rows(self) -> Selected:
        """The selections by place."""

    def add(self, selection: Any, /) -> int:
        """Return the index of a name in a schedule."""

    def laid_out(self) -> dict[str, np.ndarray]:
        """Return arrays of shape (selections, funds), zero where a fund is not selected."""


class Selections:
    """Selected funds of many rebalances, laid out by fund; equal objects are kept once."""

    def __init__(self, funds: int) -> None:
        self.funds = funds
        self.rows: list[Selection] = []
        self._places: dict[int, int] = {}

    def add(self, selection: Selection) -> int:
        """Return the place of a selection."""
        # By identity: rebalances that choose alike pass the same object.
        if id(selection) not in self._places:
            self._places[id(selection)] = len(self.rows)
            self.rows.append(selection)
        return self._places[id(selection)]

    def laid_out(self) -> dict[str, np.ndarray]:
        """Return arrays of shape (selections, funds), zero where a fund is not selected."""
        rows = np.array([n for n, own in enumerate(self.rows) for _ in own], int)
        columns = np.array([fund for own in self.rows for fund in own], int)
        targets = [target for own in self.rows for target in own.values()]
        shape = len(self.rows), self.funds
        grids = {
            "is_target": np.zeros(shape, bool),
            "weight": np.zeros(shape),
            "rank": np.zeros(shape, int),
            "adv20": np.full(shape, np.nan),
        }
        grids["is_target"][rows, columns] = True
        grids["weight"][rows, columns] = [target.target_weight for target in targets]
        grids["rank"][rows, columns] = [target.rank for target in targets]
        grids["adv20"][rows, columns] = [
            np.nan if target.adv20 is None else target.adv20 for target in targets
        ]
        return grids


class Accounts:
    """Accounts of one pool and the record of their trading.

    Parameters
    ----------
    prices : Prices
        Of the pool.
    parameters : sequence of Parameters
        One per account.
    cash : sequence of float
        Cash at the start in CNY, one per account.
    schedules : sequence of mapping of int to Selection
        For each account the selected funds by the position of the rebalance session; where no fund
        is selected, everything is sold. The account begins on the first of them.
    shares : array of shape (accounts, funds), optional
        Held before the first session.
    orders : sequence of mapping of int to Order, optional
        Orders of an earlier rebalance that had no fill so far, by fund.
    selections : LaidOut, optional
        Where the selections are laid out already; the schedules then hold their places.
    keeps_rebalances : bool
        Whether the trail contains `Rebalanced`.

    Notes
    -----
    Source of the formulas: "Execution and accounting" and step 4 of "Portfolio construction" in
    the strategy's specification.
    """

    # One value per account, from its parameters.
    tranches: np.ndarray
    max_adv_pct: np.ndarray
    min_weight_change: np.ndarray
    slippage_bps: np.ndarray
    commission_bps: np.ndarray
    min_commission_cny: np.ndarray
    lot_size: np.ndarray
    carry_over: np.ndarray
    enforce_adv: np.ndarray
    redistribute: np.ndarray

    def __init__(
        self,
        prices: Prices,
        parameters: Sequence[Parameters],
        cash: Sequence[float],
        schedules: Sequence[Mapping[int, Any]],
        shares: np.ndarray | None = None,
        orders: Sequence[Mapping[int, Order]] | None = None,
        selections: LaidOut | None = None,
        *,
        keeps_rebalances: bool = True,
    ) -> None:
        self.prices, self.parameters = prices, parameters
        count, funds = len(parameters), len(prices.symbols)
        self.end = len(prices.dates)
        for name in Accounts.__annotations__:
            setattr(self, name, np.array([getattr(own, name) for own in parameters]))
        self.capital = np.array(cash, dtype=float)
        self.cash = self.capital.copy()
        self.shares = np.zeros((count, funds)) if shares is None else shares.copy()
        # NaN without an order.
        self.wanted = np.full((count, funds), np.nan)
        self.ranks = np.zeros((count, funds), int)
        for account, own in enumerate(orders or ()):
            # Without carry-over unfilled orders have lapsed.
            for fund, order in own.items() if self.carry_over[account] else ():
                self.wanted[account, fund], self.ranks[account, fund] = order
        self.only: np.ndarray | None = None
        self.keeps_rebalances = keeps_rebalances
        self.selections: LaidOut = Selections(funds) if selections is None else selections
        self._schedule(schedules)
        self._trail: dict[Any, list] = {States: [], Rebalanced: [], Attempts: []}

    def _schedule(self, schedules: Sequence[Mapping[int, Any]]) -> None:
        """Return the rebalance sessions of each account, with a sentinel at the end."""
        longest = max((len(own) for own in schedules), default=0)
        self.rebalance_sessions = np.full((len(schedules), longest + 1), self.end)
        self.rebalance_selections = np.full((len(schedules), longest + 1), -1)
        for account, own in enumerate(schedules):
            sessions = sorted(own)
            self.rebalance_sessions[account, : len(sessions)] = sessions
            self.rebalance_selections[account, : len(sessions)] = [
                self.selections.add(own[session]) for session in sessions
            ]
        self.next_rebalance = np.zeros(len(schedules), int)
        self.targets = self.selections.laid_out()

    def run(self) -> Trail:
        """Take every account from its first rebalance to the last session.

        Raises
        ------
        ValueError
            A target of a fund without any bar yet, or without the ADV20 that caps it.
        """
        accounts = np.arange(len(self.parameters))
        sessions = self.rebalance_sessions[:, 0]
        while True:
            is_on = sessions < self.end
            accounts, sessions = accounts[is_on], sessions[is_on]
            if not len(accounts):
                return self.trail()
            self.step(accounts, sessions)
            sessions = self._next_sessions(accounts, sessions)

    def _next_sessions(self, accounts: np.ndarray, sessions: np.ndarray) -> np.ndarray:
        upcoming = np.minimum(
            self.rebalance_sessions[accounts, self.next_rebalance[accounts]],
            self.prices.next_events[sessions],
        )
        has_orders = ~np.isnan(self.wanted[accounts]).all(axis=1)
        return np.where(has_orders, np.minimum(upcoming, sessions + 1), upcoming)

    def trail(self) -> Trail:
        """Return the events of the accounts up to now."""
        tables = []
        for kind, steps in self._trail.items():
            if not steps:
                tables.append(kind(*(np.empty(0, int) for _ in kind._fields)))
                continue
            columns = [np.concatenate(column) for column in zip(*steps, strict=True)]
            order = np.argsort(columns[0], kind="stable")
            tables.append(kind(*(column[order] for column in columns)))
        return Trail(self.capital, *tables)

    # -- a session of each account -------------------------------------------------------------

    def step(self, accounts: np.ndarray, sessions: np.ndarray) -> None:
        """Pass one session of each of these accounts."""
        here = self.next_rebalance[accounts]
        is_rebalance = self.rebalance_sessions[accounts, here] == sessions
        own, at = accounts[is_rebalance], sessions[is_rebalance]
        equity_as_of = self.cash[own] + exact_sums(
            self.shares[own] * self.prices.known_closes[at - 1]
        )
        ratios = self.prices.ratios[sessions]
        self.shares[accounts] *= ratios
        self.wanted[accounts] *= ratios
        self._pay_out_ended_funds(accounts, sessions)
        if len(own):
            self._set_orders(
                own, at, self.rebalance_selections[own, here[is_rebalance]], equity_as_of
            )
            self.next_rebalance[own] += 1
        # After the rebalance, because it may order a fund that ends on the same session.
        self.wanted[accounts] = np.where(
            self.prices.has_ended[sessions], np.nan, self.wanted[accounts]
        )
        self._try_orders(accounts, sessions, ~is_rebalance)
        forgets = accounts[~self.carry_over[accounts]]
        self.wanted[forgets] = np.nan
        self._record(States, accounts, sessions, self.cash[accounts], self.shares[accounts])

    def _pay_out_ended_funds(self, accounts: np.ndarray, sessions: np.ndarray) -> None:
        is_paid = self.prices.has_ended[sessions] & (self.shares[accounts] > 0)
        for fund in np.flatnonzero(is_paid.any(axis=0)):
            rows = np.flatnonzero(is_paid[:, fund])
            own, at = accounts[rows], sessions[rows]
            shares = self.shares[own, fund]
            price = self.prices.known_closes[at, fund]
            value = shares * price
            self.cash[own] += value
            self.shares[own, fund] = 0.0
            free, funds = np.zeros(len(own)), np.full(len(own), fund)
            no = np.zeros(len(own), bool)
            reason = np.full(len(own), ENDED)
            self._record(Attempts, own, at, funds, no, no, shares, reason, price, value, free, free)

    def _set_orders(
        self,
        accounts: np.ndarray,
        sessions: np.ndarray,
        selections: np.ndarray,
        equity_as_of: np.ndarray,
    ) -> None:
        shares, prices = self.shares[accounts], self.prices.open_or_close[sessions]
        is_target = self.targets["is_target"][selections]
        is_involved = is_target | (shares > 0)
        self._check_bars(accounts, sessions, is_involved & np.isnan(prices))
        prices = np.where(is_involved, prices, 1.0)
        equity = self.cash[accounts] + exact_sums(shares * prices)
        weights = self._capped_weights(accounts, sessions, selections, equity_as_of)
        lots = self.lot_size[accounts, None]
        wanted = _whole_lots(weights * equity[:, None] / prices, lots)
        change = np.abs(wanted - shares) * prices
        least = (self.min_weight_change[accounts] * equity)[:, None]
        is_order = is_involved & ((wanted == 0) | (change > least))
        if self.only is not None:
            is_order &= self.only
        self.wanted[accounts] = np.where(is_order, wanted, np.nan)
        self.ranks[accounts] = self.targets["rank"][selections]
        if not self.keeps_rebalances:
            return
        rows, funds = np.nonzero(is_involved)
        self._record(
            Rebalanced,
            accounts[rows],
            sessions[rows],
            funds,
            weights[rows, funds],
            wanted[rows, funds],
            prices[rows, funds],
            equity[rows],
            equity_as_of[rows],
        )

    def _check_bars(
        self, accounts: np.ndarray, sessions: np.ndarray, is_missing: np.ndarray
    ) -> None:
        for row, fund in np.argwhere(is_missing)[:1]:
            raise self._fault(accounts[row], sessions[row], fund, "no bar so far")

    def _capped_weights(
        self,
        accounts: np.ndarray,
        sessions: np.ndarray,
        selections: np.ndarray,
        equity_as_of: np.ndarray,
    ) -> np.ndarray:
        weights, adv20 = (self.targets[name][selections] for name in ("weight", "adv20"))
        is_capped = self.enforce_adv[accounts, None] & self.targets["is_target"][selections]
        for row, fund in np.argwhere(is_capped & np.isnan(adv20))[:1]:
            raise self._fault(accounts[row], sessions[row], fund, "no adv20")
        caps = self.max_adv_pct[accounts, None] * adv20 / self.tranches[accounts, None]
        caps = np.where(is_capped, caps / equity_as_of[:, None], np.inf)
        shares_out = self.redistribute[accounts]
        capped = np.where(shares_out[:, None], weights, np.minimum(weights, caps))
        # A cap that no weight reaches changes nothing.
        is_bound = shares_out & (weights + 1 / UNIT > caps).any(axis=1)
        for row in np.flatnonzero(is_bound):
            capped[row] = self._redistributed(
                accounts[row], selections[row], caps[row], float(equity_as_of[row])
            )
        return capped

    def _redistributed(
        self, account: int, selection: int, caps: np.ndarray, equity_as_of: float
    ) -> np.ndarray:
        own, chosen = self.parameters[account], self.selections.rows[selection]
        weights = redistribute(
            own.weighting,
            [target.raw_value for target in chosen.values()],
            [target.sector for target in chosen.values()],
            Limits(own.max_single_weight, own.max_sector_weight),
            {
                n: Cap(own.max_adv_pct, target.adv20, own.tranches, equity_as_of)
                for n, (fund, target) in enumerate(chosen.items())
                # A cap far above the limit of a fund cannot bind.
                if caps[fund] <= 2 * own.max_single_weight
            },
        )
        row = np.zeros(self.selections.funds)
        row[list(chosen)] = weights
        return row

    def _try_orders(
        self, accounts: np.ndarray, sessions: np.ndarray, is_carry_over: np.ndarray
    ) -> None:
        change = self.wanted[accounts] - self.shares[accounts]
        is_sell = change < 0
        buys = _whole_lots(np.where(change > 0, change, 0.0), self.lot_size[accounts, None])
        is_buy = buys > 0
        # An order for less than a lot is no order.
        is_open = is_sell | is_buy
        rows = np.flatnonzero(is_open.any(axis=1))
        if len(rows):
            self._sell(
                accounts[rows], sessions[rows], is_carry_over[rows], is_sell[rows], change[rows]
            )
            self._buy(accounts[rows], sessions[rows], is_carry_over[rows], buys[rows])
        self.wanted[accounts] = np.where(is_open, self.wanted[accounts], np.nan)

    def _sell(
        self,
        accounts: np.ndarray,
        sessions: np.ndarray,
        is_carry_over: np.ndarray,
        is_sell: np.ndarray,
        change: np.ndarray,
    ) -> None:
        """Sell in the order of the funds."""
        if not is_sell.any():
            return
        opens = self.prices.open[sessions]
        obstacle = np.where(self.prices.is_limit_down[sessions], LIMIT_DOWN, -1)
        obstacle = np.where(np.isnan(opens), SUSPENDED, obstacle)
        is_free = is_sell & (obstacle < 0)
        shares = np.where(is_sell, -change, 0.0)
        price = opens * (1 + -1 * self.slippage_bps[accounts] / BPS)[:, None]
        value = np.where(is_free, shares * price, 0.0)
        commission = np.where(is_free, self._commission(accounts[:, None], value), 0.0)
        gains = -(-1 * value + commission)
        balance = np.cumsum(np.column_stack([self.cash[accounts], gains]), axis=1)
        # A few odd shares can be worth less than the commission for selling them.
        for row in np.flatnonzero((balance < 0).any(axis=1)):
            cash = self.cash[accounts[row]]
            for fund in np.flatnonzero(is_free[row]):
                if cash + gains[row, fund] < 0:
                    obstacle[row, fund], is_free[row, fund] = CASH, False
                else:
                    cash += gains[row, fund]
            balance[row, -1] = cash
        self.cash[accounts] = balance[:, -1]
        is_kept = self.ranks[accounts] > 0
        reason = np.where(is_free, np.where(is_kept, REDUCED, LEFT), obstacle)
        sold, funds = np.nonzero(is_sell)
        self._record_orders(
            accounts[sold],
            sessions[sold],
            funds,
            np.zeros(len(sold), bool),
            is_carry_over[sold],
            shares[sold, funds],
            reason[sold, funds],
            price[sold, funds],
            opens[sold, funds],
            value[sold, funds],
            commission[sold, funds],
        )
        held = self.shares[accounts]
        self.shares[accounts] = np.where(is_free, self.wanted[accounts], held)
        self.wanted[accounts] = np.where(is_free, np.nan, self.wanted[accounts])

    def _buy(
        self,
        accounts: np.ndarray,
        sessions: np.ndarray,
        is_carry_over: np.ndarray,
        buys: np.ndarray,
    ) -> None:
        """Buy in the order of the ranks, as far as cash goes."""
        counts = (buys > 0).sum(axis=1)
        if not counts.any():
            return
        funds = buys.shape[1]
        ranks = np.where(buys > 0, self.ranks[accounts] * funds + np.arange(funds), np.inf)
        order = np.argsort(ranks, axis=1, kind="stable")
        for place in range(counts.max()):
            rows = np.flatnonzero(counts > place)
            fund = order[rows, place]
            self._buy_one(
                accounts[rows], sessions[rows], is_carry_over[rows], fund, buys[rows, fund]
            )

    def _buy_one(
        self,
        accounts: np.ndarray,
        sessions: np.ndarray,
        is_carry_over: np.ndarray,
        funds: np.ndarray,
        shares: np.ndarray,
    ) -> None:
        """Try one buy of each account."""
        opens = self.prices.open[sessions, funds]
        reason = np.where(self.shares[accounts, funds] > 0, INCREASED, ENTERED)
        obstacle = np.where(self.prices.is_limit_up[sessions, funds], LIMIT_UP, -1)
        obstacle = np.where(np.isnan(opens), SUSPENDED, obstacle)
        price = opens * (1 + 1 * self.slippage_bps[accounts] / BPS)
        filled = np.where(obstacle < 0, self._affordable(accounts, shares, price), 0.0)
        value = filled * price
        commission = self._commission(accounts, value)
        obstacle = np.where((obstacle < 0) & (filled == 0), CASH, obstacle)
        is_free = obstacle < 0
        self._record_orders(
            accounts,
            sessions,
            funds,
            np.ones(len(accounts), bool),
            is_carry_over,
            np.where(is_free, filled, shares),
            np.where(is_free, reason, obstacle),
            price,
            opens,
            value,
            commission,
        )
        own, bought = accounts[is_free], funds[is_free]
        self.cash[own] -= (1 * value + commission)[is_free]
        self.shares[own, bought] += filled[is_free]
        self.wanted[own, bought] = np.nan

    def _affordable(
        self, accounts: np.ndarray, shares: np.ndarray, price: np.ndarray
    ) -> np.ndarray:
        cash, lots = self.cash[accounts], self.lot_size[accounts]
        shares = np.minimum(shares, _whole_lots(cash / price, lots))
        while True:
            value = shares * price
            is_too_dear = (shares > 0) & (value + self._commission(accounts, value) > cash)
            if not is_too_dear.any():
                return shares
            shares = np.where(is_too_dear, shares - lots, shares)

    def _commission(self, accounts: np.ndarray, value: np.ndarray) -> np.ndarray:
        return np.maximum(
            self.min_commission_cny[accounts], value * self.commission_bps[accounts] / BPS
        )

    def _record_orders(  # noqa: PLR0913
        self,
        accounts: np.ndarray,
        sessions: np.ndarray,
        funds: np.ndarray,
        is_buy: np.ndarray,
        is_carry_over: np.ndarray,
        shares: np.ndarray,
        reason: np.ndarray,
        price: np.ndarray,
        opens: np.ndarray,
        value: np.ndarray,
        commission: np.ndarray,
    ) -> None:
        is_filled = reason <= FILLED
        amounts = price, value, commission, shares * np.abs(price - opens)
        self._record(
            Attempts,
            accounts,
            sessions,
            funds,
            is_buy,
            is_carry_over,
            shares,
            reason,
            *(np.where(is_filled, amount, np.nan) for amount in amounts),
        )

    def _record(self, kind: type, *columns: np.ndarray) -> None:
        if len(columns[0]):
            self._trail[kind].append(columns)

    def _fault(self, account: int, session: int, fund: int, fault: str) -> ValueError:
        return ValueError(
            f"targets, pool {self.parameters[account].pool}, trade_date "
            f"{self.prices.dates[session]}, symbol {self.prices.symbols[fund]}: {fault}"
        )

    def trade_once(self, session: int, only: Collection[int] | None = None) -> Trail:
        """Pass one session of every account, trading the funds `only` on a rebalance."""
        if only is not None:
            self.only = np.isin(np.arange(len(self.prices.symbols)), list(only))
        accounts = np.arange(len(self.parameters))
        self.step(accounts, np.full(len(accounts), session))
        return self.trail()


def _whole_lots(shares: np.ndarray, lot_size: np.ndarray) -> np.ndarray:
    return np.floor(shares / lot_size + LOT_TOLERANCE) * lot_size
