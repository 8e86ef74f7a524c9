"""Walk-forward: the return of repeatedly choosing the best variant of the past."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date
from typing import NamedTuple

import numpy as np

from etf_rotation.backtest.accounts import BPS
from etf_rotation.errors import InputError
from etf_rotation.research.overfitting import sharpe_by_variant


class Windows(NamedTuple):
    """Months to choose by, and months to follow the choice."""

    trailing: int
    following: int


class Costs(NamedTuple):
    """What a fill costs."""

    slippage_bps: float
    commission_bps: float
    min_commission_cny: float


class Choice(NamedTuple):
    """A choice, and the cost of switching to it."""

    session: int  # the row of the first session that follows it
    variant: int  # column
    sharpe: float  # per session, over the trailing months
    turnover: float = 0.0  # Σ|change of weight|: 1 from cash to fully invested, 2 at most
    cost: float = 0.0  # share of equity


class WalkForward(NamedTuple):
    """The choices, and the daily returns from the first of them on, plain ratios."""

    choices: list[Choice]
    returns: np.ndarray


def read_windows(text: str) -> Windows:
    """Return the windows of an option such as 36,12.

    Raises
    ------
    InputError
        Anything but two whole numbers above zero.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):  # noqa: PLR2004
        raise InputError(
            f"--walk-forward {text}: give the months to choose by and the months to follow the "
            "choice, such as 36,12"
        )
    return Windows(int(parts[0]), int(parts[1]))


def choose(
    excess: np.ndarray, dates: Sequence[date], before: date, windows: Windows
) -> list[Choice]:
    """Choose the variant of the highest trailing Sharpe ratio, at the start of every period.

    Parameters
    ----------
    excess : array of shape (sessions, variants)
        Daily returns less the risk-free rate.
    dates : sequence of date
        The sessions.
    before : date
        The session before the first: a month that has begun by then is no whole month.
    windows : Windows
        Whole calendar months. The last period may be cut short by the end of the data.

    Returns
    -------
    list of Choice
        Ties go to the earlier variant; empty where the sessions are fewer than the trailing months.
    """
    months = np.array([day.year * 12 + day.month for day in dates])
    first = int(months[0]) + (before.year * 12 + before.month == months[0])
    choices = []
    for month in range(first + windows.trailing, int(months[-1]) + 1, windows.following):
        begin, session = np.searchsorted(months, [month - windows.trailing, month]).tolist()
        ratios = sharpe_by_variant(excess[begin:session])
        best = int(np.argmax(ratios))
        choices.append(Choice(session, best, float(ratios[best])))
    return choices


def follow(
    choices: Sequence[Choice],
    returns: np.ndarray,
    weights: Callable[[int, int], np.ndarray],
    costs: Sequence[Costs],
    capital: float,
) -> WalkForward:
    """Follow each choice until the next, and charge the turnover of every switch.

    Parameters
    ----------
    choices : sequence of Choice
        At least one.
    returns : array of shape (sessions, variants)
        Daily returns of the variants, after their own costs.
    weights : callable
        Gives a variant's weights, (funds,), at the close before a row.
    costs : sequence of Costs
        Of each variant; a switch pays those of the variant that it leads to.
    capital : float
        CNY before the first choice, which all is bought from.

    Notes
    -----
    A switch at the first session's open trades Σ|new weight - old weight| of the equity, a fill per
    fund: slippage on its value, and commission, at least the minimum. The session earns
    (1 - cost) (1 + return) - 1.
    """
    ends = [*(choice.session for choice in choices[1:]), len(returns)]
    equity, held, paid, parts = capital, None, [], []
    for choice, end in zip(choices, ends, strict=True):
        new = weights(choice.variant, choice.session)
        old = np.zeros_like(new) if held is None else weights(held, choice.session)
        changes = np.abs(new - old) if held != choice.variant else np.zeros_like(new)
        cost = _cost(changes[changes > 0], costs[choice.variant], equity)
        own = returns[choice.session : end, choice.variant].copy()
        own[0] = (1 - cost) * (1 + own[0]) - 1
        equity *= float(np.prod(1 + own))
        held = choice.variant
        parts.append(own)
        paid.append(choice._replace(turnover=float(changes.sum()), cost=cost))
    return WalkForward(paid, np.concatenate(parts))


def _cost(changes: np.ndarray, costs: Costs, equity: float) -> float:
    """Return what fills of these shares of the equity cost, as a share of it."""
    commission = np.maximum(changes * costs.commission_bps / BPS, costs.min_commission_cny / equity)
    return float((changes * costs.slippage_bps / BPS + commission).sum())


class Figures(NamedTuple):
    """What returns come to in a year."""

    annual_return: float
    sharpe: float | None
    max_drawdown: float


def figures(returns: np.ndarray, sessions_per_year: int, risk_free_rate: float) -> Figures:
    """Return annual return, Sharpe ratio and drawdown of daily returns, plain ratios."""
    levels = np.cumprod(1 + returns)
    excess = returns - risk_free_rate / sessions_per_year
    sharpe = float(sharpe_by_variant(excess[:, None])[0]) * math.sqrt(sessions_per_year)
    peaks = np.maximum.accumulate(np.maximum(levels, 1.0))
    return Figures(
        float(levels[-1] ** (sessions_per_year / len(returns)) - 1),
        sharpe if math.isfinite(sharpe) else None,
        float((levels / peaks - 1).min()),
    )
