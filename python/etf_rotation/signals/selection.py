"""Portfolio construction: which funds a strategy selects, and at what weights."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from etf_rotation.signals.weight_arrays import redistribute_each
from etf_rotation.signals.weights import EQUAL, INVERSE_VOLATILITY, OWN, Limits

# A sum of weights equal to its limit may exceed it by a rounding error.
LIMIT_TOLERANCE = 1e-9
SELECTED, KEPT = "selected", "kept"


class StrategyKey(NamedTuple):
    """A strategy in a pool."""

    strategy: str
    pool: str


class Rules(NamedTuple):
    """A strategy's rules of selection in a pool; weights are fractions of equity."""

    start_funds: int  # eligible funds that the first rebalance needs
    top_n: int | None  # number of funds to hold; None: every eligible fund
    keep_rank: float  # a held fund stays up to rank keep_rank × top_n; 1: no buffer
    weighting: str
    redistribute: bool
    tranches: int
    max_single_weight: float
    max_sector_weight: float
    max_broad_funds: int


class Candidate(NamedTuple):
    """A fund of the pool before a rebalance, as known at the previous close.

    `ineligible` is the reason why the fund cannot be selected, None if it can.
    `raw_value` is the weighting's input: the fund's volatility, or the raw weight from
    its ranking.
    """

    symbol: str
    rank: int | None  # by the strategy's ranking; 1 is the best
    ineligible: str | None
    raw_value: float | None
    category: str
    is_broad: bool


def first_sessions(eligible: Sequence[Mapping[int, int]], start_funds: int) -> list[int | None]:
    """Return the session on which each tranche of a strategy begins.

    Parameters
    ----------
    eligible : sequence of mapping of int to int
        For each tranche, the number of eligible funds by the position of its rebalance
        sessions.
    start_funds : int
        Minimum number of eligible funds for a first rebalance.

    Returns
    -------
    list of int or None
        Tranche 0 begins on its first session with enough funds; the strategy begins
        with it. Any other tranche begins on its first such session from then on. None:
        it never begins.
    """
    firsts: list[int | None] = []
    for sessions in eligible:
        begin = firsts[0] if firsts else -1
        firsts.append(
            None
            if begin is None
            else min(
                (n for n, count in sessions.items() if n >= begin and count >= start_funds),
                default=None,
            )
        )
    return firsts


def choose(
    ranking: Sequence[Candidate], rules: Rules, previous: Collection[str] = ()
) -> dict[str, str]:
    """Select funds from the ranking of one rebalance, best first.

    Parameters
    ----------
    ranking : sequence of Candidate
        The eligible funds, best first.
    rules : Rules
        The strategy's rules in the pool.
    previous : collection of str
        The funds that the tranche selected at its last rebalance.

    Returns
    -------
    dict of str to str
        The decision per fund: `selected`; `kept` (selected because of keep_rank); or
        the reason to skip it: `sector_limit`, `broad_limit`, `no_raw_weight`, or
        `top_n_filled` once `top_n` funds are selected.

    Notes
    -----
    Source: step 2 of "Portfolio construction" in the strategy's specification.
    """
    if rules.top_n is None and rules.weighting != OWN:
        return {fund.symbol: SELECTED for fund in ranking}
    if rules.top_n is None:
        return dict(_taken(ranking, rules, SELECTED, _Taken()))
    # Rounded: 1.16 * 25 is 28.999999999999996, and the fund of rank 29 stays.
    multiple = round(rules.keep_rank * rules.top_n, 9)
    longest = max(rules.top_n, min(multiple, len(ranking) / 2))
    stays = [
        rules.keep_rank > 1 and place <= longest and fund.symbol in previous
        for place, fund in enumerate(ranking, start=1)
    ]
    taken = _Taken()
    kept = [fund for fund, is_kept in zip(ranking, stays, strict=True) if is_kept]
    rest = [fund for fund, is_kept in zip(ranking, stays, strict=True) if not is_kept]
    return dict([*_taken(kept, rules, KEPT, taken), *_taken(rest, rules, SELECTED, taken)])


class _Taken:
    """The funds selected so far, counted against the limits."""

    def __init__(self) -> None:
        self.funds = self.broad_funds = 0
        self.in_sector: dict[str, int] = defaultdict(int)


def _taken(
    ranking: Iterable[Candidate], rules: Rules, name: str, taken: _Taken
) -> Iterator[tuple[str, str]]:
    top_n = rules.top_n
    weight = nominal_weight(rules) if top_n else 0.0
    sector_limit = rules.max_sector_weight * (1 + LIMIT_TOLERANCE)
    for fund in ranking:
        in_sector = 0 if fund.is_broad else taken.in_sector[fund.category] + 1
        if taken.funds == top_n:
            yield fund.symbol, "top_n_filled"
        elif rules.weighting == OWN and fund.raw_value is None:
            yield fund.symbol, "no_raw_weight"
        elif top_n and fund.is_broad and taken.broad_funds == rules.max_broad_funds:
            yield fund.symbol, "broad_limit"
        elif top_n and in_sector * weight > sector_limit:
            yield fund.symbol, "sector_limit"
        else:
            taken.funds += 1
            taken.broad_funds += fund.is_broad
            if in_sector:
                taken.in_sector[fund.category] = in_sector
            yield fund.symbol, name


def nominal_weight(rules: Rules) -> float:
    """Return the weight of each selected fund if weights are not redistributed."""
    return min(1 / rules.top_n, rules.max_single_weight)


def weigh_all(selections: Sequence[Sequence[Candidate]], rules: Rules) -> list[list[float]]:
    """Return the target weights of the selected funds of each rebalance.

    Notes
    -----
    Source: step 3 of "Portfolio construction" in the strategy's specification. Without
    redistribution, weight cut by a limit stays in cash. With redistribution, see
    `weights.redistribute`.
    """
    if not rules.redistribute:
        return [[nominal_weight(rules)] * len(selected) for selected in selections]
    return redistribute_each(
        rules.weighting,
        [[raw_value(fund, rules) for fund in selected] for selected in selections],
        [
            [None if fund.is_broad else fund.category for fund in selected]
            for selected in selections
        ],
        Limits(rules.max_single_weight, rules.max_sector_weight),
    )


def raw_value(fund: Candidate, rules: Rules) -> float:
    """Return the raw weight of a selected fund; 1 for equal weights."""
    return 1.0 if rules.weighting == EQUAL else fund.raw_value


def check_rules(rules: Rules) -> None:
    """Reject rules from which no weights can be computed.

    Raises
    ------
    ValueError
        The message names the rule.
    """
    if rules.weighting not in (EQUAL, INVERSE_VOLATILITY, OWN):
        raise ValueError(f"weighting {rules.weighting} is not known")
    if not rules.redistribute and (rules.weighting != EQUAL or rules.top_n is None):
        raise ValueError("redistribute may be false only with weighting equal and a top_n")
    for name in ("max_single_weight", "max_sector_weight"):
        if not 0 < getattr(rules, name) <= 1:
            raise ValueError(f"{name} {getattr(rules, name)} is no limit")
    if rules.top_n is not None and rules.top_n < 1:
        raise ValueError("top_n is below 1")
    if rules.keep_rank < 1 or (rules.top_n is None and rules.keep_rank != 1):
        raise ValueError("keep_rank is below 1, or not 1 without a top_n")
    if rules.tranches < 1 or rules.max_broad_funds < 0 or rules.start_funds < 1:
        raise ValueError("tranches or start_funds is below 1, or max_broad_funds below 0")
