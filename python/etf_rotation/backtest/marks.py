"""Accounts valued at every close, with the causes of each change in equity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from etf_rotation.backtest.prices import Prices
from etf_rotation.backtest.records import Trail, rows_of
from etf_rotation.exact_sums import exact_sums


class Marks(NamedTuple):
    """Figures per session from `first` on: CNY, float (sessions,).

    `shares` is float (sessions, funds). equity = cash + holdings_value. Except for
    rounding, its change is price_pnl + corporate_action_value - commission - slippage.
    """

    first: int
    shares: np.ndarray
    equity: np.ndarray
    cash: np.ndarray
    holdings_value: np.ndarray
    commission: np.ndarray
    slippage: np.ndarray
    corporate_action_value: np.ndarray
    price_pnl: np.ndarray


AMOUNTS = Marks._fields[2:]


def mark(trail: Trail, account: int, prices: Prices, first: int) -> Marks:
    """Value an account at the close of every session from `first` on.

    Notes
    -----
    Sums over funds are exact: neither the order of funds nor a fund that is not held
    changes a bit. With ratio = adj / adj of the fund's previous bar, summed over funds
    with a bar:

    - corporate_action_value = Σ added shares × previous close / ratio: of a dividend,
      the cash that was paid and counts as reinvested at `pre_close`
    - slippage = Σ shares × |fill - open|
    - price_pnl = Σ shares before × (open - previous close) + Σ added shares × (open -
      previous close / ratio) + Σ shares at the close × (close - open)
    """
    cash, shares = _held(trail, account, prices, first)
    has_bar = ~np.isnan(prices.open[first:])
    open_ = np.where(has_bar, prices.open[first:], 0.0)
    close = prices.known_closes[first:]
    holdings_value = exact_sums(shares * close)

    before = np.vstack([np.zeros(shares.shape[1]), shares[:-1]])
    # Index -1 is harmless on the first session: nothing was held before it.
    last_close = prices.known_closes[np.arange(first, len(prices.dates)) - 1]
    ratio = prices.ratios[first:]
    added = before * ratio - before
    ex_close = last_close / ratio
    overnight = np.hstack(
        [
            np.where(has_bar, before * (open_ - last_close), 0.0),
            np.where(has_bar, added * (open_ - ex_close), 0.0),
        ]
    )
    intraday = np.where(has_bar, shares * (close - open_), 0.0)
    commission, slippage = costs_by_session(trail, account, len(prices.dates))
    return Marks(
        first,
        shares,
        cash + holdings_value,
        cash,
        holdings_value,
        commission[first:],
        slippage[first:],
        exact_sums(np.where(has_bar, added * ex_close, 0.0)),
        exact_sums(overnight) + exact_sums(intraday),
    )


def add_up(marks: Sequence[Marks]) -> Marks:
    """Add up the tranches of a strategy over the same sessions."""
    if len(marks) == 1:
        return marks[0]
    amounts = (
        exact_sums(np.column_stack([getattr(own, name) for own in marks])) for name in AMOUNTS
    )
    shares = exact_sums(np.stack([own.shares for own in marks], axis=-1))
    return Marks(marks[0].first, shares, *amounts)


def equity(trail: Trail, account: int, prices: Prices) -> np.ndarray:
    """Return an account's equity at every close; before it begins, its capital."""
    cash, shares, lengths = _states(trail, account, prices, 0)
    # By fund: exact sums add one fund after the other.
    state = np.repeat(np.arange(len(cash)), lengths)
    by_fund = np.ascontiguousarray(shares.T)
    values = by_fund.take(state, axis=1) * prices.known_closes_by_fund
    return cash[state] + exact_sums(values.T, prices.sizes_of_holdings(by_fund))


def _held(trail: Trail, account: int, prices: Prices, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Return cash (sessions,) and shares (sessions, funds) at closes from `first`."""
    cash, shares, lengths = _states(trail, account, prices, first)
    return np.repeat(cash, lengths), np.repeat(shares, lengths, axis=0)


def _states(
    trail: Trail, account: int, prices: Prices, first: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return cash, shares, and for how many sessions from `first` on both stay."""
    rows = rows_of(trail.states.account, account)
    lengths = np.diff([first, *trail.states.session[rows], len(prices.dates)])
    # A tranche holds its whole capital in cash until its first state.
    cash = np.concatenate([[trail.capital[account]], trail.states.cash[rows]])
    shares = np.zeros((len(cash), len(prices.symbols)))
    if len(cash) > 1:
        shares[1:] = trail.states.shares[rows, : shares.shape[1]]
    return cash, shares, lengths


def costs_by_session(trail: Trail, account: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Return commission and slippage per session, exact sums over fills, (end,)."""
    rows = rows_of(trail.attempts.account, account)
    is_filled = trail.attempts.is_filled[rows]
    sessions = trail.attempts.session[rows][is_filled]
    # One row per session, one column per fill in that session.
    counts = np.bincount(sessions, minlength=end)
    places = np.arange(len(sessions)) - np.repeat(np.cumsum(counts) - counts, counts)
    sums = []
    for name in ("commission", "slippage"):
        amounts = np.zeros((end, max(counts.max(initial=0), 1)))
        amounts[sessions, places] = getattr(trail.attempts, name)[rows][is_filled]
        sums.append(exact_sums(amounts))
    return sums[0], sums[1]
