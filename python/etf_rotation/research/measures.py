"""The metrics of many variants at once, equal bit for bit to the table metrics.

The table's model sums in the order of the sessions, and so does this module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np

from etf_rotation.research.curves import Curves

LEAST_DEVIATION = 1e-15  # below it, a deviation is a rounding error


class Settings:
    """Settings from which metrics are computed."""

    def __init__(self, variables: Mapping[str, object]) -> None:
        self.sessions_per_year = int(str(variables["sessions_per_year"]))
        self.min_sessions = int(str(variables["min_metrics_sessions"]))
        self.risk_free_rate = float(str(variables["risk_free_rate"]))

    @property
    def daily_rate(self) -> float:
        """The risk-free rate per session."""
        return self.risk_free_rate / self.sessions_per_year


def daily_returns(equity: np.ndarray, capital: float) -> np.ndarray:
    """Return daily returns, (v, s), plain ratios; the first relative to the capital."""
    previous = np.column_stack([np.full(len(equity), capital), equity[:, :-1]])
    return equity / previous - 1


def metrics(
    curves: Curves,
    benchmark_returns: np.ndarray,
    dates: Sequence[date],
    capital: float,
    settings: Settings,
) -> list[dict | None]:
    """Return each variant's columns of the table metrics; None if it never begins.

    Parameters
    ----------
    curves : Curves
        Curves of v variants on s sessions.
    benchmark_returns : array
        Returns of the pool's benchmark per session, plain ratios.
    dates : sequence of date
        The pool's sessions.
    capital : float
        CNY before the first session.
    settings : Settings
        Settings of the build.

    Notes
    -----
    Source: "Metrics" in the strategy's specification, and the models `metrics`,
    `monthly_returns` and `drawdowns`. Sums use `cumsum`, which adds in the order of the
    sessions; numpy's `sum` adds pairwise.
    """
    begin = curves.begin
    sums = _sums(curves, benchmark_returns[begin:], capital, settings)
    drawdowns = _drawdowns(curves, capital)
    months = np.array([day.year * 12 + day.month for day in dates])
    rows: list[dict | None] = []
    for n, first in enumerate(curves.first.tolist()):
        if first == len(dates):
            rows.append(None)
            continue
        own = {name: values.item(n) for name, values in sums.items()}
        equity, drawdown = (grid[n, first - begin :] for grid in (curves.equity, drawdowns))
        own["win_rate"] = _win_rate(equity, months[first:], capital)
        rows.append(_row(own, first, _worst(drawdown, first, dates), dates, settings))
    return rows


def _total(values: np.ndarray) -> np.ndarray:
    return np.cumsum(values, axis=1)[:, -1]


def _square(values: np.ndarray) -> np.ndarray:
    # Not values * values: SQL's pow sometimes differs from the product in the last bit.
    return np.float_power(values, 2)


def _sums(
    curves: Curves, benchmark_returns: np.ndarray, capital: float, settings: Settings
) -> dict[str, np.ndarray]:
    """Return sums, means and deviations over sessions, (v,) each."""
    count = len(benchmark_returns)
    is_on = np.arange(count) >= (curves.first - curves.begin)[:, None]
    sessions = np.maximum(is_on.sum(axis=1), 1)
    r = np.where(is_on, daily_returns(curves.equity, capital), 0.0)
    b = np.where(is_on, benchmark_returns, 0.0)
    x = np.where(is_on, r - settings.daily_rate, 0.0)
    means = {name: _total(values) / sessions for name, values in (("r", r), ("b", b), ("x", x))}
    means["active"] = _total(r - b) / sessions
    with np.errstate(divide="ignore", invalid="ignore"):
        off_r, off_b = r - means["r"][:, None], b - means["b"][:, None]
        squares = {
            "sd_r": _square(off_r),
            "sd_b": _square(off_b),
            "sd_active": _square(r - b - means["active"][:, None]),
        }
        found = {
            name: np.sqrt(_total(np.where(is_on, own, 0.0)) / (sessions - 1))
            for name, own in squares.items()
        }
        found["covariance"] = _total(np.where(is_on, off_r * off_b, 0.0)) / (sessions - 1)
    for name in squares:
        found[name] = np.where(found[name] <= LEAST_DEVIATION, 0.0, found[name])
    return found | {
        "mean_x": means["x"],
        "mean_active": means["active"],
        "growth_b": np.cumprod(np.where(is_on, 1 + b, 1.0), axis=1)[:, -1],
        "downside": np.sqrt(_total(_square(np.minimum(x, 0))) / sessions),
        "mean_equity": _total(np.where(is_on, curves.equity, 0.0)) / sessions,
        "average_invested": _total(np.where(is_on, curves.holdings_value / curves.equity, 0.0))
        / sessions,
        "traded_value": _total(curves.traded_value),
        "total_costs": _total(curves.costs),
        "end_ratio": curves.equity[:, -1] / capital,
    }


def _drawdowns(curves: Curves, capital: float) -> np.ndarray:
    """Return the loss since the peak, (v, s); the capital is the first peak."""
    peaks = np.maximum.accumulate(np.maximum(curves.equity, capital), axis=1)
    return curves.equity / peaks - 1


def _worst(
    drawdown: np.ndarray, first: int, dates: Sequence[date]
) -> tuple[float, date | None, date | None, date | None]:
    """Return the deepest drawdown with the dates of its peak, trough and recovery."""
    trough = int(np.argmin(drawdown))
    depth = drawdown.item(trough)
    if depth == 0:
        return depth, None, None, None
    peaks = np.flatnonzero(drawdown == 0)
    after = int(np.searchsorted(peaks, trough))
    # -1: the initial capital was the peak.
    peak = peaks[after - 1].item() if after else -1
    recovery = dates[first + peaks[after].item()] if after < len(peaks) else None
    return depth, dates[first + peak], dates[first + trough], recovery


def _win_rate(equity: np.ndarray, months: np.ndarray, capital: float) -> float:
    """Return the fraction of calendar months with a return above 0."""
    ends = np.append(np.flatnonzero(np.diff(months)), len(months) - 1)
    closes = equity[ends]
    returns = closes / np.append(capital, closes[:-1]) - 1
    return (returns > 0).sum().item() / len(returns)


def _row(
    own: Mapping[str, float],
    first: int,
    worst: tuple,
    dates: Sequence[date],
    settings: Settings,
) -> dict:
    sessions = len(dates) - first
    is_long = sessions >= settings.min_sessions
    per_year = settings.sessions_per_year / sessions if is_long else None
    root = math.sqrt(settings.sessions_per_year) if is_long else None
    annual = own["end_ratio"] ** per_year - 1 if is_long else None
    annual_b = own["growth_b"] ** per_year - 1 if is_long else None
    is_spread = sessions > 1
    sd_r, sd_b, sd_active = (
        own[name] if is_spread else None for name in ("sd_r", "sd_b", "sd_active")
    )
    depth = worst[0]
    variance_b = None if sd_b is None else math.pow(sd_b, 2)
    return {
        "first_date": dates[first],
        "last_date": dates[-1],
        "sessions": sessions,
        "total_return": own["end_ratio"] - 1,
        "annual_return": annual,
        "annual_volatility": _product(root, sd_r),
        "sharpe": _ratio(_product(root, own["mean_x"]), sd_r),
        "sortino": _ratio(_product(root, own["mean_x"]), own["downside"]),
        "max_drawdown": depth,
        "max_drawdown_peak_date": worst[1],
        "max_drawdown_trough_date": worst[2],
        "max_drawdown_recovery_date": worst[3],
        "calmar": _ratio(annual, abs(depth)),
        "monthly_win_rate": own["win_rate"] if is_long else None,
        "annual_turnover": _product(own["traded_value"] / 2 / own["mean_equity"], per_year),
        "total_costs": own["total_costs"],
        "average_invested": own["average_invested"],
        "benchmark_return": annual_b,
        "excess_return": annual - annual_b if is_long else None,
        "beta": _ratio(own["covariance"], variance_b) if is_long else None,
        "tracking_error": _product(root, sd_active),
        "information_ratio": _ratio(_product(root, own["mean_active"]), sd_active),
    }


def _product(factor: float | None, other: float | None) -> float | None:
    return None if factor is None or other is None else factor * other


def _ratio(value: float | None, divisor: float | None) -> float | None:
    return None if value is None or not divisor else value / divisor
