"""Portfolio construction: which funds a strategy selects, and at what weights."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from etf_rotation.contracts import read_checked, schema_of
from etf_rotation.signals.weights import EQUAL, INVERSE_VOLATILITY, OWN, Limits, redistribute

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


class _SessionKey(NamedTuple):
    trade_date: date


class _Tranche(NamedTuple):
    tranche: int
    trade_date: date


class Decision(NamedTuple):
    """The decision on one candidate; weights are fractions of equity."""

    symbol: str
    is_eligible: bool
    is_selected: bool
    target_weight: float
    raw_weight: float | None
    raw_value: float | None
    reason: str


STRATEGIES_SCHEMA = schema_of(StrategyKey, Rules)
SESSIONS_SCHEMA = schema_of(StrategyKey, _Tranche)
CANDIDATES_SCHEMA = schema_of(StrategyKey, _SessionKey, Candidate)
SELECTION_SCHEMA = schema_of(StrategyKey, _Tranche, Decision)


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


def weigh(selected: Sequence[Candidate], rules: Rules) -> list[float]:
    """Return the target weights of the selected funds, fractions of equity.

    Notes
    -----
    Source: step 3 of "Portfolio construction" in the strategy's specification. Without
    redistribution, weight cut by a limit stays in cash. With redistribution, see
    `weights.redistribute`.
    """
    if not rules.redistribute:
        return [nominal_weight(rules)] * len(selected)
    return redistribute(
        rules.weighting,
        [raw_value(fund, rules) for fund in selected],
        [None if fund.is_broad else fund.category for fund in selected],
        Limits(rules.max_single_weight, rules.max_sector_weight),
    )


def raw_value(fund: Candidate, rules: Rules) -> float:
    """Return the raw weight of a selected fund; 1 for equal weights."""
    return 1.0 if rules.weighting == EQUAL else fund.raw_value


def select_all(strategies: pa.Table, sessions: pa.Table, candidates: pa.Table) -> pa.Table:
    """Decide on every fund before every rebalance of every strategy and tranche.

    Parameters
    ----------
    strategies, sessions, candidates : pyarrow.Table
        Columns of `STRATEGIES_SCHEMA`, `SESSIONS_SCHEMA` and `CANDIDATES_SCHEMA`, rows
        in any order: one row per strategy and pool; one per rebalance session of a
        tranche; and one per fund of the pool and session on which any tranche is
        rebalanced.

    Returns
    -------
    pyarrow.Table
        `SELECTION_SCHEMA`, one row per rebalance and candidate, sorted by strategy,
        pool, tranche, trade_date, symbol. `raw_weight` is the selected fund's weight
        before limits: 1, 1 / volatility, or the raw weight of its ranking.

    Raises
    ------
    ValueError
        A missing column, a null or infinite value, a duplicate row, an eligible fund
        without a rank, two eligible funds of one rank, or contradictory rules. The
        message names strategy and pool.

    Notes
    -----
    Source: steps 1 to 3 of "Portfolio construction" in the strategy's specification. A
    tranche remembers its selections from the session on which it begins.
    """
    key = StrategyKey._fields
    strategies = read_checked("strategies", strategies, STRATEGIES_SCHEMA, key)
    sessions = read_checked("sessions", sessions, SESSIONS_SCHEMA, (*key, "tranche", "trade_date"))
    candidates = read_checked(
        "candidates", candidates, CANDIDATES_SCHEMA, (*key, "trade_date", "symbol")
    )
    parts = [SELECTION_SCHEMA.empty_table()]
    for row in strategies.to_pylist():
        own = (pc.field("strategy") == row["strategy"]) & (pc.field("pool") == row["pool"])
        rules = Rules(*(row[name] for name in Rules._fields))
        try:
            check_rules(rules)
            decided = _decide(rules, sessions.filter(own), candidates.filter(own))
        except ValueError as error:
            where = f"strategy {row['strategy']}, pool {row['pool']}"
            raise ValueError(f"{where}: {error}") from error
        names = SELECTION_SCHEMA.names[len(key) :]
        columns = zip(*decided, strict=True) if decided else [[]] * len(names)
        count = len(decided)
        keys = [pa.repeat(pa.scalar(row[name]), count) for name in key]
        arrays = [
            pa.array(c, SELECTION_SCHEMA.field(n).type) for n, c in zip(names, columns, strict=True)
        ]
        parts.append(pa.table([*keys, *arrays], schema=SELECTION_SCHEMA))
    return pa.concat_tables(parts).combine_chunks()


def _decide(rules: Rules, sessions: pa.Table, candidates: pa.Table) -> list[tuple]:
    funds = read_candidates(candidates)
    by_tranche: list[list[date]] = [[] for _ in range(rules.tranches)]
    for tranche, trade_date in zip(
        sessions["tranche"].to_pylist(), sessions["trade_date"].to_pylist(), strict=True
    ):
        by_tranche[tranche].append(trade_date)
    rankings = {day: rank_eligible(of_day) for day, of_day in funds.items()}
    days = sorted(funds)
    place = {day: n for n, day in enumerate(days)}
    eligible = [{place[day]: len(rankings[day]) for day in own} for own in by_tranche]
    firsts = first_sessions(eligible, rules.start_funds)
    decided = []
    for tranche, own_days in enumerate(by_tranche):
        begin = firsts[tranche]
        previous: Collection[str] = ()
        for day in sorted(own_days):
            reasons = choose(rankings[day], rules, previous)
            if begin is not None and place[day] >= begin:
                previous = {s for s, reason in reasons.items() if reason in (SELECTED, KEPT)}
            for decision in _decisions(funds[day], rankings[day], reasons, rules):
                decided.append((tranche, day, *decision))
    return decided


def read_candidates(table: pa.Table) -> dict[date, list[Candidate]]:
    """Read the funds of each session from `CANDIDATES_SCHEMA`, in the table's order."""
    funds: dict[date, list[Candidate]] = defaultdict(list)
    columns = (table[name].to_pylist() for name in Candidate._fields)
    for day, *values in zip(table["trade_date"].to_pylist(), *columns, strict=True):
        funds[day].append(Candidate(*values))
    return funds


