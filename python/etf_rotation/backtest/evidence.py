"""Statistical tests of a strategy's returns against a rival's: skill or chance."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from etf_rotation.contracts import read_checked, schema_of

BETTER, WORSE, UNCLEAR = "better", "worse", "not_distinguishable"
LAG = 21  # sessions, about a month: differences between two rebalances are correlated
SIGNIFICANT = 1.96  # two-sided, 95%
BLOCK, DRAWS, SEED = 42, 2_000, 20_100_101
INTERVAL = (0.025, 0.975)
NO_VARIANCE = 1e-12  # of the variance of the series


class Returns(NamedTuple):
    """One session's returns of a strategy and its rival in one period, plain ratios."""

    strategy: str
    pool: str
    period: str
    session: int  # orders the rows
    daily_return: float
    rival_return: float


class Evidence(NamedTuple):
    """Test results of a strategy over a period; null with too few sessions."""

    strategy: str
    pool: str
    period: str
    sessions: int
    mean_excess: float | None
    excess_t: float | None
    alpha: float | None
    alpha_t: float | None
    sharpe_difference: float | None
    low: float | None
    high: float | None
    verdict: str


RETURNS_SCHEMA = schema_of(Returns)
EVIDENCE_SCHEMA = schema_of(Evidence)


def newey_west(scores: np.ndarray, lag: int = LAG) -> np.ndarray:
    """Return the long-run covariance of the sums of the columns.

    Parameters
    ----------
    scores : array of shape (sessions, k)
        Each column has mean zero.
    lag : int
        The highest order of autocovariance; order l has the Bartlett weight 1 - l /
        (lag + 1).

    Returns
    -------
    array of shape (k, k)
        No small-sample correction is applied.

    Notes
    -----
    Source: Newey and West, "A simple, positive semi-definite, heteroskedasticity and
    autocorrelation consistent covariance matrix", Econometrica 55 (1987), 703-708.
    """
    covariance = _products(scores, scores)
    for step in range(1, min(lag, len(scores) - 1) + 1):
        lagged = _products(scores[step:], scores[:-step])
        covariance += (1 - step / (lag + 1)) * (lagged + lagged.T)
    return covariance


def _products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    # Not a matrix product: its bits may depend on the number of threads.
    return (left[:, :, None] * right[:, None, :]).sum(axis=0)


def mean_with_t(differences: np.ndarray) -> tuple[float, float | None]:
    """Return the mean and its Newey-West t; None if the differences are constant."""
    mean = float(differences.mean())
    variance = float(newey_west((differences - mean)[:, None])[0, 0]) / len(differences) ** 2
    return mean, mean / math.sqrt(variance) if variance > 0 else None


def alpha_with_t(excess: np.ndarray, rival: np.ndarray) -> tuple[float | None, float | None]:
    """Return the intercept of regressing `excess` on `rival`, and its Newey-West t.

    Both are None if the rival's returns are constant. The inputs are daily returns less
    the risk-free rate.
    """
    mean, rival_mean = excess.mean(), rival.mean()
    spread = rival - rival_mean
    squares = float((spread**2).sum())
    if squares <= 0:
        return None, None
    beta = float((spread * (excess - mean)).sum()) / squares
    alpha = float(mean - beta * rival_mean)
    residuals = excess - alpha - beta * rival
    covariance = newey_west(np.column_stack([residuals, residuals * rival]))
    # The row of the inverse of X'X that belongs to the intercept, X = (1, rival).
    row = np.array([(rival**2).sum(), -rival.sum()]) / (len(rival) * squares)
    variance = float((row[:, None] * covariance * row[None, :]).sum())
    return alpha, alpha / math.sqrt(variance) if variance > 0 else None


def sharpe_ratio(excess: np.ndarray, sessions_per_year: int) -> float | None:
    """Return the annual Sharpe ratio of excess returns; None if they are constant."""
    deviation = excess.std(ddof=1)
    return float(math.sqrt(sessions_per_year) * excess.mean() / deviation) if deviation else None


def sharpe_interval(
    excess: np.ndarray, rival: np.ndarray, sessions_per_year: int
) -> tuple[float | None, float | None]:
    """Return the 95% interval of the difference of the Sharpe ratios.

    Both bounds are None if a draw has no ratio, because its returns are constant: then
    the account was in cash for too long.

    Notes
    -----
    Circular block bootstrap. Each draw joins blocks of `BLOCK` sessions, the same
    blocks of both series, until it is as long as the series. The interval lies between
    percentiles of `DRAWS` draws from a fixed seed. Source: Politis and Romano, "A
    circular block-resampling procedure for stationary data" (1992); for the Sharpe
    ratio Ledoit and Wolf, "Robust performance hypothesis testing with the Sharpe
    ratio", Journal of Empirical Finance 15 (2008), 850-859.
    """
    count = len(excess)
    blocks = math.ceil(count / BLOCK)
    lengths = np.full(blocks, BLOCK)
    lengths[-1] = count - BLOCK * (blocks - 1)
    begins = np.random.default_rng(SEED).integers(0, count, size=(DRAWS, blocks))
    ratios = [
        _resampled_ratio(series, begins, lengths, sessions_per_year) for series in (excess, rival)
    ]
    differences = ratios[0] - ratios[1]
    if not np.isfinite(differences).all():
        return None, None
    low, high = np.quantile(differences, INTERVAL)
    return float(low), float(high)


