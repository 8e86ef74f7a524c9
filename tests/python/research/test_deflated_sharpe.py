"""The deflated Sharpe ratio: published example, hand-computed cases, simulated luck."""

import math

import numpy as np
import pytest
from etf_rotation.research.deflated_sharpe import (
    effective_trials,
    expected_max_sharpe,
    mean_correlation,
    probabilistic_sharpe,
    shape,
)

# The example of the source: a Sharpe ratio of 2.5 a year of 250 sessions, found among
# 100 trials whose yearly Sharpe ratios have the variance 1/2, over five years of skewed
# returns.
SESSIONS_PER_YEAR = 250
VARIANCE = 0.5 / SESSIONS_PER_YEAR
BEST = 2.5 / math.sqrt(SESSIONS_PER_YEAR)


def deflated(sharpe, trials, skewness=-3.0, kurtosis=10.0, variance=VARIANCE):
    threshold = expected_max_sharpe(variance, trials)
    return probabilistic_sharpe(
        sharpe, threshold, sessions=1250, skewness=skewness, kurtosis=kurtosis
    )


def test_the_published_example():
    assert expected_max_sharpe(VARIANCE, 100) == pytest.approx(0.1132, abs=5e-5)
    assert deflated(BEST, 100) == pytest.approx(0.9004, abs=5e-5)
    # With 46 trials it would just have passed at 95%, and with normal returns at 88.
    assert deflated(BEST, 46) == pytest.approx(0.9505, abs=5e-5)
    assert deflated(BEST, 88, skewness=0.0, kurtosis=3.0) == pytest.approx(0.9505, abs=5e-5)


def test_a_single_trial_is_held_against_zero():
    assert expected_max_sharpe(VARIANCE, 1) == 0
    # Z(0.05 · √99 / √(1 + 0.05² / 2)) = Z(0.497183) = 0.69146 - 0.352 · 0.002817
    found = probabilistic_sharpe(0.05, 0.0, sessions=100, skewness=0.0, kurtosis=3.0)
    assert found == pytest.approx(0.69047, abs=5e-6)


def test_a_sharpe_ratio_at_the_threshold_is_even_odds():
    assert probabilistic_sharpe(0.1, 0.1, sessions=500, skewness=-1.0, kurtosis=6.0) == 0.5


def test_more_trials_and_more_scatter_deflate_more():
    by_trials = [deflated(BEST, trials) for trials in (1, 1.5, 2, 10, 1000, 1e6)]
    assert by_trials == sorted(by_trials, reverse=True)
    assert deflated(BEST, 100, variance=2 * VARIANCE) < deflated(BEST, 100)
    assert deflated(BEST, 100, variance=0.0) == deflated(BEST, 1)


@pytest.mark.parametrize("sessions", [0, 1])
def test_too_few_returns_have_none(sessions):
    assert probabilistic_sharpe(0.1, 0.0, sessions=sessions, skewness=0.0, kurtosis=3.0) is None


def test_an_estimate_without_variance_has_none():
    assert probabilistic_sharpe(1.0, 0.0, sessions=9, skewness=2.0, kurtosis=1.0) is None


def test_the_expected_maximum_equals_simulated_trials_without_skill():
    draws = np.random.default_rng(4).normal(0, 0.3, size=(2000, 500)).max(axis=1)
    assert expected_max_sharpe(0.09, 500) == pytest.approx(draws.mean(), rel=0.02)


def test_skewness_and_kurtosis_by_hand():
    # Mean 1; deviations -1, -1, -1, 3: m2 = 3, m3 = 24 / 4, m4 = 84 / 4.
    assert shape(np.array([0.0, 0.0, 0.0, 4.0])) == pytest.approx((6 / 3**1.5, 21 / 9))
    skewness, kurtosis = shape(np.random.default_rng(2).normal(size=200_000))
    assert (skewness, kurtosis) == pytest.approx((0, 3), abs=0.05)


@pytest.mark.parametrize("returns", [[0.01] * 300, [0.0, 0.0], [0.02], []])
def test_constant_returns_have_no_shape(returns):
    assert shape(np.array(returns)) is None


def test_the_mean_correlation_is_that_of_all_pairs():
    rng = np.random.default_rng(8)
    returns = rng.normal(size=(60, 5)) + rng.normal(size=(60, 1))
    pairs = np.corrcoef(returns.T)[np.triu_indices(5, k=1)]
    assert mean_correlation(returns) == pytest.approx(pairs.mean())


@pytest.mark.parametrize("returns", [np.ones((5, 1)), np.zeros((5, 2))])
def test_a_correlation_that_is_not_defined_is_refused(returns):
    with pytest.raises(ValueError, match=r"two trials|do not vary"):
        mean_correlation(returns)


@pytest.mark.parametrize(
    ("correlation", "expected"), [(1.0, 1), (0.0, 200), (0.5, 100.5), (-0.1, 200), (1 + 1e-16, 1)]
)
def test_correlated_trials_are_worth_fewer(correlation, expected):
    assert effective_trials(200, correlation) == pytest.approx(expected)