def rank_eligible(funds: Iterable[Candidate]) -> list[Candidate]:
    """Return the eligible funds, best first.

    Raises
    ------
    ValueError
        A fund without a rank, or two funds of one rank.
    """
    ranking = [fund for fund in funds if fund.ineligible is None]
    for fund in ranking:
        if fund.rank is None:
            raise ValueError(f"symbol {fund.symbol} is eligible and has no rank")
    ranking.sort(key=lambda fund: fund.rank)
    for before, after in pairwise(ranking):
        if before.rank == after.rank:
            raise ValueError(f"symbols {before.symbol} and {after.symbol} have one rank")
    return ranking


def _decisions(
    funds: Sequence[Candidate],
    ranking: Sequence[Candidate],
    reasons: Mapping[str, str],
    rules: Rules,
) -> Iterator[Decision]:
    selected = [fund for fund in ranking if reasons[fund.symbol] in (SELECTED, KEPT)]
    weights = dict(zip((f.symbol for f in selected), weigh(selected, rules), strict=True))
    for fund in funds:
        is_selected = fund.symbol in weights
        value = raw_value(fund, rules) if is_selected else None
        inverse = rules.weighting == INVERSE_VOLATILITY and is_selected
        yield Decision(
            symbol=fund.symbol,
            is_eligible=fund.ineligible is None,
            is_selected=is_selected,
            target_weight=weights.get(fund.symbol, 0.0),
            raw_weight=1 / value if inverse else value,
            raw_value=value,
            reason=fund.ineligible or reasons[fund.symbol],
        )


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
