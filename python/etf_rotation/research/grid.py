"""The variants requested by a sweep's options."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations, product
from typing import NamedTuple

from etf_rotation.errors import InputError
from etf_rotation.research.build import Build, Variant
from etf_rotation.signals.weights import EQUAL, OWN
from etf_rotation.staging.strategy_checks import RHYTHMS, WEIGHTINGS, Row, fault_of

FACTORS = "all,single,pair,all-but-one"
REBALANCES = "monthly,weekly"


class Grid(NamedTuple):
    """The variants, and the number of combinations that the rules forbid."""

    variants: list[Variant]
    left_out: int


def grid(build: Build, options: Mapping[str, str | None]) -> Grid:
    """Return every combination of option values once, in the order of the options.

    Parameters
    ----------
    build : Build
        The build's own variant is always included, because it counts as a trial. If the
        options do not ask for it, it comes first.
    options : mapping
        Comma-separated lists, one per field of `Variant`; None or absent for the
        default. The default is the strategy's own value, except for `factors`, `top_n`,
        `rebalance` and `slippage_bps`. `redistribute` becomes true if the rules forbid
        the strategy's value.

    Raises
    ------
    InputError
        An invalid value, or no combination that the rules allow. The message names the
        option.
    """
    defaults = _defaults(build)
    asked_for = {name: text for name, text in options.items() if text is not None}
    given = {name: asked_for.get(name, default) for name, default in defaults.items()}
    if not build.variant.factors and "factors" in asked_for:
        raise InputError(
            f"--factors: the ranking of {build.strategy} is {build.ranking}, not the score"
        )
    readers: dict[str, Callable[[str], Iterator]] = {
        "factors": lambda text: _subsets(text, build),
        "top_n": _top_n,
        "weighting": lambda text: _one_of(text, WEIGHTINGS),
        "redistribute": lambda text: (own == "true" for own in _one_of(text, ("true", "false"))),
        "rebalance": lambda text: _one_of(text, tuple(RHYTHMS)),
        "rebalance_offset": lambda text: _whole(text, least=0),
        "tranches": lambda text: _whole(text, least=1),
    }
    values = {
        name: [None] if text is None else _values(name, text, readers.get(name, _share))
        for name, text in given.items()
    }
    asked = [_settled(Variant(*own), build) for own in product(*values.values())]
    allowed = [own for own in dict.fromkeys(asked) if _fault(own, build) is None]
    if not allowed:
        raise InputError(f"no variant is left: {_fault(asked[0], build)}")
    left_out = len(set(asked)) - len(allowed)
    own = build.variant
    return Grid(allowed if own in allowed else [own, *allowed], left_out)


def _defaults(build: Build) -> dict[str, str | None]:
    own = build.variant
    defaults = {name: str(value) for name, value in own._asdict().items()}
    steps = (-2, 0, 2, 4)
    top_n = [own.top_n + step for step in steps if own.top_n + step > 0] if own.top_n else []
    return defaults | {
        "factors": FACTORS if own.factors else None,
        "top_n": ",".join(map(str, top_n)) or "all",
        "redistribute": None,
        "rebalance": REBALANCES,
        "slippage_bps": f"{own.slippage_bps!r},{own.slippage_bps * 2!r}",
    }


def _settled(variant: Variant, build: Build) -> Variant:
    """Fill in the settings of a variant that no option gave."""
    if variant.factors is None:
        variant = variant._replace(factors=build.variant.factors)
    if variant.redistribute is None:
        has_to = variant.weighting != EQUAL or variant.top_n is None
        variant = variant._replace(redistribute=has_to or build.variant.redistribute)
    return variant


def _fault(variant: Variant, build: Build) -> str | None:
    """Return why the rules of strategies forbid a variant, or None."""
    settings = {name: value for name, value in variant._asdict().items() if name in Row._fields}
    row = Row(
        strategy=build.strategy,
        pool=build.pool,
        is_live=build.is_live,
        ranking=build.ranking,
        volatility_window=build.volatility_window,
        **settings,
    )
    if variant.weighting == OWN and build.variant.weighting != OWN:
        return f"the ranking {build.ranking} gives no weights of its own"
    return fault_of(row, [build.pool], [build.ranking])


def _values(name: str, text: str, read: Callable[[str], Iterator]) -> list:
    """Return the distinct values of an option."""
    try:
        found = [value for part in text.split(",") for value in read(part.strip())]
    except ValueError as error:
        raise InputError(f"--{name.replace('_', '-')} {text}: {error}") from None
    return list(dict.fromkeys(found))


def _subsets(text: str, build: Build) -> Iterator[tuple[str, ...]]:
    scored = build.scored
    sizes = {"all": len(scored), "single": 1, "pair": 2, "all-but-one": len(scored) - 1}
    if text in sizes:
        # combinations(scored, 0) would yield one empty subset.
        return combinations(scored, sizes[text]) if sizes[text] else iter(())
    names = text.split("+")
    unknown = [name for name in names if name not in scored]
    if unknown:
        raise ValueError(
            f"{unknown[0] or 'nothing'!r} is neither {', '.join(sizes)} nor a scored factor; there "
            f"are {', '.join(scored)}"
        )
    return iter([tuple(sorted(set(names)))])


def _top_n(text: str) -> Iterator[int | None]:
    return iter([None]) if text == "all" else _whole(text, least=1)


def _whole(text: str, *, least: int) -> Iterator[int]:
    if not text.isdecimal() or int(text) < least:
        raise ValueError(f"{text!r} is no whole number of {least} or more")
    return iter([int(text)])


def _share(text: str) -> Iterator[float]:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{text!r} is no number of zero or more")
    return iter([value])


def _one_of(text: str, allowed: tuple[str, ...]) -> Iterator[str]:
    if text not in allowed:
        raise ValueError(f"{text!r} is none of {', '.join(allowed)}")
    return iter([text])
