"""Measures of overfitting in a choice among many variants.

Sources: D. Bailey, J. Borwein, M. López de Prado and Q. Zhu, "The Probability of
Backtest Overfitting", Journal of Computational Finance 20 (4), 2017, for CSCV; the rank
correlation is Spearman's.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

BLOCKS = 16
SPLITS_AT_A_TIME = 64


class Overfitting(NamedTuple):
    """Results of cross-validation by CSCV; Sharpe ratios per session."""

    splits: int
    pbo: float  # fraction of splits whose best is not above the median out of sample
    loss: float  # fraction of splits whose best is below 0 out of sample
    inside: np.ndarray  # (splits,), Sharpe ratio of the best in sample
    outside: np.ndarray  # (splits,), its Sharpe ratio out of sample


class Holdout(NamedTuple):
    """How well the ranking of the variants before a date predicts the ranking since."""

    before: int  # number of sessions
    since: int
    correlation: float | None  # of the ranks; None if one side is constant
    best: int  # place of the best variant before
    rank_since: float  # its rank since; 1 is best, ties share the mean rank


def probability_of_overfitting(excess: np.ndarray, blocks: int = BLOCKS) -> Overfitting:
    """Return the probability of backtest overfitting by CSCV.

    Parameters
    ----------
    excess : array of shape (sessions, variants)
        Daily returns less the risk-free rate, on common sessions, of at least two
        variants.
    blocks : int
        Even number of blocks. All have the same length; the first sessions are left out
        if the sessions do not divide evenly.

    Returns
    -------
    Overfitting
        Each choice of half the blocks is one split: that half is the sample, the other
        half is out of sample.

    Raises
    ------
    ValueError
        Fewer than two variants, an odd number of blocks, or fewer than two sessions for
        each.

    Notes
    -----
    Out of sample, the best variant of the sample has the relative rank ω = rank /
    (variants + 1), counted from the worst. It is not above the median if logit(ω) ≤ 0.
    A variant with constant returns has no Sharpe ratio and ranks last.
    """
    sessions, variants = excess.shape
    length = sessions // blocks
    if variants < 2 or blocks % 2 or length < 2:  # noqa: PLR2004
        raise ValueError("CSCV needs two variants, and an even number of blocks of two sessions")
    sums = _Sums.of(excess[sessions - length * blocks :], blocks)
    splits = list(combinations(range(blocks), blocks // 2))
    # Half the splits suffice: the complement of split i is split i from the end.
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
        """Return every variant's Sharpe ratio per session in each split's blocks."""
        count = self.length * len(splits[0])
        total, squares = (
            sum(own[[split[n] for split in splits]] for n in range(len(splits[0])))
            for own in (self.sums, self.squares)
        )
        mean = total / count
        variance = (squares - total * mean) / (count - 1)
        # Not > 0: the variance of constant returns is a rounding error.
        is_spread = variance > 1e-30  # noqa: PLR2004
        deviation = np.sqrt(np.where(is_spread, variance, 1.0))
        return np.where(is_spread, (self.center + mean) / deviation, -np.inf)


def sharpe_by_variant(excess: np.ndarray) -> np.ndarray:
    """Return each column's Sharpe ratio per session; minus infinity if constant."""
    deviation = excess.std(axis=0, ddof=1)
    is_spread = deviation > 1e-15  # noqa: PLR2004
    return np.where(is_spread, excess.mean(axis=0) / np.where(is_spread, deviation, 1.0), -np.inf)


def hold_out(excess: np.ndarray, since: int) -> Holdout:
    """Compare the variants' Sharpe ratios before and since a session.

    Parameters
    ----------
    excess : array of shape (sessions, variants)
        Daily returns less the risk-free rate, on common sessions.
    since : int
        First session of the later part. Both parts have at least two sessions.
    """
    before, after = sharpe_by_variant(excess[:since]), sharpe_by_variant(excess[since:])
    best = int(np.argmax(before))
    # Not imported above: scipy takes half a second, and only a holdout needs it.
    from scipy.stats import rankdata

    rank = float(rankdata(-after)[best])
    return Holdout(since, len(excess) - since, rank_correlation(before, after), best, rank)


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    """Return Spearman's rank correlation; None if one side is constant."""
    if min(len(np.unique(values)) for values in (one, other)) == 1:
        return None
    from scipy.stats import rankdata, spearmanr

    # Ranked first, because constant returns have an infinite value.
    return float(spearmanr(rankdata(one), rankdata(other)).statistic)
