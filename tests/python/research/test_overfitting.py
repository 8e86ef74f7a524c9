"""Overfitting statistics against published figures, scipy, and hand-computed cases."""

import math
from itertools import combinations

import numpy as np
import pytest
from etf_rotation.research.overfitting import (
    hold_out,
    probability_of_overfitting,
    rank_correlation,
)
from scipy import special, stats


def normals_of_r(seed, count):
    """What `set.seed(seed); rnorm(count)` gives in R: Mersenne Twister, by inversion."""
    state, keys = seed, []
    for n in range(50 + 625):
        state = (69069 * state + 1) & 0xFFFFFFFF
        if n >= 50:
            keys.append(state)
    generator = np.random.MT19937()
    generator.state = {
        "bit_generator": "MT19937",
        "state": {"key": np.array(keys[1:], np.uint32), "pos": 624},
    }
    uniform = generator.random_raw(2 * count) * 2.3283064365386963e-10
    big = 134217728
    return special.ndtri((np.floor(big * uniform[::2]) + uniform[1::2]) / big)


def test_pbo_is_that_of_the_published_example():
    """The vignette of R's package pbo: 100 trials without skill, centered over the whole sample.

    It prints p_bo 1, ar^2 0.97, p_loss 1, and under the name slope -0.0030456, which is
    the intercept of the regression of the Sharpe ratios inside on those outside.
    https://cran.r-project.org/web/packages/pbo/vignettes/pbo.html
    """
    assert normals_of_r(42, 3) == pytest.approx([1.37095845, -0.56469817, 0.36312841], abs=1e-8)
    trials = normals_of_r(765, 100 * 2400).reshape(100, 2400).T
    trials *= 1 / math.sqrt(252) / trials.std(axis=0, ddof=1)
    trials -= trials.mean(axis=0)

    found = probability_of_overfitting(trials - 0.03 / 252, blocks=8)
    assert (found.splits, found.pbo, found.loss) == (70, 1.0, 1.0)
    fit = stats.linregress(found.outside, found.inside)
    assert float(f"{fit.intercept:.5g}") == -0.0030456
    adjusted = 1 - (1 - fit.rvalue**2) * 69 / 68
    assert round(adjusted, 2) == 0.97


def by_the_book(excess, blocks):
    """CSCV as the paper describes it, split by split."""
    parts = np.array_split(np.arange(len(excess)), blocks)
    logits, pairs = [], []
    for inside in combinations(range(blocks), blocks // 2):
        outside = [n for n in range(blocks) if n not in inside]
        ratios = []
        for half in (inside, outside):
            rows = np.concatenate([parts[n] for n in half])
            ratios.append(excess[rows].mean(axis=0) / excess[rows].std(axis=0, ddof=1))
        best = int(np.argmax(ratios[0]))
        omega = stats.rankdata(ratios[1])[best] / (excess.shape[1] + 1)
        logits.append(math.log(omega / (1 - omega)))
        pairs.append((ratios[0][best], ratios[1][best]))
    return np.mean(np.array(logits) <= 0), np.array(pairs)


@pytest.mark.parametrize(("sessions", "variants", "blocks"), [(160, 7, 4), (96, 30, 6), (64, 2, 8)])
def test_pbo_follows_the_paper_split_by_split(sessions, variants, blocks):
    excess = np.random.default_rng(sessions).normal(2e-4, 0.01, (sessions, variants))
    found = probability_of_overfitting(excess, blocks)
    pbo, pairs = by_the_book(excess, blocks)
    assert found.pbo == pbo
    np.testing.assert_allclose(np.column_stack([found.inside, found.outside]), pairs, rtol=1e-9)
    assert found.loss == np.mean(pairs[:, 1] < 0)


def test_pbo_is_zero_for_skill_and_about_one_half_for_noise():
    noise = np.random.default_rng(8).normal(0, 0.01, (1600, 50))
    skilled = noise.copy()
    skilled[:, 20] += 0.003
    assert probability_of_overfitting(skilled).pbo == 0
    assert 0.3 < probability_of_overfitting(noise).pbo < 0.8


def test_the_first_sessions_are_left_out_where_blocks_do_not_divide():
    excess = np.random.default_rng(1).normal(0, 0.01, (103, 5))
    assert (
        probability_of_overfitting(excess, 10).pbo == probability_of_overfitting(excess[3:], 10).pbo
    )


def test_variants_that_are_alike_share_their_rank_and_one_without_spread_is_last():
    excess = np.random.default_rng(2).normal(0, 0.01, (64, 1))
    assert probability_of_overfitting(np.hstack([excess] * 3), 4).pbo == 1.0
    with_cash = np.hstack([excess, np.full((64, 1), -0.03 / 252)])
    found = probability_of_overfitting(with_cash, 4)
    assert found.pbo == 0.0
    assert np.isfinite(found.outside).all()


@pytest.mark.parametrize(("shape", "blocks"), [((64, 1), 4), ((64, 3), 5), ((15, 3), 8)])
def test_pbo_refuses_invalid_shapes_and_blocks(shape, blocks):
    with pytest.raises(ValueError, match="CSCV needs two variants"):
        probability_of_overfitting(np.zeros(shape), blocks)


def test_a_rank_correlation_is_that_of_the_ranks_and_none_without_an_order():
    one = np.array([0.3, -np.inf, 0.1, 0.2])
    assert rank_correlation(one, np.array([30.0, 1.0, 10.0, 20.0])) == pytest.approx(1)
    assert rank_correlation(one, -one) == pytest.approx(-1)
    assert rank_correlation(one, np.ones(4)) is None


def test_the_holdout_says_where_the_best_before_ranks_since():
    """By hand: ranks 4, 3, 2, 1 before and 1, 2, 4, 3 since; 1 - 6 · 18 / (4 · 15) = -0.8."""
    swing = np.tile([[0.01], [-0.01]], (4, 1))
    before = swing[:6] + np.array([0.003, 0.002, 0.001, 0.0])
    since = swing + np.array([-0.001, 0.0, 0.004, 0.002])
    found = hold_out(np.vstack([before, since]), 6)
    assert found == (6, 8, pytest.approx(-0.8), 0, 4.0)
