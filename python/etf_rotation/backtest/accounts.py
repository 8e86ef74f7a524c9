"""Trades and holdings of many accounts by session, all accounts at once.

Accounts are independent, so each may stand at another session, and in another pool. One
step takes every account to the next session that changes it. Sums over funds are exact,
and every other operation touches one fund at a time. Therefore no bit of a session
depends on later sessions, on other accounts, or on funds that the account does not trade.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from etf_rotation.backtest.books import ALL_RECORDS, Books, whole_lots
from etf_rotation.backtest.market import Market
from etf_rotation.backtest.prices import Prices
from etf_rotation.backtest.records import Order, Parameters, Rebalanced, States, Trail
from etf_rotation.backtest.targets import LaidOut, Selections
from etf_rotation.exact_sums import exact_sums
from etf_rotation.signals.weight_arrays import Caps, Selected, redistribute_rows
from etf_rotation.signals.weights import UNIT


class Accounts(Books):
    """Accounts of one or more pools and the record of their trading.

    Parameters
    ----------
    prices : mapping of str to Prices
        Of each pool in `parameters`.
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
    records : collection of type
        The records that the trail contains.

    Notes
    -----
    Source of the formulas: "Execution and accounting" and step 4 of "Portfolio construction" in
    the strategy's specification.
    """

    def __init__(
        self,
        prices: Mapping[str, Prices],
        parameters: Sequence[Parameters],
        cash: Sequence[float],
        schedules: Sequence[Mapping[int, Any]],
        shares: np.ndarray | None = None,
        orders: Sequence[Mapping[int, Order]] | None = None,
        selections: LaidOut | None = None,
        *,
        records: Collection[type] = ALL_RECORDS,
    ) -> None:
        super().__init__(Market(prices), parameters, cash, records)
        if shares is not None:
            self.shares = shares.copy()
        for account, own in enumerate(orders or ()):
            # Without carry-over unfilled orders have lapsed.
            for fund, order in own.items() if self.carry_over[account] else ():
                self.wanted[account, fund], self.ranks[account, fund] = order
        self.only: np.ndarray | None = None
        self._schedule(schedules, selections or Selections(self.market.funds))

    def _schedule(self, schedules: Sequence[Mapping[int, Any]], selections: LaidOut) -> None:
        """Set the rebalance sessions of each account, with a sentinel at the end."""
        longest = max((len(own) for own in schedules), default=0)
        shape = len(schedules), longest + 1
        self.rebalance_sessions = np.repeat(self.end[:, None], shape[1], axis=1)
        self.rebalance_selections = np.full(shape, -1)
        for account, own in enumerate(schedules):
            sessions = sorted(own)
            begin = self.begin[account]
            self.rebalance_sessions[account, : len(sessions)] = begin + np.array(sessions, int)
            self.rebalance_selections[account, : len(sessions)] = [
                selections.add(own[session]) for session in sessions
            ]
        self.next_rebalance = np.zeros(len(schedules), int)
        self.targets = selections.laid_out()

    def run(self) -> Trail:
        """Take every account from its first rebalance to the last session of its pool.

        Raises
        ------
        ValueError
            A target of a fund without any bar yet, or without the ADV20 that caps it.
        """
        accounts = np.arange(len(self.parameters))
        sessions = self.rebalance_sessions[:, 0]
        while True:
            is_on = sessions < self.end[accounts]
            accounts, sessions = accounts[is_on], sessions[is_on]
            if not len(accounts):
                return self.trail()
            self.step(accounts, sessions)
            sessions = self._next_sessions(accounts, sessions)

    def _next_sessions(self, accounts: np.ndarray, sessions: np.ndarray) -> np.ndarray:
        upcoming = np.minimum(
            self.rebalance_sessions[accounts, self.next_rebalance[accounts]],
            self.market.next_events[sessions],
        )
        has_orders = ~np.isnan(self.wanted.take(accounts, axis=0)).all(axis=1)
        return np.where(has_orders, np.minimum(upcoming, sessions + 1), upcoming)

    def trade_once(self, session: int, only: Collection[int] | None = None) -> Trail:
        """Pass one session of every account, trading the funds `only` on a rebalance."""
        if only is not None:
            self.only = np.isin(np.arange(self.market.funds), list(only))
        self.step(np.arange(len(self.parameters)), self.begin + session)
        return self.trail()

    # -- a session of each account -------------------------------------------------------------

    def step(self, accounts: np.ndarray, sessions: np.ndarray) -> None:
        """Pass one session of each of these accounts."""
        here = self.next_rebalance[accounts]
        is_rebalance = self.rebalance_sessions[accounts, here] == sessions
        own, at = accounts[is_rebalance], sessions[is_rebalance]
        # On the first session of a pool the row before it is harmless: nothing was held.
        closes = self.market.known_closes.take(at - 1, axis=0)
        equity_as_of = self.cash[own] + exact_sums(self.shares.take(own, axis=0) * closes)
        has_event = self.market.has_event[sessions]
        if has_event.any():
            ratios = self.market.ratios[sessions[has_event]]
            self.shares[accounts[has_event]] *= ratios
            self.wanted[accounts[has_event]] *= ratios
            self._pay_out_ended_funds(accounts[has_event], sessions[has_event])
        if len(own):
            selections = self.rebalance_selections[own, here[is_rebalance]]
            self._set_orders(own, at, selections, equity_as_of)
            self.next_rebalance[own] += 1
        if has_event.any():
            # After the rebalance, because it may order a fund that ends on the same session.
            changed = accounts[has_event]
            has_ended = self.market.has_ended[sessions[has_event]]
            self.wanted[changed] = np.where(has_ended, np.nan, self.wanted[changed])
        self._try_orders(accounts, sessions, ~is_rebalance)
        forgets = accounts[~self.carry_over[accounts]]
        self.wanted[forgets] = np.nan
        shares = self.shares.take(accounts, axis=0)
        self._record(States, accounts, sessions, self.cash[accounts], shares)

    def _set_orders(
        self,
        accounts: np.ndarray,
        sessions: np.ndarray,
        selections: np.ndarray,
        equity_as_of: np.ndarray,
    ) -> None:
        shares = self.shares.take(accounts, axis=0)
        prices = self.market.open_or_close.take(sessions, axis=0)
        is_target = self.targets["is_target"].take(selections, axis=0)
        is_involved = is_target | (shares > 0)
        self._check_bars(accounts, sessions, is_involved & np.isnan(prices))
        prices = np.where(is_involved, prices, 1.0)
        equity = self.cash[accounts] + exact_sums(shares * prices)
        weights = self._capped_weights(accounts, sessions, selections, equity_as_of)
        lots = self.lot_size[accounts, None]
        wanted = whole_lots(weights * equity[:, None] / prices, lots)
        change = np.abs(wanted - shares) * prices
        least = (self.min_weight_change[accounts] * equity)[:, None]
        is_order = is_involved & ((wanted == 0) | (change > least))
        if self.only is not None:
            is_order &= self.only
        self.wanted[accounts] = np.where(is_order, wanted, np.nan)
        self.ranks[accounts] = self.targets["rank"].take(selections, axis=0)
        if Rebalanced not in self.records:
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
        weights, adv20 = (
            self.targets[name].take(selections, axis=0) for name in ("weight", "adv20")
        )
        is_target = self.targets["is_target"].take(selections, axis=0)
        is_capped = self.enforce_adv[accounts, None] & is_target
        for row, fund in np.argwhere(is_capped & np.isnan(adv20))[:1]:
            raise self._fault(accounts[row], sessions[row], fund, "no adv20")
        caps = self.max_adv_pct[accounts, None] * adv20 / self.tranches[accounts, None]
        caps = np.where(is_capped, caps / equity_as_of[:, None], np.inf)
        shares_out = self.redistribute[accounts]
        capped = np.where(shares_out[:, None], weights, np.minimum(weights, caps))
        # A cap that no weight reaches changes nothing.
        rows = np.flatnonzero(shares_out & (weights + 1 / UNIT > caps).any(axis=1))
        if len(rows):
            own, single = accounts[rows], self.max_single_weight[accounts[rows]]
            capped[rows] = redistribute_rows(
                Selected(
                    self.weighting[own],
                    is_target[rows],
                    self.targets["raw_value"].take(selections[rows], axis=0),
                    self.targets["sector"].take(selections[rows], axis=0),
                    single,
                    self.max_sector_weight[own],
                ),
                Caps(
                    # A cap far above the limit of a fund cannot bind.
                    caps[rows] <= 2 * single[:, None],
                    self.max_adv_pct[own],
                    adv20[rows],
                    self.tranches[own],
                    equity_as_of[rows],
                ),
            )
        return capped

    def _fault(self, account: int, session: int, fund: int, fault: str) -> ValueError:
        pool = self.parameters[account].pool
        prices, place = self.market.pools[pool], session - self.begin[account]
        return ValueError(
            f"targets, pool {pool}, trade_date {prices.dates[place]}, "
            f"symbol {prices.symbols[fund]}: {fault}"
        )
