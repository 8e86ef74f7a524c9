"""Comparison of variants on common sessions: overfitting, holdout, walk-forward."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import date
from typing import NamedTuple

import duckdb
import numpy as np

from etf_rotation.errors import InputError
from etf_rotation.research.build import Build, Variant
from etf_rotation.research.curves import simulate
from etf_rotation.research.data import PoolData
from etf_rotation.research.measures import Settings
from etf_rotation.research.overfitting import (
    BLOCKS,
    Holdout,
    Overfitting,
    hold_out,
    probability_of_overfitting,
)
from etf_rotation.research.sweep import Result
from etf_rotation.research.walk_forward import (
    Choice,
    Costs,
    Figures,
    Windows,
    choose,
    figures,
    follow,
)

EQUAL_WEIGHT = "equal_weight"


class Asked(NamedTuple):
    """The comparisons that the user asked for."""

    holdout_start: date | None
    windows: Windows | None


class Comparable(NamedTuple):
    """Variants with equal costs, and v of them with a long common period."""

    numbers: list[int]  # numbers of all variants with these costs, from 0
    common: list[int]  # numbers of the v variants
    first: int  # the pool's session from which all v have returns
    returns: np.ndarray  # (sessions, v), plain ratios
    slippage_bps: float
    commission_bps: float


class Walk(NamedTuple):
    """A walk-forward result, with figures of rivals over the same sessions."""

    windows: Windows
    dates: list[date]  # one per choice
    choices: list[Choice]  # `variant` is a place among the comparable ones
    sessions: int
    figures: dict[str, Figures | None]  # None if the curve does not exist


class Comparison(NamedTuple):
    """The comparisons; None if one was not asked for or has too little data."""

    asked: Asked
    comparable: Comparable
    overfitting: Overfitting | None
    holdout: Holdout | None
    walk: Walk | None


def comparable(variants: Sequence[Variant], results: Sequence[Result]) -> Comparable | None:
    """Return the variants that compete with each other; None if there are none.

    Notes
    -----
    Costs are an assumption, not a choice. Only the variants with the most frequent
    costs compete; a tie goes to the costs that come first.

    A variant that begins late would leave few common sessions. The start is therefore
    the session that maximizes common sessions × variants; the v are the variants that
    have begun by then.
    """
    began = [n for n, result in enumerate(results) if result.metrics]
    if not began:
        return None
    costs = [(variants[n].slippage_bps, variants[n].commission_bps) for n in began]
    ((chosen, _),) = Counter(costs).most_common(1)
    numbers = [n for n, own in zip(began, costs, strict=True) if own == chosen]
    firsts = np.array([results[n].first for n in numbers])
    end = results[numbers[0]].first + len(results[numbers[0]].equity)
    first = max(
        sorted(set(firsts.tolist())), key=lambda begin: (end - begin) * (firsts <= begin).sum()
    )
    common = [n for n in numbers if results[n].first <= first]
    returns = np.column_stack([results[n].returns[first - results[n].first :] for n in common])
    return Comparable(numbers, common, first, returns, *chosen)


def compare(
    build: Build,
    data: PoolData,
    variants: Sequence[Variant],
    results: Sequence[Result],
    asked: Asked,
) -> Comparison | None:
    """Compare the variants; None if none ever began."""
    own = comparable(variants, results)
    if own is None:
        return None
    settings = Settings(build.variables)
    excess = own.returns - settings.daily_rate
    overfitting = holdout = walk = None
    enough = len(excess) >= max(2 * BLOCKS, settings.min_sessions)
    if len(own.common) > 1 and enough:
        overfitting = probability_of_overfitting(excess)
    dates = data.prices.dates
    if asked.holdout_start is not None and len(own.common) > 1:
        since = bisect_left(dates, asked.holdout_start, own.first) - own.first
        if min(since, len(excess) - since) >= settings.min_sessions:
            holdout = hold_out(excess, since)
    if asked.windows is not None:
        walk = _walk(build, data, variants, results, own, asked.windows)
    return Comparison(asked, own, overfitting, holdout, walk)


def _walk(
    build: Build,
    data: PoolData,
    variants: Sequence[Variant],
    results: Sequence[Result],
    own: Comparable,
    windows: Windows,
) -> Walk:
    settings, dates = Settings(build.variables), data.prices.dates
    first, returns = _from_the_builds_own(build, variants, results, own)
    choices = choose(returns - settings.daily_rate, dates[first:], dates[first - 1], windows)
    if not choices:
        raise InputError(
            f"--walk-forward {windows.trailing},{windows.following}: the {len(returns):,} sessions "
            f"from {dates[first]} to {dates[-1]} are fewer than {windows.trailing} months and one "
            "more"
        )
    capital = build.parameters.target_capital
    costs = [
        Costs(own.slippage_bps, own.commission_bps, build.parameters.min_commission_cny)
    ] * len(own.numbers)
    weights = _weights(build, data, [variants[n] for n in own.numbers], first, choices)
    walked = follow(choices, returns, weights, costs, capital)
    followed = returns[choices[0].session :]
    growth = np.prod(1 + followed, axis=0)
    begin = first + choices[0].session
    curves = {
        "walk-forward": walked.returns,
        build.strategy: _since(results[variants.index(build.variant)], begin),
        EQUAL_WEIGHT: _equal_weight(build, dates[begin], len(walked.returns)),
        "best in hindsight": followed[:, np.argmax(np.nan_to_num(growth))],
    }
    per_year, rate = settings.sessions_per_year, settings.risk_free_rate
    return Walk(
        windows,
        [dates[first + choice.session] for choice in walked.choices],
        walked.choices,
        len(walked.returns),
        {
            name: None if returns is None else figures(returns, per_year, rate)
            for name, returns in curves.items()
        },
    )


def _from_the_builds_own(
    build: Build, variants: Sequence[Variant], results: Sequence[Result], own: Comparable
) -> tuple[int, np.ndarray]:
    """Return the first session of the build's own variant, and returns from then on.

    A variant that begins later has NaN until it begins.
    """
    result = results[variants.index(build.variant)]
    first = result.first if result.metrics else own.first
    count = own.first + len(own.returns)
    returns = np.full((count - first, len(own.numbers)), np.nan)
    for place, n in enumerate(own.numbers):
        one = results[n].returns[max(first - results[n].first, 0) :]
        returns[len(returns) - len(one) :, place] = one
    return first, returns


def _weights(
    build: Build,
    data: PoolData,
    variants: Sequence[Variant],
    first: int,
    choices: Sequence[Choice],
) -> Callable[[int, int], np.ndarray]:
    """Return a function of a variant's weights at the close before a switch."""
    chosen = list(dict.fromkeys(choice.variant for choice in choices))
    sessions = [choice.session for choice in choices]
    closes = [first + session - 1 for session in sessions]
    again = simulate(build, data, [variants[n] for n in chosen], closes)
    return lambda variant, session: again.weights[chosen.index(variant), sessions.index(session)]


def _since(result: Result, session: int) -> np.ndarray | None:
    """Return a variant's daily returns from a session on; None if it begins later."""
    return result.returns[session - result.first :] if result.first <= session else None


def _equal_weight(build: Build, first: date, sessions: int) -> np.ndarray | None:
    """Return the build's daily returns of equal_weight from a session on."""
    with closing(duckdb.connect(str(build.database), read_only=True)) as connection:
        returns = connection.execute(
            "select daily_return from backtest.equity_daily "
            "where strategy = $strategy and pool = $pool and trade_date >= $first "
            "order by trade_date",
            {"strategy": EQUAL_WEIGHT, "pool": build.pool, "first": first},
        ).fetchnumpy()["daily_return"]
    return returns if len(returns) == sessions else None
