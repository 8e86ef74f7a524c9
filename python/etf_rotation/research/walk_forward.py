"""Walk-forward: the return of repeatedly choosing the best past variant."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date
from typing import NamedTuple

import numpy as np

from etf_rotation.backtest.books import BPS
from etf_rotation.errors import InputError
from etf_rotation.research.overfitting import sharpe_by_variant


class Windows(NamedTuple):
    """Months of history for a choice, and months that it is followed."""

    trailing: int
    following: int


class Costs(NamedTuple):
    """The costs of a fill."""

    slippage_bps: float
    commission_bps: float
    min_commission_cny: float


class Choice(NamedTuple):
    """One choice, and the cost of switching to it."""

    session: int  # row of the first session after the choice
    variant: int  # column
    sharpe: float  # per session, over the trailing months
    turnover: float = 0.0  # Σ|change of weight|: 1 from cash to invested, at most 2
    cost: float = 0.0  # fraction of equity


class WalkForward(NamedTuple):
    """The choices, and the daily returns since the first of them, plain ratios."""

    choices: list[Choice]
    returns: np.ndarray


def read_windows(text: str) -> Windows:
    """Parse an option such as 36,12.

    Raises
    ------
    InputError
        The text is not two whole numbers above zero.
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
    """Choose the variant with the highest trailing Sharpe ratio in every period.

    Parameters
    ----------
    excess : array of shape (sessions, variants)
        Daily returns less the risk-free rate.
    dates : sequence of date
        The sessions.
    before : date
        The session before the first one. A month that has begun by then is incomplete.
    windows : Windows
        Windows in whole calendar months. The end of the data may cut the last period
        short.

    Returns
    -------
    list of Choice
        Ties go to the earlier variant. Empty if the data is shorter than the trailing
        months.
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
        Returns a variant's weights, (funds,), at the close before a row.
    costs : sequence of Costs
        Costs per variant; a switch pays those of its new variant.
    capital : float
        CNY before the first choice, all in cash.

    Notes
    -----
    A switch at the first session's open trades Σ|new weight - old weight| of the
    equity, one fill per fund. Each fill costs slippage on its value and the commission,
    at least the minimum. The session earns (1 - cost) (1 + return) - 1.
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
    """Return the cost of fills of these weights, as a fraction of equity."""
    commission = np.maximum(changes * costs.commission_bps / BPS, costs.min_commission_cny / equity)
    return float((changes * costs.slippage_bps / BPS + commission).sum())


class Figures(NamedTuple):
    """Annual figures of a series of returns."""

    annual_return: float
    sharpe: float | None
    max_drawdown: float


def figures(returns: np.ndarray, sessions_per_year: int, risk_free_rate: float) -> Figures:
    """Return annual return, Sharpe ratio and drawdown of daily returns, as ratios."""
    levels = np.cumprod(1 + returns)
    excess = returns - risk_free_rate / sessions_per_year
    sharpe = float(sharpe_by_variant(excess[:, None])[0]) * math.sqrt(sessions_per_year)
    peaks = np.maximum.accumulate(np.maximum(levels, 1.0))
    return Figures(
        float(levels[-1] ** (sessions_per_year / len(returns)) - 1),
        sharpe if math.isfinite(sharpe) else None,
        float((levels / peaks - 1).min()),
    )
