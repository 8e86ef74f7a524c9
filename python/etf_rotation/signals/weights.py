"""Target weights of the funds that a strategy selects, exact to 12 decimals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from operator import gt
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

Number = TypeVar("Number", Fraction, Decimal, float)

EQUAL, INVERSE_VOLATILITY, OWN = "equal", "inverse_volatility", "own"
UNIT = 10**12  # weights are whole multiples of 1 / UNIT
# At this distance from a bound, doubles decide safely: the error of a weight in doubles
# is below 1e-15. Doubles are 50 times faster than fractions.
LEAST_DISTANCE = 1e-13  # of a weight from its bound
LEAST_REMAINDER = 1e-3  # of a weight from the next whole unit
# Decimals of so many digits decide nearly all of the rest, 10 times faster than fractions.
DIGITS = 40


class Limits(NamedTuple):
    """A pool's upper bounds of weights, as fractions of equity."""

    max_single_weight: float
    max_sector_weight: float


class Cap(NamedTuple):
    """A fund's tradable weight: max_adv_pct × adv20 / tranches / equity."""

    max_adv_pct: float
    adv20: float
    tranches: int
    equity: float


@dataclass(frozen=True)
class _Arithmetic(Generic[Number]):
    """A kind of number: conversion from a double, addition, and distances that decide."""

    read: Callable[[float], Number]
    add: Callable[[list[Number]], Any]
    least_distance: Number
    least_remainder: Number

    def is_above(self, value: Number, bound: Number) -> bool:
        """Compare, or raise if rounding errors could change the answer."""
        if abs(value - bound) < self.least_distance:
            raise _UndecidedError
        return value > bound

    def rounded_down(self, value: Number) -> float:
        """Return the whole units in a weight, or raise as `is_above` does."""
        units = math.floor(value * UNIT)
        if not self.least_remainder <= value * UNIT - units <= 1 - self.least_remainder:
            raise _UndecidedError
        return units / UNIT


class _UndecidedError(Exception):
    """The values are too close to a bound to decide."""


def share_out(
    total: Number,
    raw_weights: Sequence[Number],
    bounds: Sequence[Number],
    add: Callable[[list[Number]], Any] = sum,
    is_above: Callable[[Number, Number], bool] = gt,
) -> list[Number]:
    """Split an amount in proportion to raw weights, none above its bound.

    Parameters
    ----------
    total : Fraction
        The amount, at least 0.
    raw_weights, bounds : sequence of Fraction, length n
        At least 0. A raw weight of 0 gets nothing.
    add, is_above : callable
        Sum and comparison of the numbers.

    Returns
    -------
    list of Fraction, length n
        They add up to `total`, or to less if the bounds leave no room.

    Notes
    -----
    Source: "Weights that are redistributed" in the strategy's specification. Each round
    spreads the rest over the free funds. Funds above their bound are then fixed at it.
    """
    shares = [total * 0] * len(raw_weights)
    free = [n for n, raw_weight in enumerate(raw_weights) if raw_weight > 0]
    fixed: list[Number] = []
    while free:
        left: list[Number] = [total]
        left += [-bound for bound in fixed]
        scale = add(left) / add([raw_weights[n] for n in free])
        above = [n for n in free if is_above(raw_weights[n] * scale, bounds[n])]
        if not above:
            for n in free:
                shares[n] = raw_weights[n] * scale
            break
        for n in above:
            shares[n] = bounds[n]
            fixed.append(bounds[n])
        free = [n for n in free if n not in above]
    return shares


def redistribute(
    weighting: str,
    values: Sequence[float],
    sectors: Sequence[str | None],
    limits: Limits,
    caps: Mapping[int, Cap] | None = None,
) -> list[float]:
    """Return the weights of selected funds, within the limits of funds and categories.

    Parameters
    ----------
    weighting : str
        `equal`: every raw weight is 1. `inverse_volatility`: 1 / value. `own`: the
        value.
    values : sequence of float, length n
        The weighting's input per fund: a volatility above 0, or a raw weight of at
        least 0.
    sectors : sequence of str or None, length n
        Each fund's category; None for a broad fund, which no sector limit binds.
    limits : Limits
        Of the pool.
    caps : mapping of int to Cap, optional
        Further bounds, by the position of the fund.

    Returns
    -------
    list of float, length n
        Fractions of equity, rounded down to 12 decimals. They add up to 1 (`own`: to
        the sum of the raw weights if it is less), or to less if the limits leave no
        room.

    Notes
    -----
    Source: "Weights that are redistributed" in the strategy's specification. First each
    category's bound is split over its funds; the result is each fund's bound. A double
    stands for the shortest decimal that reads back as the same double.
    """
    members: dict[str, list[int]] = {}
    for n, sector in enumerate(sectors):
        if sector is not None:
            members.setdefault(sector, []).append(n)
    values = (1.0,) * len(values) if weighting == EQUAL else tuple(values)
    arguments = weighting, values, tuple(map(tuple, members.values())), limits
    return list(_weights(*arguments, caps) if caps else _weights_without_caps(*arguments))


# Cached: the same funds with equal raw weights recur session after session.
@lru_cache(maxsize=4096)
def _weights_without_caps(
    weighting: str,
    values: tuple[float, ...],
    sectors: tuple[tuple[int, ...], ...],
    limits: Limits,
) -> tuple[float, ...]:
    return _weights(weighting, values, sectors, limits, {})