def _resampled_ratio(
    series: np.ndarray, begins: np.ndarray, lengths: np.ndarray, sessions_per_year: int
) -> np.ndarray:
    """Return the Sharpe ratio of every draw, NaN if its returns are constant."""
    around = np.concatenate([series, series[:BLOCK]])
    # Centered first: squares of raw values would cancel in the variance.
    center = series.mean()
    sums = np.concatenate([[0.0], np.cumsum(around - center)])
    squares = np.concatenate([[0.0], np.cumsum((around - center) ** 2)])
    total, total_squares = (
        (running[begins + lengths] - running[begins]).sum(axis=1) for running in (sums, squares)
    )
    count = len(series)
    variance = (total_squares - total**2 / count) / (count - 1)
    # A smaller variance is only the rounding error of a constant.
    variance = np.where(variance > NO_VARIANCE * series.var(), variance, np.nan)
    return math.sqrt(sessions_per_year) * (center + total / count) / np.sqrt(variance)


def judge(
    daily_return: np.ndarray,
    rival_return: np.ndarray,
    *,
    sessions_per_year: int,
    risk_free_rate: float,
    min_sessions: int,
) -> dict:
    """Compute the fields of `Evidence` that depend on the returns.

    Parameters
    ----------
    daily_return, rival_return : array of shape (sessions,)
        Plain ratios on common sessions.
    sessions_per_year, risk_free_rate
        As in the table metrics.
    min_sessions : int
        With fewer sessions every field is None.
    """
    count = len(daily_return)
    figures: dict = {"sessions": count, "verdict": UNCLEAR}
    if count < min_sessions:
        return figures
    daily_rate = risk_free_rate / sessions_per_year
    excess, rival = daily_return - daily_rate, rival_return - daily_rate
    mean, excess_t = mean_with_t(daily_return - rival_return)
    alpha, alpha_t = alpha_with_t(excess, rival)
    figures |= {"mean_excess": sessions_per_year * mean, "excess_t": excess_t, "alpha_t": alpha_t}
    figures["alpha"] = None if alpha is None else sessions_per_year * alpha
    ratios = [sharpe_ratio(series, sessions_per_year) for series in (excess, rival)]
    if None not in ratios:
        low, high = sharpe_interval(excess, rival, sessions_per_year)
        figures |= {"sharpe_difference": ratios[0] - ratios[1], "low": low, "high": high}
    if excess_t is not None and abs(excess_t) > SIGNIFICANT:
        figures["verdict"] = BETTER if excess_t > 0 else WORSE
    return figures


def judge_all(
    returns: pa.Table, *, sessions_per_year: int, risk_free_rate: float, min_sessions: int
) -> pa.Table:
    """Apply `judge` to every strategy, pool and period.

    Parameters
    ----------
    returns : pyarrow.Table
        Columns of `RETURNS_SCHEMA`, in any order.
    sessions_per_year, risk_free_rate, min_sessions
        As in `judge`.

    Returns
    -------
    pyarrow.Table
        `EVIDENCE_SCHEMA`, one row per strategy, pool and period.

    Raises
    ------
    ValueError
        A missing column, a null or infinite value, a duplicate row.
    """
    key = ("strategy", "pool", "period")
    returns = read_checked("returns", returns, RETURNS_SCHEMA, (*key, "session"))
    names = [returns[name].to_pylist() for name in key]
    keys = list(zip(*names, strict=True))
    begins = [n for n, own in enumerate(keys) if n == 0 or own != keys[n - 1]]
    daily, rival = (returns[name].to_numpy() for name in ("daily_return", "rival_return"))
    rows = []
    for begin, end in zip(begins, [*begins[1:], len(keys)][: len(begins)], strict=True):
        figures = judge(
            daily[begin:end],
            rival[begin:end],
            sessions_per_year=sessions_per_year,
            risk_free_rate=risk_free_rate,
            min_sessions=min_sessions,
        )
        rows.append(dict(zip(key, keys[begin], strict=True)) | figures)
    return pa.Table.from_pylist(rows, schema=EVIDENCE_SCHEMA)
