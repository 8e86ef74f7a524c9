"""The variants that a sweep's options ask for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations, product

from etf_rotation.errors import InputError
from etf_rotation.research.sweep import Build, Variant

REBALANCES = ("monthly", "weekly", "daily")


def variants(build: Build, options: Mapping[str, str | None]) -> list[Variant]:
    """Return every combination once, in the options' order.

    Parameters
    ----------
    build : Build
        Its own variant is always among them, first where the options do not ask for it: what it
        has tried counts.
    options : mapping
        Lists separated by commas: `factors`, `top_n`, `rebalance`, `slippage_bps`,
        `commission_bps`, `min_weight_change`; None or absent for the default.

    Raises
    ------
    InputError
        A value that means nothing; the message names the option.
    """
    own = build.variant
    defaults = {
        "top_n": ",".join(str(own.top_n + step) for step in (-2, 0, 2, 4) if own.top_n + step > 0),
        "slippage_bps": f"{own.slippage_bps!r},{own.slippage_bps * 2!r}",
        "commission_bps": repr(own.commission_bps),
        "min_weight_change": repr(own.min_weight_change),
    }
    given = defaults | {name: value for name, value in options.items() if value is not None}
    asked = product(
        _values("factors", given["factors"], lambda text: _subsets(text, build)),
        _values("top_n", given["top_n"], _whole),
        _values("rebalance", given["rebalance"], _rebalance),
        *(_values(name, given[name], _share) for name in Variant._fields[3:]),
    )
    found = list(dict.fromkeys(map(Variant._make, asked)))
    return found if own in found else [own, *found]


def _values(name: str, text: str, read: Callable[[str], Iterator]) -> list:
    """Return each value of an option once."""
    try:
        found = [value for part in text.split(",") for value in read(part.strip())]
    except ValueError as error:
        raise InputError(f"--{name.replace('_', '-')} {text}: {error}") from None
    return list(dict.fromkeys(found))


def _subsets(text: str, build: Build) -> Iterator[tuple[str, ...]]:
    scored = build.scored
    sizes = {"all": len(scored), "single": 1, "pair": 2, "all-but-one": len(scored) - 1}
    if text in sizes:
        # None of no factors, and no pair of one.
        return combinations(scored, sizes[text]) if sizes[text] else iter(())
    names = text.split("+")
    unknown = [name for name in names if name not in scored]
    if unknown:
        raise ValueError(
            f"{unknown[0] or 'nothing'!r} is neither {', '.join(sizes)} nor a scored factor; there "
            f"are {', '.join(scored)}"
        )
    return iter([tuple(sorted(set(names)))])


def _whole(text: str) -> Iterator[int]:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is no whole number above zero")
    return iter([int(text)])


def _share(text: str) -> Iterator[float]:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{text!r} is no number of zero or more")
    return iter([value])


def _rebalance(text: str) -> Iterator[str]:
    if text not in REBALANCES:
        raise ValueError(f"{text!r} is none of {', '.join(REBALANCES)}")
    return iter([text])
