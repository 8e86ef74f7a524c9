"""Cash, shares and open orders of many accounts, and the filling of these orders."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from etf_rotation.backtest.market import Market
from etf_rotation.backtest.records import (
    CASH,
    ENDED,
    ENTERED,
    FILLED,
    INCREASED,
    LEFT,
    LIMIT_DOWN,
    LIMIT_UP,
    REDUCED,
    SUSPENDED,
    Attempts,
    Parameters,
    Rebalanced,
    States,
    Trail,
)

# In lots. A quotient this close below a whole number of lots counts as that number.
LOT_TOLERANCE = 1e-9
BPS = 10_000
ALL_RECORDS = (States, Rebalanced, Attempts)


class Books:
    """What accounts own and want, changed session by session.

    Parameters
    ----------
    market : Market
        The pools of the accounts. `sessions` in methods are its rows.
    parameters : sequence of Parameters
        One per account.
    cash : sequence of float
        Cash at the start in CNY, one per account.
    records : collection of type
        The records that the trail contains.
    """

    # One value per account, from its parameters.
    weighting: np.ndarray
    tranches: np.ndarray
    max_single_weight: np.ndarray
    max_sector_weight: np.ndarray
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
        market: Market,
        parameters: Sequence[Parameters],
        cash: Sequence[float],
        records: Collection[type],
    ) -> None:
        self.market, self.parameters, self.records = market, parameters, records
        for name in Books.__annotations__:
            setattr(self, name, np.array([getattr(own, name) for own in parameters]))
        self.begin = np.array([market.begins[own.pool] for own in parameters], int)
        self.end = np.array([market.ends[own.pool] for own in parameters], int)
        self.capital = np.array(cash, dtype=float)
        self.cash = self.capital.copy()
        shape = len(parameters), market.funds
        self.shares = np.zeros(shape)
        # NaN without an order.
        self.wanted = np.full(shape, np.nan)
        self.ranks = np.zeros(shape, int)
        self._trail: dict[Any, list] = {kind: [] for kind in ALL_RECORDS}

    def trail(self) -> Trail:
        """Return the events of the accounts up to now, by session of the pool."""
        tables = []
        for kind, steps in self._trail.items():
            if not steps:
                tables.append(kind(*(np.empty(0, int) for _ in kind._fields)))
                continue
            columns = [np.concatenate(column) for column in zip(*steps, strict=True)]
            order = np.argsort(columns[0], kind="stable")
            account, row, *others = (column.take(order, axis=0) for column in columns)
            tables.append(kind(account, row - self.begin[account], *others))
        return Trail(self.capital, *tables)

    def _record(self, kind: type, *columns: np.ndarray) -> None:
        if len(columns[0]) and kind in self.records:
            self._trail[kind].append(columns)

    def _pay_out_ended_funds(self, accounts: np.ndarray, sessions: np.ndarray) -> None:
        is_paid = self.market.has_ended[sessions] & (self.shares[accounts] > 0)
        for fund in np.flatnonzero(is_paid.any(axis=0)):
            rows = np.flatnonzero(is_paid[:, fund])
            own, at = accounts[rows], sessions[rows]
            shares = self.shares[own, fund]
            price = self.market.known_closes[at, fund]
            value = shares * price
            self.cash[own] += value
            self.shares[own, fund] = 0.0
            free, funds = np.zeros(len(own)), np.full(len(own), fund)
            no = np.zeros(len(own), bool)
            reason = np.full(len(own), ENDED)
            self._record(Attempts, own, at, funds, no, no, shares, reason, price, value, free, free)

    def _try_orders(
        self, accounts: np.ndarray, sessions: np.ndarray, is_carry_over: np.ndarray
    ) -> None:
        wanted = self.wanted.take(accounts, axis=0)
        change = wanted - self.shares.take(accounts, axis=0)
        is_sell = change < 0
        buys = whole_lots(np.where(change > 0, change, 0.0), self.lot_size[accounts, None])
        # An order for less than a lot is no order.
        is_open = is_sell | (buys > 0)
        self.wanted[accounts] = np.where(is_open, wanted, np.nan)
        rows = np.flatnonzero(is_sell.any(axis=1))
        if len(rows):
            self._sell(
                accounts[rows], sessions[rows], is_carry_over[rows], is_sell[rows], change[rows]
            )
        rows = np.flatnonzero(buys.any(axis=1))
        if len(rows):
            self._buy(accounts[rows], sessions[rows], is_carry_over[rows], buys[rows])

    def _sell(
        self,
        accounts: np.ndarray,
        sessions: np.ndarray,
        is_carry_over: np.ndarray,
        is_sell: np.ndarray,
        change: np.ndarray,
    ) -> None:
        """Sell in the order of the funds."""
        opens = self.market.open.take(sessions, axis=0)
        is_limited = self.market.is_limit_down.take(sessions, axis=0)
        obstacle = np.where(is_limited, LIMIT_DOWN, -1)
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
        if Attempts in self.records:
            is_kept = self.ranks.take(accounts, axis=0) > 0
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
        wanted = self.wanted.take(accounts, axis=0)
        held = self.shares.take(accounts, axis=0)
        self.shares[accounts] = np.where(is_free, wanted, held)
        self.wanted[accounts] = np.where(is_free, np.nan, wanted)

    def _buy(
        self,
        accounts: np.ndarray,
        sessions: np.ndarray,
        is_carry_over: np.ndarray,
        buys: np.ndarray,
    ) -> None:
        """Buy in the order of the ranks, as far as cash goes."""
        is_buy = buys > 0
        counts = is_buy.sum(axis=1)
        funds = buys.shape[1]
        ranks = self.ranks.take(accounts, axis=0) * funds + np.arange(funds)
        ranks = np.where(is_buy, ranks, np.iinfo(int).max)
        order = np.argsort(ranks, axis=1)[:, : counts.max()]
        place = self._buy_while_cash_suffices(
            accounts, sessions, is_carry_over, order, np.take_along_axis(buys, order, axis=1)
        )
        while len(rows := np.flatnonzero(place < counts)):
            fund = order[rows, place[rows]]
            self._buy_one(
                accounts[rows], sessions[rows], is_carry_over[rows], fund, buys[rows, fund]
            )
            place[rows] += 1

    def _buy_while_cash_suffices(
        self,
        accounts: np.ndarray,
        sessions: np.ndarray,
        is_carry_over: np.ndarray,
        order: np.ndarray,
        shares: np.ndarray,
    ) -> np.ndarray:
        """Try the buys that cash pays for in full.

        Parameters
        ----------
        order, shares : array of shape (accounts, places)
            The funds in buying order, and the shares to buy; 0 beyond the last buy.

        Returns
        -------
        array of shape (accounts,)
            The first place at which cash does not suffice.
        """
        at = sessions[:, None]
        opens = self.market.open[at, order]
        obstacle = np.where(self.market.is_limit_up[at, order], LIMIT_UP, -1)
        obstacle = np.where(np.isnan(opens), SUSPENDED, obstacle)
        price = opens * (1 + 1 * self.slippage_bps[accounts] / BPS)[:, None]
        is_free = (shares > 0) & (obstacle < 0)
        value = np.where(is_free, shares * price, 0.0)
        commission = np.where(is_free, self._commission(accounts[:, None], value), 0.0)
        cost = 1 * value + commission
        balance = np.cumsum(np.column_stack([self.cash[accounts], -cost]), axis=1)
        cash = balance[:, :-1]
        lots = whole_lots(cash / price, self.lot_size[accounts, None])
        is_short = is_free & ((cost > cash) | (lots < shares))
        enough = np.where(is_short.any(axis=1), is_short.argmax(axis=1), order.shape[1])
        is_tried = (np.arange(order.shape[1]) < enough[:, None]) & (shares > 0)
        is_bought = is_tried & is_free
        self.cash[accounts] = np.take_along_axis(balance, enough[:, None], axis=1)[:, 0]
        rows, places = np.nonzero(is_tried)
        if Attempts in self.records:
            tried = order[rows, places]
            is_held = self.shares[accounts[rows], tried] > 0
            reason = np.where(is_held, INCREASED, ENTERED)
            self._record_orders(
                accounts[rows],
                sessions[rows],
                tried,
                np.ones(len(rows), bool),
                is_carry_over[rows],
                shares[rows, places],
                np.where(is_free[rows, places], reason, obstacle[rows, places]),
                price[rows, places],
                opens[rows, places],
                value[rows, places],
                commission[rows, places],
            )
        rows, places = np.nonzero(is_bought)
        own, bought = accounts[rows], order[rows, places]
        self.shares[own, bought] += shares[rows, places]
        self.wanted[own, bought] = np.nan
        return enough

    def _buy_one(
        self,
        accounts: np.ndarray,
        sessions: np.ndarray,
        is_carry_over: np.ndarray,
        funds: np.ndarray,
        shares: np.ndarray,
    ) -> None:
        """Try one buy of each account."""
        opens = self.market.open[sessions, funds]
        reason = np.where(self.shares[accounts, funds] > 0, INCREASED, ENTERED)
        obstacle = np.where(self.market.is_limit_up[sessions, funds], LIMIT_UP, -1)
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
        shares = np.minimum(shares, whole_lots(cash / price, lots))
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
        if Attempts not in self.records:
            return
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


def whole_lots(shares: np.ndarray, lot_size: np.ndarray) -> np.ndarray:
    """Return shares rounded down to whole lots."""
    return np.floor(shares / lot_size + LOT_TOLERANCE) * lot_size
