"""The funds that strategies select, many rankings at once.

The rules are those of `selection.choose`, which handles one ranking and gives reasons.
A test compares both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from etf_rotation.signals.selection import LIMIT_TOLERANCE


class Rankings(NamedTuple):
    """Funds by place, best first: r rankings, p places."""

    funds: np.ndarray  # (r, p), codes
    is_open: np.ndarray  # (r, p), whether the fund is eligible
    can_take: np.ndarray  # (r, p), False for an eligible fund without a raw weight
    sectors: np.ndarray  # (r, p), codes from 0; -1 for a broad fund


class RankingRules(NamedTuple):
    """The rules of each ranking, (r,) each; meaning and units as in `selection.Rules`."""

    top_n: np.ndarray  # 0: every eligible fund
    keep_rank: np.ndarray
    max_single_weight: np.ndarray
    max_sector_weight: np.ndarray
    max_broad_funds: np.ndarray


def choose_rows(
    rankings: Rankings, rules: RankingRules, previous: np.ndarray | None = None
) -> np.ndarray:
    """Return which funds each ranking selects.

    Parameters
    ----------
    rankings : Rankings
        Of any strategies and pools.
    rules : RankingRules
        Of the same length.
    previous : array of bool, shape (r, funds), optional
        The funds, by code, that were selected before.

    Returns
    -------
    array of bool, shape (r, p)
        By place.
    """
    if previous is None:
        return _take(rankings, rules)
    place = np.cumsum(rankings.is_open, axis=1)
    # Rounded: 1.16 * 25 is 28.999999999999996, and the fund of rank 29 stays.
    multiple = np.array(
        [
            round(keep_rank * top_n, 9)
            for keep_rank, top_n in zip(rules.keep_rank.tolist(), rules.top_n.tolist(), strict=True)
        ]
    )
    longest = np.maximum(rules.top_n, np.minimum(multiple, place[:, -1] / 2))
    stays = rankings.is_open & np.take_along_axis(previous, rankings.funds, axis=1)
    stays &= (place <= longest[:, None]) & (rules.keep_rank > 1)[:, None]
    order = np.argsort(~stays, axis=1, kind="stable")
    kept_first = Rankings(*(np.take_along_axis(grid, order, axis=1) for grid in rankings))
    is_taken = np.zeros(order.shape, bool)
    np.put_along_axis(is_taken, order, _take(kept_first, rules), axis=1)
    return is_taken


def _take(rankings: Rankings, rules: RankingRules) -> np.ndarray:
    """Take funds by place unless one breaks a limit."""
    count, rows = len(rankings.funds), np.arange(len(rankings.funds))
    has_top_n = rules.top_n > 0
    weight = np.minimum(1 / np.maximum(rules.top_n, 1), rules.max_single_weight)
    sector_limit = rules.max_sector_weight * (1 + LIMIT_TOLERANCE)
    left = np.where(has_top_n, rules.top_n, np.iinfo(int).max)
    broad_left = np.where(has_top_n, rules.max_broad_funds, np.iinfo(int).max)
    sector_limit = np.where(has_top_n, sector_limit, np.inf)
    in_sector = np.zeros((count, rankings.sectors.max(initial=0) + 1), int)
    is_open = rankings.is_open & rankings.can_take
    is_taken = np.zeros(is_open.shape, bool)
    for place in np.flatnonzero(is_open.any(axis=0)).tolist():
        sector = rankings.sectors[:, place]
        is_broad = sector < 0
        in_own = in_sector[rows, sector] + 1
        fits = np.where(is_broad, broad_left > 0, in_own * weight <= sector_limit)
        takes = is_open[:, place] & (left > 0) & fits
        is_taken[:, place] = takes
        left -= takes
        broad_left -= takes & is_broad
        in_sector[rows, sector] = in_own - ~(takes & ~is_broad)
        if not left.any():
            break
    return is_taken