def _weights(
    weighting: str,
    values: Sequence[float],
    sectors: Sequence[Sequence[int]],
    limits: Limits,
    caps: Mapping[int, Cap],
) -> tuple[float, ...]:
    arguments = weighting, values, sectors, limits, caps
    with suppress(_UndecidedError):
        return _weights_in(DOUBLES, *arguments)
    with localcontext(prec=DIGITS), suppress(_UndecidedError):
        return _weights_in(DECIMALS, *arguments)
    return _weights_in(FRACTIONS, *arguments)


def _weights_in(
    arithmetic: _Arithmetic[Number],
    weighting: str,
    values: Sequence[float],
    sectors: Sequence[Sequence[int]],
    limits: Limits,
    caps: Mapping[int, Cap],
) -> tuple[float, ...]:
    single = arithmetic.read(limits.max_single_weight)
    units = _units(limits.max_single_weight)
    shares = _shared_out(arithmetic, weighting, values, sectors, limits, caps)
    return tuple(units if share == single else arithmetic.rounded_down(share) for share in shares)


def _shared_out(
    arithmetic: _Arithmetic[Number],
    weighting: str,
    values: Sequence[float],
    sectors: Sequence[Sequence[int]],
    limits: Limits,
    caps: Mapping[int, Cap],
) -> list[Number]:
    read, add, is_above = arithmetic.read, arithmetic.add, arithmetic.is_above
    raw = [read(value) for value in values]
    raw = [1 / value for value in raw] if weighting == INVERSE_VOLATILITY else raw
    single, sector = (read(limit) for limit in limits)
    bounds = [single] * len(raw)
    for n, cap in caps.items():
        bound = _bound(read, cap)
        bounds[n] = single if is_above(bound, single) else bound
    for members in sectors:
        own = [bounds[n] for n in members]
        if all(bound == single for bound in own):
            has_room = _fit(len(own), *limits)
        else:
            has_room = not is_above(add(own), sector)
        # Bounds that the sector has room for would be the shares.
        if not has_room:
            shares = share_out(sector, [raw[n] for n in members], own, add, is_above)
            for n, share in zip(members, shares, strict=True):
                bounds[n] = share
    total = read(1.0)
    if weighting == OWN and is_above(total, add(raw)):
        total = add(raw)
    return share_out(total, raw, bounds, add, is_above)


def _bound(read: Callable[[float], Number], cap: Cap) -> Number:
    return read(cap.max_adv_pct) * read(cap.adv20) / cap.tranches / read(cap.equity)


@lru_cache
def _fit(count: int, bound: float, limit: float) -> bool:
    """Return whether so many equal bounds add up to no more than a limit, as decimals."""
    return count * _exact(bound) <= _exact(limit)


def _exact(value: float) -> Fraction:
    return Fraction(repr(value))


def whole_units(limits: np.ndarray) -> np.ndarray:
    """Return limits rounded down to 12 decimals."""
    return np.array(list(map(_units, limits.tolist())))


@lru_cache
def _units(limit: float) -> float:
    return _exact(limit) * UNIT // 1 / UNIT


def units_left(
    sector: np.ndarray, single: np.ndarray, at_limit: np.ndarray, others: np.ndarray
) -> np.ndarray:
    """Return what funds at the limit of a fund leave to each of the others in a sector.

    Rounded down to 12 decimals; the others get equal parts.
    """
    columns = (own.tolist() for own in (sector, single, at_limit, others))
    return np.array(list(map(_units_left, *columns)))


@lru_cache
def _units_left(sector: float, single: float, at_limit: int, others: int) -> float:
    return (_exact(sector) - at_limit * _exact(single)) / others * UNIT // 1 / UNIT


def capped_units(cap: Cap) -> float:
    """Return a cap rounded down to 12 decimals."""
    with localcontext(prec=DIGITS), suppress(_UndecidedError):
        return DECIMALS.rounded_down(_bound(DECIMALS.read, cap))
    return FRACTIONS.rounded_down(_bound(FRACTIONS.read, cap))


def most_at(single: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Return how many funds at the limit of a fund another limit has room for."""
    return np.array(list(map(_most_at, single.tolist(), limit.tolist())), int)


@lru_cache
def _most_at(single: float, limit: float) -> int:
    return int(_exact(limit) // _exact(single))


@lru_cache(maxsize=4096)
def equal_weights(in_sector: tuple[tuple[int, int], ...], limits: Limits) -> list[float]:
    """Return equal weights, redistributed, by the number of funds in their sector.

    Parameters
    ----------
    in_sector : tuple of (int, int)
        Numbers of selected funds in a sector, 0 for funds without one, each with the
        number of funds to which it applies.
    limits : Limits
        Of the pool.

    Returns
    -------
    list of float
        The weight of a fund for each number, as from `redistribute`.
    """
    # Funds of equal raw weights and bounds count as one fund with the sum of both.
    single, sector = map(_exact, limits)
    raw = [Fraction(count) for _, count in in_sector]
    bounds = [
        min(single, sector / size) * count if size else single * count for size, count in in_sector
    ]
    shares = share_out(Fraction(1), raw, bounds)
    counts = [count for _, count in in_sector]
    return [share / count * UNIT // 1 / UNIT for share, count in zip(shares, counts, strict=True)]


def _decimal(value: float) -> Decimal:
    return Decimal(repr(value))


DOUBLES = _Arithmetic[float](float, math.fsum, LEAST_DISTANCE, LEAST_REMAINDER)
DECIMALS = _Arithmetic[Decimal](_decimal, sum, Decimal("1e-30"), Decimal("1e-20"))
FRACTIONS = _Arithmetic[Fraction](_exact, sum, Fraction(0), Fraction(0))
