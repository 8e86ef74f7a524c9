"""The decision on every fund before every rebalance, as one table."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etf_rotation.contracts import read_checked, schema_of
from etf_rotation.signals.selection import (
    KEPT,
    SELECTED,
    Candidate,
    Rules,
    StrategyKey,
    check_rules,
    choose,
    first_sessions,
    raw_value,
    weigh_all,
)
from etf_rotation.signals.weights import INVERSE_VOLATILITY


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
        keys = [pa.repeat(pa.scalar(row[name]), len(decided[0])) for name in key]
        parts.append(pa.table([*keys, *decided], schema=SELECTION_SCHEMA))
    return pa.concat_tables(parts)


class _Day(NamedTuple):
    """The candidates of a session: their rows in the table, and the eligible ones."""

    rows: range
    ranking: list[Candidate]  # best first
    row_of: dict[str, int]


def _days(candidates: pa.Table) -> dict[date, _Day]:
    days = candidates["trade_date"].cast(pa.int32()).to_numpy()
    begins = np.flatnonzero(np.concatenate([[True], days[1:] != days[:-1]])[: len(days)])
    dates = candidates["trade_date"].take(pa.array(begins)).to_pylist()
    eligible = np.flatnonzero(candidates["ineligible"].is_null().to_numpy())
    columns = candidates.take(eligible).select(Candidate._fields).to_pydict().values()
    funds = list(map(Candidate._make, zip(*columns, strict=True)))
    ends = [*begins[1:].tolist(), len(days)]
    splits = np.searchsorted(eligible, ends).tolist()
    found = {}
    first = 0
    for day, begin, end, last in zip(dates, begins.tolist(), ends, splits, strict=False):
        own = funds[first:last]
        symbols = [fund.symbol for fund in own]
        row_of = dict(zip(symbols, eligible[first:last].tolist(), strict=True))
        found[day] = _Day(range(begin, end), rank_eligible(own), row_of)
        first = last
    return found


def _decide(rules: Rules, sessions: pa.Table, candidates: pa.Table) -> list:
    """Return the columns of `Decision`, after the tranche and its session."""
    days = _days(candidates)
    by_tranche: list[list[date]] = [[] for _ in range(rules.tranches)]
    for tranche, trade_date in zip(
        sessions["tranche"].to_pylist(), sessions["trade_date"].to_pylist(), strict=True
    ):
        by_tranche[tranche].append(trade_date)
    place = {day: n for n, day in enumerate(sorted(days))}
    eligible = [{place[day]: len(days[day].ranking) for day in own} for own in by_tranche]
    firsts = first_sessions(eligible, rules.start_funds)
    found = []
    for tranche, own_days in enumerate(by_tranche):
        begin = firsts[tranche]
        previous: Collection[str] = ()
        for trade_date in sorted(own_days):
            reasons = choose(days[trade_date].ranking, rules, previous)
            if begin is not None and place[trade_date] >= begin:
                previous = {s for s, reason in reasons.items() if reason in (SELECTED, KEPT)}
            found.append((tranche, days[trade_date], reasons))
    return _columns(rules, candidates, found)


def _columns(
    rules: Rules, candidates: pa.Table, found: Sequence[tuple[int, _Day, Mapping[str, str]]]
) -> list:
    """Return one row per candidate of each tranche's session, with its decision."""
    rows = np.array([row for _, day, _ in found for row in day.rows], int)
    table = candidates.take(rows)
    reason = table["ineligible"].to_pylist()
    selected, places = [], []
    begin = 0
    for _, day, reasons in found:
        ahead = begin - day.rows.start
        for symbol, why in reasons.items():
            reason[ahead + day.row_of[symbol]] = why
        taken = [fund for fund in day.ranking if reasons[fund.symbol] in (SELECTED, KEPT)]
        places += [ahead + day.row_of[fund.symbol] for fund in taken]
        selected.append(taken)
        begin += len(day.rows)
    is_selected, weight, value = (np.zeros(len(rows), kind) for kind in (bool, float, float))
    is_selected[places] = True
    weight[places] = [own for weights in weigh_all(selected, rules) for own in weights]
    value[places] = [raw_value(fund, rules) for taken in selected for fund in taken]
    raw_weight = value
    if rules.weighting == INVERSE_VOLATILITY:
        raw_weight = np.divide(1, value, out=np.zeros(len(rows)), where=is_selected)
    lengths = [len(day.rows) for _, day, _ in found]
    return [
        np.repeat(np.array([tranche for tranche, _, _ in found], int), lengths),
        table["trade_date"],
        table["symbol"],
        table["ineligible"].is_null(),
        is_selected,
        weight,
        pa.array(raw_weight, mask=~is_selected),
        pa.array(value, mask=~is_selected),
        reason,
    ]


def rank_eligible(funds: Iterable[Candidate]) -> list[Candidate]:
    """Return eligible funds, best first.

    Raises
    ------
    ValueError
        A fund without a rank, or two funds of one rank.
    """
    ranking = list(funds)
    for fund in ranking:
        if fund.rank is None:
            raise ValueError(f"symbol {fund.symbol} is eligible and has no rank")
    ranking.sort(key=attrgetter("rank"))
    for before, after in pairwise(ranking):
        if before.rank == after.rank:
            raise ValueError(f"symbols {before.symbol} and {after.symbol} have one rank")
    return ranking
