"""How much of a choice among many variants is fitting to the sample.

Sources: D. Bailey, J. Borwein, M. López de Prado and Q. Zhu, "The Probability of Backtest
Overfitting", Journal of Computational Finance 20 (4), 2017, for CSCV; the rank correlation is
Spearman's.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

BLOCKS = 16
SPLITS_AT_A_TIME = 64


class Overfitting(NamedTuple):
    """What combinatorially symmetric cross-validation says; Sharpe ratios are per session."""

    splits: int
    pbo: float  # share of the splits whose best is not above the median outside its sample
    loss: float  # share of the splits whose best has a negative Sharpe ratio outside its sample
    inside: np.ndarray  # (splits,), Sharpe ratio of the best in its sample
    outside: np.ndarray  # (splits,), of the same one outside it


class Holdout(NamedTuple):
    """How the order of the variants before a date holds up since."""

    before: int  # sessions
    since: int
    correlation: float | None  # of the ranks; None where one side has one value only
    best: int  # the best variant before, by place
    rank_since: float  # its rank since, 1 is the best; ties share the mean


def probability_of_overfitting(excess: np.ndarray, blocks: int = BLOCKS) -> Overfitting:
    """Return the probability of backtest overfitting by CSCV.

    Parameters
    ----------
    excess : array of shape (sessions, variants)
        Daily returns less the risk-free rate, on common sessions, of at least two variants.
    blocks : int
        Even; the sessions are cut into as many blocks of one length, the first few sessions being
        left out where they do not divide.

    Returns
    -------
    Overfitting
        Every half of the blocks is a sample once, and the other half lies outside it.

    Raises
    ------
    ValueError
        Fewer than two variants, an odd number of blocks, or fewer than two sessions for each.

    Notes
    -----
    The best of a sample has outside of it the relative rank ω = rank / (variants + 1), from the
    worst; where logit(ω) ≤ 0 it is not above the median. A variant without spread has no Sharpe
    ratio, and ranks last.
    """
    sessions, variants = excess.shape
    length = sessions // blocks
    if variants < 2 or blocks % 2 or length < 2:  # noqa: PLR2004
        raise ValueError("CSCV needs two variants, and an even number of blocks of two sessions")
    sums = _Sums.of(excess[sessions - length * blocks :], blocks)
    splits = list(combinations(range(blocks), blocks // 2))
    # The other half of a split is a split too, as far from the end as this one from the start.
    half = len(splits) // 2
    below, inside, outside = (np.empty(len(splits)) for _ in range(3))
    for begin in range(0, half, SPLITS_AT_A_TIME):
        rows = np.arange(begin, min(begin + SPLITS_AT_A_TIME, half))
        others = len(splits) - 1 - rows
        one, other = (sums.sharpe([splits[n] for n in own]) for own in (rows, others))
        for own, inner, outer in ((rows, one, other), (others, other, one)):
            best = np.argmax(inner, axis=1)
            places = np.arange(len(own))
            inside[own], outside[own] = inner[places, best], outer[places, best]
            ours = outside[own][:, None]
            rank = (outer < ours).sum(axis=1) + ((outer == ours).sum(axis=1) + 1) / 2
            below[own] = rank / (variants + 1)
    pbo, loss = float((below <= 0.5).mean()), float((outside < 0).mean())  # noqa: PLR2004
    return Overfitting(len(splits), pbo, loss, inside, outside)


class _Sums(NamedTuple):
    """Sums over blocks of deviations from each variant's mean, and of their squares."""

    length: int
    center: np.ndarray  # (variants,)
    sums: np.ndarray  # (blocks, variants)
    squares: np.ndarray

    @classmethod
    def of(cls, excess: np.ndarray, blocks: int) -> _Sums:
        center = excess.mean(axis=0)
        by_block = (excess - center).reshape(blocks, -1, excess.shape[1])
        return cls(by_block.shape[1], center, by_block.sum(axis=1), (by_block**2).sum(axis=1))

    def sharpe(self, splits: Sequence[Sequence[int]]) -> np.ndarray:
        """Return the Sharpe ratio per session of every variant in each split's blocks."""
        count = self.length * len(splits[0])
        total, squares = (
            sum(own[[split[n] for split in splits]] for n in range(len(splits[0])))
            for own in (self.sums, self.squares)
        )
        mean = total / count
        variance = (squares - total * mean) / (count - 1)
        # The variance of constant returns is a rounding error.
        is_spread = variance > 1e-30  # noqa: PLR2004
        deviation = np.sqrt(np.where(is_spread, variance, 1.0))
        return np.where(is_spread, (self.center + mean) / deviation, -np.inf)


def sharpe_by_variant(excess: np.ndarray) -> np.ndarray:
    """Return the Sharpe ratio per session of each column; without spread, minus infinity."""
    deviation = excess.std(axis=0, ddof=1)
    is_spread = deviation > 1e-15  # noqa: PLR2004
    return np.where(is_spread, excess.mean(axis=0) / np.where(is_spread, deviation, 1.0), -np.inf)


def hold_out(excess: np.ndarray, since: int) -> Holdout:
    """Compare the Sharpe ratios of variants before a session and since.

    Parameters
    ----------
    excess : array of shape (sessions, variants)
        Daily returns less the risk-free rate, on common sessions.
    since : int
        The first session of the later part; both parts have at least two sessions.
    """
    before, after = sharpe_by_variant(excess[:since]), sharpe_by_variant(excess[since:])
    best = int(np.argmax(before))
    # Imported here, because scipy takes half a second and only a holdout needs it.
    from scipy.stats import rankdata

    rank = float(rankdata(-after)[best])
    return Holdout(since, len(excess) - since, rank_correlation(before, after), best, rank)


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    """Return Spearman's rank correlation; None where one side has one value only."""
    if min(len(np.unique(values)) for values in (one, other)) == 1:
        return None
    from scipy.stats import rankdata, spearmanr

    # Ranks, since a variant without spread has an infinite value.
    return float(spearmanr(rankdata(one), rankdata(other)).statistic)
