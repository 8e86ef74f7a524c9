"""Portfolio construction: which funds a pool holds after a rebalance, and why not the others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

# A weight sum that equals its limit must not break it by the last bit of a double.
LIMIT_TOLERANCE = 1e-9

KEY = ("pool", "trade_date", "symbol")
CONSTRAINTS = ("top_n", "max_single_weight", "max_sector_weight", "max_broad_funds")

CANDIDATES_SCHEMA = pa.schema(
    [
        pa.field("pool", pa.string(), nullable=False),
        pa.field("trade_date", pa.date32(), nullable=False),
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("as_of_date", pa.date32(), nullable=False),
        pa.field("has_bar", pa.bool_(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("rank", pa.int64()),
        pa.field("adv20", pa.float64()),
        pa.field("category", pa.string(), nullable=False),
        pa.field("is_broad", pa.bool_(), nullable=False),
        pa.field("top_n", pa.int64(), nullable=False),
        pa.field("max_single_weight", pa.float64(), nullable=False),
        pa.field("max_sector_weight", pa.float64(), nullable=False),
        pa.field("max_broad_funds", pa.int64(), nullable=False),
    ]
)

DECISIONS_SCHEMA = pa.schema(
    [
        pa.field("pool", pa.string(), nullable=False),
        pa.field("trade_date", pa.date32(), nullable=False),
        pa.field("as_of_date", pa.date32(), nullable=False),
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("rank", pa.int64()),
        pa.field("adv20", pa.float64()),
        pa.field("is_eligible", pa.bool_(), nullable=False),
        pa.field("is_selected", pa.bool_(), nullable=False),
        pa.field("target_weight", pa.float64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)


class Candidate(NamedTuple):
    """One fund of the pool on a rebalance session, as known at `as_of_date`."""

    symbol: str
    has_bar: bool  # on as_of_date
    score: float | None
    rank: int | None  # 1 is the best
    adv20: float | None  # CNY
    category: str
    is_broad: bool


class Decision(NamedTuple):
    """What was decided about one candidate; `target_weight` is a share of equity."""

    symbol: str
    is_eligible: bool
    is_selected: bool
    target_weight: float
    reason: str


def select_funds(
    candidates: Iterable[Candidate],
    *,
    top_n: int,
    max_single_weight: float,
    max_sector_weight: float,
    max_broad_funds: int,
    min_adv_cny: float,
) -> list[Decision]:
    """Walk down one pool's ranking on one rebalance session.

    Parameters
    ----------
    candidates : iterable of Candidate
        Every fund of the pool, in any order.
    top_n : int
        Funds to hold.
    max_single_weight, max_sector_weight : float
        Shares of equity. The sector is the `category`; broad funds are exempt from it.
    max_broad_funds : int
        Broad funds to hold at most.
    min_adv_cny : float
        Least ADV20 of an eligible fund, CNY.

    Returns
    -------
    list of Decision
        One for each candidate, in symbol order. `reason` is `selected`; for a fund that is not
        eligible the first that applies of `no_bar`, `no_score`, `no_adv`, `low_adv`; for an eligible
        fund passed over `sector_limit`, `broad_limit`, or `top_n_filled` once the walk has ended.

    Raises
    ------
    ValueError
        A duplicate symbol, a rank that contradicts the scores, or a constraint that is no constraint.

    Notes
    -----
    Source of the formula: steps 1 and 2 of "Portfolio construction" in the strategy's specification.
    Weight = min(1 / top_n, max_single_weight); what is left stays in cash.
    """
    candidates = sorted(candidates)
    _check_constraints(top_n, max_single_weight, max_sector_weight, max_broad_funds)
    _check_ranking(candidates)

    weight = min(1 / top_n, max_single_weight)
    reasons = {c.symbol: _ineligibility(c, min_adv_cny) for c in candidates}
    eligible = {symbol for symbol, reason in reasons.items() if reason is None}
    sector_funds: Counter[str] = Counter()
    selected = broad_funds = 0
    for fund in sorted((c for c in candidates if c.symbol in eligible), key=_by_score):
        sector_weight = (sector_funds[fund.category] + 1) * weight
        if selected == top_n:
            reasons[fund.symbol] = "top_n_filled"
        elif fund.is_broad and broad_funds == max_broad_funds:
            reasons[fund.symbol] = "broad_limit"
        elif not fund.is_broad and sector_weight > max_sector_weight * (1 + LIMIT_TOLERANCE):
            reasons[fund.symbol] = "sector_limit"
        else:
            reasons[fund.symbol] = "selected"
            selected += 1
            broad_funds += fund.is_broad
            sector_funds[fund.category] += not fund.is_broad
    return [
        Decision(
            symbol=symbol,
            is_eligible=symbol in eligible,
            is_selected=reason == "selected",
            target_weight=weight if reason == "selected" else 0.0,
            reason=reason,
        )
        for symbol, reason in reasons.items()
    ]


def select_all(table: pa.Table, *, min_adv_cny: float) -> pa.Table:
    """Apply `select_funds` to every pool and rebalance session of a table.

    Parameters
    ----------
    table : pyarrow.Table
        Columns of `CANDIDATES_SCHEMA`, one row per (pool, trade_date, symbol), in any order; the
        pool's constraints are repeated on its rows. ADV20 in CNY, weights as shares of equity.
    min_adv_cny : float
        Least ADV20 of an eligible fund, CNY.

    Returns
    -------
    pyarrow.Table
        `DECISIONS_SCHEMA`, one row per row of `table`, sorted by pool, trade_date, symbol.

    Raises
    ------
    ValueError
        A missing column, a null or infinite value, a duplicate row, an ADV20 below zero, constraints
        or an as_of_date that differ within a session, and what `select_funds` refuses; the message
        names the pool, the session and, where it is one fund's row, the fund.

    Notes
    -----
    Source of the formula: steps 1 and 2 of "Portfolio construction" in the strategy's specification.
    """
    table = read_checked("candidates", table, CANDIDATES_SCHEMA, KEY)
    refuse("candidates", table, pc.less(table["adv20"], 0), "adv20 is below zero")

    decisions: list[Decision] = []
    for (pool, trade_date), rows in groupby(table.to_pylist(), lambda r: (r["pool"], r["trade_date"])):
        funds = list(rows)
        try:
            decisions += select_funds(
                [Candidate(*(fund[name] for name in Candidate._fields)) for fund in funds],
                **_shared(funds),
                min_adv_cny=min_adv_cny,
            )
        except ValueError as error:
            raise ValueError(f"candidates, pool {pool}, trade_date {trade_date}: {error}") from error

    decided = dict(zip(Decision._fields, zip(*decisions, strict=True), strict=False))
    return pa.table(
        [
            table[field.name] if field.name in table.column_names else decided.get(field.name, ())
            for field in DECISIONS_SCHEMA
        ],
        schema=DECISIONS_SCHEMA,
    )


def read_checked(name: str, table: pa.Table, schema: pa.Schema, key: Sequence[str]) -> pa.Table:
    """Return the schema's columns of an input table, typed and sorted by its key.

    Parameters
    ----------
    name : str
        What to call the table in a message.
    table : pyarrow.Table
        Rows in any order; columns outside the schema are dropped.
    schema : pyarrow.Schema
        Columns, types, and which may be null.
    key : sequence of str
        Columns that identify a row.

    Returns
    -------
    pyarrow.Table
        As many rows as `table`, of type `schema`.

    Raises
    ------
    ValueError
        A missing column, a value of another type, a null where none may be, a NaN or infinity, or a
        second row for a key; the message names the row's pool, fund and date.
    """
    missing = [column for column in schema.names if column not in table.column_names]
    if missing:
        raise ValueError(f"{name}: no column {', '.join(missing)}")
    nullable = pa.schema([field.with_nullable(True) for field in schema])
    table = table.select(schema.names).cast(nullable).sort_by([(c, "ascending") for c in key])
    for field in schema:
        column = table[field.name]
        if not field.nullable:
            refuse(name, table, pc.is_null(column), f"{field.name} is null")
        if pa.types.is_floating(field.type):
            refuse(name, table, pc.invert(pc.is_finite(column)), f"{field.name} is not finite")
    counts = table.group_by(list(key), use_threads=False).aggregate([([], "count_all")])
    refuse(name, counts, pc.greater(counts["count_all"], 1), "duplicate row")
    return table.cast(schema)


def refuse(name: str, table: pa.Table, is_bad: pa.ChunkedArray, fault: str) -> None:
    """Raise if any row is bad, naming the first one.

    Parameters
    ----------
    name : str
        What to call the table in the message.
    table : pyarrow.Table
        The rows.
    is_bad : pyarrow.ChunkedArray of bool, as long as `table`
        Null counts as not bad.
    fault : str
        What is wrong with a bad row.

    Raises
    ------
    ValueError
        At the first bad row, naming its pool, fund and date.
    """
    if pc.any(is_bad).as_py():
        row = table.filter(is_bad).slice(0, 1).to_pylist()[0]
        where = "".join(f", {column} {row[column]}" for column in ("pool", *KEY[:0:-1]) if column in row)
        raise ValueError(f"{name}{where}: {fault}")


def _ineligibility(candidate: Candidate, min_adv_cny: float) -> str | None:
    if not candidate.has_bar:
        return "no_bar"
    if candidate.score is None:
        return "no_score"
    if candidate.adv20 is None:
        return "no_adv"
    if candidate.adv20 < min_adv_cny:
        return "low_adv"
    return None


def _by_score(candidate: Candidate) -> tuple[float, str]:
    return -candidate.score, candidate.symbol


def _check_ranking(candidates: Sequence[Candidate]) -> None:
    for before, after in pairwise(candidates):
        if before.symbol == after.symbol:
            raise ValueError(f"symbol {after.symbol} stands twice")
    ranked = sorted((c for c in candidates if c.score is not None), key=_by_score)
    for fund in ranked:
        if fund.rank is None:
            raise ValueError(f"symbol {fund.symbol} has a score and no rank")
    for before, after in pairwise(ranked):
        if before.rank >= after.rank:
            raise ValueError(
                f"symbol {after.symbol} has rank {after.rank}, but by score it follows "
                f"{before.symbol} of rank {before.rank}"
            )


def _check_constraints(
    top_n: int, max_single_weight: float, max_sector_weight: float, max_broad_funds: int
) -> None:
    if top_n < 1 or max_broad_funds < 0:
        raise ValueError(f"top_n {top_n} or max_broad_funds {max_broad_funds} is too small")
    for weight in (max_single_weight, max_sector_weight):
        if not (math.isfinite(weight) and 0 < weight <= 1):
            raise ValueError(f"the weight limit {weight} is not above 0 and at most 1")


def _shared(funds: Sequence[dict]) -> dict:
    for name in ("as_of_date", *CONSTRAINTS):
        for before, after in pairwise(funds):
            if before[name] != after[name]:
                raise ValueError(
                    f"{name} is {before[name]} for symbol {before['symbol']}, "
                    f"{after[name]} for {after['symbol']}"
                )
    return {name: funds[0][name] for name in CONSTRAINTS}
