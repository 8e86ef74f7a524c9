"""Redistributed target weights of many selections at once.

The rule is that of `weights.redistribute`, which handles one selection. The doubles are
the same, and so is the distance from a bound at which they decide. A selection that they
cannot decide goes to `redistribute`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from etf_rotation.exact_sums import exact_sums
from etf_rotation.signals.weights import (
    EQUAL,
    INVERSE_VOLATILITY,
    LEAST_DISTANCE,
    LEAST_REMAINDER,
    OWN,
    UNIT,
    Cap,
    Limits,
    capped_units,
    equal_weights,
    most_at,
    redistribute,
    units_left,
    whole_units,
)


class Selected(NamedTuple):
    """Selections of funds: r rows, f funds. Unselected funds may hold any value."""

    weighting: np.ndarray  # (r,), names as in `redistribute`
    is_selected: np.ndarray  # (r, f)
    values: np.ndarray  # (r, f), the weighting's input
    sectors: np.ndarray  # (r, f), codes from 0; -1 for a broad fund
    max_single_weight: np.ndarray  # (r,)
    max_sector_weight: np.ndarray  # (r,)


class Caps(NamedTuple):
    """Tradable weights; units and meaning as in `weights.Cap`."""

    is_capped: np.ndarray  # (r, f)
    max_adv_pct: np.ndarray  # (r,)
    adv20: np.ndarray  # (r, f)
    tranches: np.ndarray  # (r,)
    equity: np.ndarray  # (r,)


def redistribute_rows(selected: Selected, caps: Caps | None = None) -> np.ndarray:
    """Return the weights of every selection, bit for bit those of `redistribute`.

    Parameters
    ----------
    selected : Selected
        Selections of any strategies and pools.
    caps : Caps, optional
        Further bounds of the funds.

    Returns
    -------
    array of shape (r, f)
        Fractions of equity, 0 where a fund is not selected.
    """
    weights = np.zeros(selected.is_selected.shape)
    in_sector = _sector_sizes(selected)
    is_plain = selected.weighting == EQUAL
    if caps is not None:
        is_plain = is_plain & ~caps.is_capped.any(axis=1)
    rows = np.flatnonzero(is_plain)
    if len(rows):
        weights[rows] = _equal(_of(selected, rows), in_sector[rows])
    rows = np.flatnonzero(~is_plain)
    if len(rows):
        own_caps = None if caps is None else _of(caps, rows)
        weights[rows] = _shared_out(_of(selected, rows), in_sector[rows], own_caps)
    return weights


def redistribute_each(
    weighting: str,
    values: Sequence[Sequence[float]],
    sectors: Sequence[Sequence[str | None]],
    limits: Limits,
) -> list[list[float]]:
    """Return the weights of selections given as in `redistribute`."""
    lengths = list(map(len, values))
    places = np.nonzero(np.arange(max(lengths, default=0)) < np.array(lengths, int)[:, None])
    shape = len(values), max(lengths, default=0)
    selected = Selected(
        np.full(len(values), weighting),
        np.zeros(shape, bool),
        np.ones(shape),
        np.full(shape, -1),
        *(np.full(len(values), limit) for limit in limits),
    )
    codes: dict[str | None, int] = {None: -1}
    selected.is_selected[places] = True
    selected.values[places] = list(chain.from_iterable(values))
    selected.sectors[places] = [
        codes.setdefault(sector, len(codes) - 1) for sector in chain.from_iterable(sectors)
    ]
    weights = redistribute_rows(selected).tolist()
    return [row[:length] for row, length in zip(weights, lengths, strict=True)]


def _of(table: Any, rows: np.ndarray) -> Any:
    return type(table)(*(column[rows] for column in table))


def _sector_sizes(selected: Selected) -> np.ndarray:
    """Return the number of selected funds in each fund's sector, (r, f), or 0."""
    has_sector = selected.is_selected & (selected.sectors >= 0)
    rows, funds = np.nonzero(has_sector)
    width = selected.sectors.max(initial=0) + 1
    groups = rows * width + selected.sectors[rows, funds]
    sizes = np.zeros(has_sector.shape, int)
    sizes[rows, funds] = np.bincount(groups)[groups]
    return sizes


