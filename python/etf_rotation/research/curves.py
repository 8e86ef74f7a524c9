"""Joint simulation of many variants: holdings, costs and equity per session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from etf_rotation.backtest.accounts import Accounts
from etf_rotation.backtest.prices import Prices
from etf_rotation.backtest.records import ENDED, Attempts, States, Trail
from etf_rotation.exact_sums import exact_sums
from etf_rotation.research.build import Build, Variant
from etf_rotation.research.choices import Chain, Chosen
from etf_rotation.research.data import PoolData, tranche_numbers
from etf_rotation.signals.selection import first_sessions


class Curves(NamedTuple):
    """Results of v variants on s sessions from `begin` on; CNY, (v, s) each.

    `first` is the pool's session on which a variant begins. Before it, the variant
    holds its capital in cash. For a variant that never begins, `first` is the number of
    the pool's sessions. `weights` are fractions of equity at the requested closes.
    """

    begin: int
    first: np.ndarray  # (v,)
    equity: np.ndarray
    holdings_value: np.ndarray
    costs: np.ndarray  # commission + slippage
    traded_value: np.ndarray
    trades: np.ndarray  # (v,)
    weights: np.ndarray  # (v, closes, funds)


class _Account(NamedTuple):
    """One tranche, shared by all variants with these settings."""

    chain: Chain
    tranches: int
    min_weight_change: float
    slippage_bps: float
    commission_bps: float


def simulate(
    build: Build, data: PoolData, variants: Sequence[Variant], closes: Sequence[int] = ()
) -> Curves:
    """Simulate variants.

    Parameters
    ----------
    build : Build
        The build of which these are variants.
    data : PoolData
        Data read for at least these variants.
    variants : sequence of Variant, length v
        Variants in any order. Variants that differ only in offset share the accounts of
        their tranches.
    closes : sequence of int
        Positions of the sessions at whose closes weights are returned.
    """
    chosen = Chosen(data, build.rules)
    tranches = [_accounts(build, data, chosen, variant) for variant in variants]
    accounts = list(dict.fromkeys(own for of_variant in tranches for own in of_variant))
    schedules = chosen.choose(own.chain for own in accounts)
    parameters = [
        replace(
            build.parameters,
            weighting=own.chain.weighting,
            redistribute=own.chain.redistribute,
            tranches=own.tranches,
            min_weight_change=own.min_weight_change,
            slippage_bps=own.slippage_bps,
            commission_bps=own.commission_bps,
        )
        for own in accounts
    ]
    capital = build.parameters.target_capital
    count = len(data.prices.dates)
    first = np.array([own[0].chain.first if own else count for own in tranches], int)
    funds = len(data.prices.symbols)
    curves = _nothing(first, min(first.min(), count - 1), capital, count, funds, len(closes))
    if accounts:
        trail = Accounts(
            {build.pool: data.prices},
            parameters,
            [capital / own.tranches for own in accounts],
            [schedules[own.chain] for own in accounts],
            selections=chosen,
            records=(States, Attempts),
        ).run()
        places = {own: n for n, own in enumerate(accounts)}
        numbers = [[places[own] for own in of_variant] for of_variant in tranches]
        _fill(curves, trail, data.prices, numbers, closes)
    return curves


def _accounts(build: Build, data: PoolData, chosen: Chosen, variant: Variant) -> list[_Account]:
    """Return the accounts of a variant's tranches; empty if it never begins."""
    is_eligible = chosen.rankings(variant.factors, variant.weighting).is_eligible
    eligible = is_eligible.sum(axis=1)
    numbers = tranche_numbers(variant)
    by_tranche = []
    for number in numbers:
        sessions = data.rebalances[variant.rebalance, number]
        places = np.searchsorted(data.sessions, sessions)
        by_tranche.append(dict(zip(sessions.tolist(), eligible[places].tolist(), strict=True)))
    firsts = first_sessions(by_tranche, build.start_funds(variant))
    if firsts[0] is None:
        return []
    end = len(data.prices.dates)
    rules = variant.factors, variant.weighting, variant.top_n, variant.keep_rank
    return [
        _Account(
            Chain(
                *rules, variant.redistribute, variant.rebalance, n, end if first is None else first
            ),
            variant.tranches,
            variant.min_weight_change,
            variant.slippage_bps,
            variant.commission_bps,
        )
        for n, first in zip(numbers, firsts, strict=True)
    ]


def _nothing(
    first: np.ndarray, begin: int, capital: float, count: int, funds: int, closes: int
) -> Curves:
    shape = len(first), count - begin
    return Curves(
        begin,
        first,
        np.full(shape, capital),
        np.zeros(shape),
        np.zeros(shape),
        np.zeros(shape),
        np.zeros(len(first), int),
        np.zeros((len(first), closes, funds)),
    )


