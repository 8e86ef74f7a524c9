"""Checks of the seed `strategies`, before anything is computed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from etf_rotation.errors import InputError
from etf_rotation.signals.weights import EQUAL, INVERSE_VOLATILITY, OWN

NAME = r"[a-z][a-z0-9_]*"
RESERVED = ("live",)  # the name of a PORTFOLIO
WEIGHTINGS = (EQUAL, INVERSE_VOLATILITY, OWN)
VOLATILITY_WINDOWS = (5, 10, 20, 30, 60, 120)
# Per rhythm: the largest rebalance_offset, and the largest number of tranches.
RHYTHMS = {"monthly": (19, 4), "weekly": (4, 5), "daily": (0, 1)}


WHOLE = ("top_n", "volatility_window", "rebalance_offset", "tranches")


class Row(NamedTuple):
    """A row of the seed `strategies` as written.

    An empty cell is None. `check_strategies` rejects empty cells, except in `top_n`:
    there it means every fund.
    """

    strategy: str
    pool: str
    is_live: bool
    ranking: str
    top_n: float | None
    keep_rank: float
    weighting: str
    volatility_window: float
    redistribute: bool
    rebalance: str
    rebalance_offset: float
    tranches: float
    min_weight_change: float


def check_strategies(
    rows: Sequence[Row], pools: Collection[str], rankings: Collection[str]
) -> None:
    """Reject strategies that cannot be simulated.

    Parameters
    ----------
    rows : sequence of Row
        The seed strategies.
    pools : collection of str
        The pools of the seed pool_constraints.
    rankings : collection of str
        The models of models/strategies.

    Raises
    ------
    InputError
        Names strategy, pool and column, and what to do.
    """
    seen = set()
    live: dict[str, list[str]] = {pool: [] for pool in sorted(pools)}
    for row in rows:
        fault = fault_of(row, pools, rankings)
        if (row.strategy, row.pool) in seen:
            fault = "there are two such rows; keep one"
        if fault:
            raise InputError(f"seed strategies: {row.strategy} in {row.pool}: {fault}")
        seen.add((row.strategy, row.pool))
        if row.is_live:
            live[row.pool].append(row.strategy)
    for pool, names in live.items():
        if len(names) != 1:
            found = " and ".join(names) or "none"
            raise InputError(
                f"seed strategies: {pool} needs exactly one row with is_live true, there is "
                f"{found}; set is_live"
            )


def fault_of(row: Row, pools: Collection[str], rankings: Collection[str]) -> str | None:
    """Return a row's first error and its remedy; None for a good row."""
    values = row._asdict()
    if fault := _cell_fault(values):
        return fault
    if not re.fullmatch(NAME, row.strategy) or row.strategy in RESERVED:
        return "a strategy's name is small letters, digits and _, and not 'live'"
    if row.pool not in pools:
        return "the seed pool_constraints has no such pool"
    if row.ranking not in rankings:
        known = ", ".join(sorted(rankings))
        return f"models/strategies has no model {row.ranking}; there are {known}"
    choices: dict[str, Collection[str]] = {"weighting": WEIGHTINGS, "rebalance": RHYTHMS}
    for name, allowed in choices.items():
        if (value := getattr(row, name)) not in allowed:
            return f"{name} is {value}, which must be one of {', '.join(allowed)}"
    return _numeric_fault(row, values)


def _cell_fault(values: Mapping) -> str | None:
    for name, value in values.items():
        if value is None and name != "top_n":
            return f"{name} is empty; fill it in"
        if name in WHOLE and value is not None and value % 1:
            return f"{name} is {value:g}, which must be a whole number"
    return None


def _numeric_fault(row: Row, values: Mapping) -> str | None:
    largest_offset, most_tranches = RHYTHMS[row.rebalance]
    ranges = {
        "rebalance_offset": (0, largest_offset),
        "tranches": (1, most_tranches),
        "keep_rank": (1, float("inf")),
        "min_weight_change": (0, 1),
    }
    for name, (least, most) in ranges.items():
        if not least <= values[name] <= most:
            return f"{name} is {values[name]:g}, which must be {least} to {most}"
    if row.volatility_window not in VOLATILITY_WINDOWS:
        known = ", ".join(map(str, VOLATILITY_WINDOWS))
        return f"volatility_window is {row.volatility_window:g}; the panel has {known}"
    if row.top_n is not None and row.top_n < 1:
        return f"top_n is {row.top_n:g}, which must be 1 or more, or empty for every fund"
    if row.top_n is None and row.keep_rank != 1:
        return "keep_rank must be 1 where top_n is empty: every fund is held"
    if not row.redistribute and (row.weighting != EQUAL or row.top_n is None):
        return "redistribute may be false only with weighting equal and a top_n"
    return None