def _equal(selected: Selected, in_sector: np.ndarray) -> np.ndarray:
    """Return equal weights without caps: they depend only on the sizes of sectors."""
    rows, funds = np.nonzero(selected.is_selected)
    width = in_sector.max(initial=0) + 1
    counts = np.bincount(rows * width + in_sector[rows, funds], minlength=len(in_sector) * width)
    limits = np.column_stack([selected.max_single_weight, selected.max_sector_weight])
    keys = np.column_stack([limits, counts.reshape(-1, width)])
    patterns: dict[bytes, int] = {}
    names = keys.view(f"V{keys.itemsize * keys.shape[1]}")[:, 0].tolist()
    pattern = np.array([patterns.setdefault(name, len(patterns)) for name in names])
    by_size = np.zeros((len(patterns), width))
    for row, name in zip(by_size, patterns, strict=True):
        single, sector, *own = np.frombuffer(name).tolist()
        sizes = [size for size, count in enumerate(own) if count]
        key = tuple((size, int(own[size])) for size in sizes)
        row[sizes] = equal_weights(key, Limits(single, sector))
    return np.where(selected.is_selected, by_size[pattern[:, None], in_sector], 0.0)


def _shared_out(selected: Selected, in_sector: np.ndarray, caps: Caps | None) -> np.ndarray:
    is_selected, single = selected.is_selected, selected.max_single_weight[:, None]
    is_inverse = (selected.weighting == INVERSE_VOLATILITY)[:, None] & is_selected
    has_value = is_selected & (selected.weighting != EQUAL)[:, None]
    raw = np.where(has_value, selected.values, is_selected)
    raw = np.divide(1, raw, out=raw, where=is_inverse)
    is_open = np.zeros(len(raw), bool)  # undecided
    # A raw weight of 0 gets nothing.
    bounds = np.where(raw > 0, single, 0.0)
    cap = np.full(raw.shape, np.inf)
    if caps is not None:
        cap = caps.max_adv_pct[:, None] * caps.adv20 / caps.tranches[:, None]
        cap = np.where(caps.is_capped, cap / caps.equity[:, None], np.inf)
        is_open |= (np.abs(cap - single) < LEAST_DISTANCE).any(axis=1)
        bounds = np.minimum(bounds, cap)
    one = np.ones(len(raw), int)
    # The exact value of a bound in whole units, where it is known.
    units = np.where(raw > 0, np.nan, 0.0)
    units = np.where(bounds == single, whole_units(single[:, 0])[:, None], units)
    _bound_sectors(selected, in_sector, raw, bounds, units, is_open)
    total = np.ones(len(raw))
    is_own = selected.weighting == OWN
    if is_own.any():
        sums = exact_sums(raw)
        is_open |= is_own & (np.abs(1 - sums) < LEAST_DISTANCE)
        total = np.where(is_own, np.minimum(total, sums), total)
    shares = bounds.copy()
    # Bounds that the total has room for are the shares.
    has_room = total - exact_sums(bounds) > LEAST_DISTANCE
    has_room |= ~is_own & (is_selected.sum(axis=1) <= most_at(single[:, 0], one))
    rows = np.flatnonzero(~has_room)
    own_open = np.zeros(len(rows), bool)
    shares[rows] = _share_out(total[rows], raw[rows], bounds[rows], own_open)
    is_open[rows] |= own_open
    whole = np.floor(shares * UNIT)
    remainder = shares * UNIT - whole
    is_safe = (remainder > LEAST_REMAINDER) & (remainder < 1 - LEAST_REMAINDER)
    if caps is not None:
        for row, fund in np.argwhere(np.isnan(units) & ~is_safe & (shares == cap)).tolist():
            units[row, fund] = capped_units(_cap(caps, row, fund))
    is_known = (shares == bounds) & ~np.isnan(units)
    is_open |= (is_selected & ~is_known & ~is_safe).any(axis=1)
    weights = np.where(is_selected, np.where(is_known, units, whole / UNIT), 0.0)
    for row in np.flatnonzero(is_open).tolist():
        funds = np.flatnonzero(is_selected[row])
        weights[row, funds] = _one(selected, caps, row, funds)
    return weights