def _fill(
    curves: Curves,
    trail: Trail,
    prices: Prices,
    numbers: Sequence[Sequence[int]],
    closes: Sequence[int],
) -> None:
    """Fill in the results of each variant from the accounts of its tranches."""
    count, accounts, begin = len(prices.dates), len(trail.capital), curves.begin
    at = _states_at(trail.states, accounts, count)
    cash, holdings = _closes(trail, at[:, begin:], prices.known_closes[begin:])
    equity = cash + holdings
    costs = [
        _sums(trail.attempts, name, accounts, count)[:, begin:]
        for name in ("commission", "slippage")
    ]
    by_tranches: dict[int, list[int]] = {}
    for variant, tranches in enumerate(numbers):
        by_tranches.setdefault(len(tranches), []).append(variant)
    by_tranches.pop(0, None)
    for variants in by_tranches.values():
        own = np.array([numbers[n] for n in variants], int)
        curves.equity[variants] = _added(equity, own)
        curves.holdings_value[variants] = _added(holdings, own)
        curves.costs[variants] = _added(costs[0], own) + _added(costs[1], own)
        fills = _fills(trail.attempts, own)
        curves.trades[variants] = np.bincount(fills.variant, minlength=len(own))
        curves.traded_value[variants] = _traded(fills, len(own), count)[:, begin:]
        for n, close in enumerate(closes):
            if close >= begin:
                values = _shares(trail.states, at[own, close]) * prices.known_closes[close]
                worth = curves.equity[variants, close - begin]
                curves.weights[variants, n] = values / worth[:, None]


def _added(amounts: np.ndarray, accounts: np.ndarray) -> np.ndarray:
    """Return exact sums over each variant's tranches; accounts (variants, tranches)."""
    if accounts.shape[1] == 1:
        return amounts[accounts[:, 0]]
    return exact_sums(np.moveaxis(amounts[accounts.T], 0, -1))


def _states_at(states: States, accounts: int, count: int) -> np.ndarray:
    """Return the row of the state at each close, (accounts, sessions); -1 if none."""
    rows = np.full((accounts, count), -1)
    rows[states.account, states.session] = np.arange(len(states.account))
    return np.maximum.accumulate(rows, axis=1)


def _closes(
    trail: Trail, at: np.ndarray, known_closes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return cash and value of holdings at every close, (accounts, sessions) each."""
    states = trail.states
    cash = np.where(at < 0, trail.capital[:, None], states.cash[at])
    by_fund = _with_nothing(states.shares).T
    funds = [n for n, own in enumerate(by_fund) if own.any()]
    holdings = np.zeros(at.shape)
    # In pieces of 16 accounts, which fit the CPU cache.
    for begin in range(0, len(at), 16):
        rows = at[begin : begin + 16]
        values = np.zeros((len(funds), *rows.shape))
        for n, fund in enumerate(funds):
            values[n] = by_fund[fund][rows] * known_closes[:, fund]
        holdings[begin : begin + 16] = exact_sums(np.moveaxis(values, 0, -1))
    return cash, holdings


def _with_nothing(shares: np.ndarray) -> np.ndarray:
    """Append a row of zeros, so that row -1 stands for the time before any state."""
    return np.vstack([shares, np.zeros(shares.shape[1])])


def _shares(states: States, at: np.ndarray) -> np.ndarray:
    """Return shares per variant at a close, (variants, funds), summed over tranches."""
    return _with_nothing(states.shares)[at].sum(axis=1)


def _sums(attempts: Attempts, name: str, accounts: int, count: int) -> np.ndarray:
    """Return exact sums over the fills of every session, (accounts, sessions)."""
    is_filled = attempts.is_filled
    keys = attempts.account[is_filled] * count + attempts.session[is_filled]
    groups, grid = _laid_out(keys, getattr(attempts, name)[is_filled])
    sums = np.zeros(accounts * count)
    sums[groups] = exact_sums(grid)
    return sums.reshape(accounts, count)


def _laid_out(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Group values by sorted key: the distinct keys, and zero-padded rows of values."""
    groups, begins, lengths = np.unique(keys, return_index=True, return_counts=True)
    grid = np.zeros((len(groups), lengths.max(initial=1)))
    rows = np.repeat(np.arange(len(groups)), lengths)
    grid[rows, np.arange(len(keys)) - np.repeat(begins, lengths)] = values
    return groups, grid


class _Fills(NamedTuple):
    """The trades of variants, sorted by variant, session and tranche."""

    variant: np.ndarray
    session: np.ndarray
    value: np.ndarray
    is_payout: np.ndarray


def _fills(attempts: Attempts, accounts: np.ndarray) -> _Fills:
    begins = np.searchsorted(attempts.account, accounts.ravel())
    ends = np.searchsorted(attempts.account, accounts.ravel() + 1)
    lengths = ends - begins
    offsets = np.repeat(begins - (np.cumsum(lengths) - lengths), lengths)
    rows = np.arange(lengths.sum()) + offsets
    variants = np.repeat(np.arange(len(accounts)), lengths.reshape(accounts.shape).sum(axis=1))
    if accounts.shape[1] > 1:
        tranches = np.repeat(np.tile(np.arange(accounts.shape[1]), len(accounts)), lengths)
        order = np.lexsort((tranches, attempts.session[rows], variants))
        rows, variants = rows[order], variants[order]
    is_filled = attempts.is_filled[rows]
    rows = rows[is_filled]
    return _Fills(
        variants[is_filled],
        attempts.session[rows].astype(int),
        attempts.value[rows],
        attempts.reason[rows] == ENDED,
    )


def _traded(fills: _Fills, variants: int, count: int) -> np.ndarray:
    """Return the sum of fill values per session, in fill order and without payouts."""
    counted = ~fills.is_payout
    keys = fills.variant[counted] * count + fills.session[counted]
    groups, grid = _laid_out(keys, fills.value[counted])
    traded = np.zeros(variants * count)
    traded[groups] = np.cumsum(grid, axis=1)[:, -1]
    return traded.reshape(variants, count)
