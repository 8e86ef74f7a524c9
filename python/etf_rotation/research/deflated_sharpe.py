"""The deflated Sharpe ratio: a Sharpe ratio's confidence after many trials.

Source: D. Bailey and M. López de Prado, "The Deflated Sharpe Ratio: Correcting for
Selection Bias, Backtest Overfitting and Non-Normality", Journal of Portfolio Management
40 (5), 2014.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

EULER_MASCHERONI = 0.5772156649015329
NORMAL = NormalDist()


def expected_max_sharpe(variance: float, trials: float) -> float:
    """Return the expected highest Sharpe ratio of several trials without skill.

    Parameters
    ----------
    variance : float
        Variance of the trials' Sharpe ratios, per session squared.
    trials : float
        Number of independent trials, 1 or more.

    Returns
    -------
    float
        Sharpe ratio per session; 0 for a single trial.

    Notes
    -----
    √V · ((1 - γ) Z⁻¹(1 - 1/N) + γ Z⁻¹(1 - 1/(N e))), γ the Euler-Mascheroni constant, Z
    the standard normal distribution. For N near 1 the approximation falls below 0, the
    expectation of a single trial; the result is then 0.
    """
    if trials <= 1:
        return 0.0
    quantiles = (NORMAL.inv_cdf(1 - 1 / (trials * scale)) for scale in (1, math.e))
    weights = (1 - EULER_MASCHERONI, EULER_MASCHERONI)
    expected = math.fsum(w * q for w, q in zip(weights, quantiles, strict=True))
    return math.sqrt(variance) * max(expected, 0.0)


def probabilistic_sharpe(
    sharpe: float, threshold: float, *, sessions: int, skewness: float, kurtosis: float
) -> float | None:
    """Return the probability that the true Sharpe ratio is above a threshold.

    With `expected_max_sharpe` as the threshold this is the deflated Sharpe ratio.

    Parameters
    ----------
    sharpe, threshold : float
        Per session.
    sessions : int
        Number of returns.
    skewness, kurtosis : float
        Skewness and kurtosis of the returns; a normal distribution has 0 and 3.

    Returns
    -------
    float or None
        None if the variance of the estimate is not above zero, for example with one
        return.

    Notes
    -----
    Z((SR - SR₀) √(T - 1) / √(1 - γ₃ SR + (γ₄ - 1)/4 · SR²)).
    """
    spread = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if sessions <= 1 or spread <= 0:
        return None
    return NORMAL.cdf((sharpe - threshold) * math.sqrt(sessions - 1) / math.sqrt(spread))


def shape(returns: np.ndarray) -> tuple[float, float] | None:
    """Return skewness and kurtosis (3 if normal) of returns, float (sessions,).

    They are m₃ / m₂^1.5 and m₄ / m₂², where mₖ is the mean k-th power of deviations
    from the mean. None if the returns are constant or missing.
    """
    if not len(returns):
        return None
    # Not scipy: it takes half a second to import, and as long again for 1,000 variants.
    deviations = returns - returns.mean()
    squares = deviations**2
    variance = squares.mean()
    # Not > 0: deviations of constant returns are rounding errors, as in the metrics.
    if not math.sqrt(variance) > 1e-15:  # noqa: PLR2004
        return None
    skewness = (squares * deviations).mean() / variance**1.5
    return float(skewness), float((squares * squares).mean() / variance**2)


def mean_correlation(returns: np.ndarray) -> float:
    """Return the mean Pearson correlation of all pairs of columns, (sessions, trials).

    Raises
    ------
    ValueError
        Fewer than two columns, or a constant column.
    """
    count = returns.shape[1]
    if count < 2:  # noqa: PLR2004
        raise ValueError("a correlation needs two trials")
    deviations = returns - returns.mean(axis=0)
    norms = np.sqrt((deviations**2).sum(axis=0))
    if not (norms > 0).all():
        raise ValueError("a trial whose returns do not vary has no correlation")
    # Without a matrix: the sum over all pairs, including each column with itself, is
    # the squared sum of the columns.
    total = float((((deviations / norms).sum(axis=1)) ** 2).sum())
    return (total - count) / (count * (count - 1))


def effective_trials(trials: int, correlation: float) -> float:
    """Return the number of independent trials equivalent to correlated trials.

    Notes
    -----
    ρ + (1 - ρ) N, where ρ is the mean correlation of the trials' returns, at least 0
    (appendix 3 of the source). It is 1 for identical trials and N for uncorrelated
    ones.
    """
    rho = min(max(correlation, 0.0), 1.0)
    return rho + (1 - rho) * trials