def _one(selected: Selected, caps: Caps | None, row: int, funds: np.ndarray) -> list[float]:
    own_caps = {}
    if caps is not None:
        is_capped = caps.is_capped[row, funds]
        own_caps = {n: _cap(caps, row, funds[n]) for n in np.flatnonzero(is_capped).tolist()}
    return redistribute(
        selected.weighting.item(row),
        selected.values[row, funds].tolist(),
        [None if code < 0 else code for code in selected.sectors[row, funds].tolist()],
        Limits(selected.max_single_weight.item(row), selected.max_sector_weight.item(row)),
        own_caps,
    )


def _cap(caps: Caps, row: int, fund: int) -> Cap:
    return Cap(
        caps.max_adv_pct.item(row),
        caps.adv20.item(row, fund),
        caps.tranches.item(row),
        caps.equity.item(row),
    )


def _bound_sectors(
    selected: Selected,
    in_sector: np.ndarray,
    raw: np.ndarray,
    bounds: np.ndarray,
    units: np.ndarray,
    is_open: np.ndarray,
) -> None:
    """Lower the bounds of funds whose sector has no room for them."""
    limits = selected.max_single_weight, selected.max_sector_weight
    # Fewer funds have room at the limit of a fund, and below it all the more.
    rows, funds = np.nonzero(in_sector > most_at(*limits)[:, None])
    if not len(rows):
        return
    sectors, counts = selected.sectors[rows, funds], in_sector[rows, funds]
    order = np.lexsort((funds, sectors, rows))
    rows, funds, sectors, counts = (of[order] for of in (rows, funds, sectors, counts))
    is_first = np.diff(rows, prepend=-1) | np.diff(sectors, prepend=-1)
    begins = np.flatnonzero(is_first)
    group = np.repeat(np.arange(len(begins)), counts[begins])
    places = group, np.arange(len(rows)) - begins[group]
    shape = len(begins), counts.max()
    is_member, own_raw, own_bounds = np.zeros(shape, bool), np.zeros(shape), np.zeros(shape)
    is_member[places] = True
    own_raw[places], own_bounds[places] = raw[rows, funds], bounds[rows, funds]
    owner = rows[begins]
    single, sector = (limit[owner] for limit in limits)
    # So many funds at the limit of a fund exceed the sector's limit exactly.
    is_full = ~(is_member & (own_bounds != single[:, None])).any(axis=1)
    sums = exact_sums(own_bounds)
    undecided = ~is_full & (np.abs(sums - sector) < LEAST_DISTANCE)
    is_tight = is_full | (sums > sector)
    tight = np.flatnonzero(is_tight)
    own_open = np.zeros(len(tight), bool)
    shares, own_units = own_bounds.copy(), units[rows, funds]
    shares[tight] = _share_out(sector[tight], own_raw[tight], own_bounds[tight], own_open)
    undecided[tight] |= own_open
    # Funds at the limit of a fund leave the rest to one fund, or to equal funds.
    is_other = is_member & (shares != single[:, None])
    others = is_other.sum(axis=1)
    is_split = is_tight & ((others == 1) | (selected.weighting[owner] == EQUAL)) & (others > 0)
    is_split &= ~(is_other & (shares >= own_bounds)).any(axis=1)
    left = np.zeros(len(begins))
    at_limit = counts[begins] - others
    left[is_split] = units_left(*(of[is_split] for of in (sector, single, at_limit, others)))
    is_split = is_split[group] & (shares[places] != single[group])
    own_units[is_split] = left[group][is_split]
    own_units[~is_split & (shares[places] != bounds[rows, funds])] = np.nan
    bounds[rows, funds], units[rows, funds] = shares[places], own_units
    is_open[owner[undecided]] = True


def _share_out(
    total: np.ndarray, raw: np.ndarray, bounds: np.ndarray, is_open: np.ndarray
) -> np.ndarray:
    """Split amounts as `weights.share_out` does; mark rows that doubles cannot decide."""
    fixed, is_free = np.zeros(raw.shape), raw > 0
    while True:
        left = exact_sums(np.column_stack([total, -fixed]))
        free_raw = exact_sums(np.where(is_free, raw, 0.0))
        amounts = raw * np.divide(left, free_raw, where=free_raw > 0, out=left)[:, None]
        distance = np.where(is_free, amounts - bounds, -np.inf)
        is_open |= (np.abs(distance) < LEAST_DISTANCE).any(axis=1)
        is_above = distance > 0
        if not is_above.any():
            return np.where(is_free, amounts, fixed)
        fixed = np.where(is_above, bounds, fixed)
        is_free &= ~is_above
