"""Portfolio construction: which funds a pool holds after a rebalance, and why not the others."""

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import groupby, pairwise
from operator import attrgetter
from typing import NamedTuple, get_args, get_type_hints

import pyarrow as pa
import pyarrow.compute as pc

# A weight sum that equals its limit must not break it by the last bit of a double.
LIMIT_TOLERANCE = 1e-9


class FundKey(NamedTuple):
    """What identifies a fund's row on a session."""

    pool: str
    trade_date: date
    symbol: str


class Candidate(NamedTuple):
    """One fund of the pool on a rebalance session, as known at the close before it."""

    symbol: str
    has_bar: bool
    score: float | None
    rank: int | None  # 1 is the best
    adv20: float | None  # CNY
    category: str
    is_broad: bool


class Constraints(NamedTuple):
    """A pool's limits; weights are shares of equity."""

    top_n: int
    max_single_weight: float
    max_sector_weight: float
    max_broad_funds: int


class Decision(NamedTuple):
    """What was decided about one candidate; `target_weight` is a share of equity."""

    symbol: str
    is_eligible: bool
    is_selected: bool
    target_weight: float
    reason: str


def schema_of(*records: type) -> pa.Schema:
    """Return the Arrow schema of tables whose rows are these records, side by side.

    Parameters
    ----------
    *records : type
        Classes with annotated fields; `float | None` is a double that may be null. A field that
        several records share is one column.

    Returns
    -------
    pyarrow.Schema
        The fields in order.
    """
    types = {
        str: pa.string(),
        date: pa.date32(),
        float: pa.float64(),
        int: pa.int64(),
        bool: pa.bool_(),
    }
    schema = {}
    for record in records:
        for name, hint in get_type_hints(record).items():
            base, *none = get_args(hint) or (hint,)
            schema[name] = pa.field(name, types[base], nullable=bool(none))
    return pa.schema(list(schema.values()))


class _AsOf(NamedTuple):
    as_of_date: date


CANDIDATES_SCHEMA = schema_of(FundKey, _AsOf, Candidate, Constraints)
SELECTION_SCHEMA = pa.schema(
    [
        CANDIDATES_SCHEMA.field(name)
        for name in ("pool", "trade_date", "as_of_date", "symbol", "score", "rank", "adv20")
    ]
    + list(schema_of(Decision))[1:]
)


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
        eligible the first that applies of `no_bar`, `no_score`, `no_adv`, `low_adv`; for an
        eligible fund passed over `sector_limit` or `broad_limit`, and `top_n_filled` below the
        last fund selected once there are `top_n`.

    Raises
    ------
    ValueError
        A duplicate symbol, a rank that contradicts the scores, or an impossible constraint.

    Notes
    -----
    Source of the formula: steps 1 and 2 of "Portfolio construction" in the strategy's
    specification. Weight = min(1 / top_n, max_single_weight); what is left stays in cash.
    """
    candidates = sorted(candidates, key=attrgetter("symbol"))
    constraints = Constraints(top_n, max_single_weight, max_sector_weight, max_broad_funds)
    _check_constraints(constraints)
    _check_ranking(candidates)

    reasons = {fund.symbol: why_not_eligible(fund, min_adv_cny) for fund in candidates}
    eligible = {fund.symbol: fund for fund in candidates if reasons[fund.symbol] is None}
    ranking = sorted(eligible.values(), key=by_score)
    for fund, reason in zip(ranking, walk_down(ranking, constraints), strict=True):
        reasons[fund.symbol] = reason

    weight = nominal_weight(constraints)
    return [
        Decision(
            symbol=fund.symbol,
            is_eligible=fund.symbol in eligible,
            is_selected=reasons[fund.symbol] == "selected",
            target_weight=weight if reasons[fund.symbol] == "selected" else 0.0,
            reason=reasons[fund.symbol],
        )
        for fund in candidates
    ]


def nominal_weight(constraints: Constraints) -> float:
    """Return the weight of each selected fund, a share of equity."""
    return min(1 / constraints.top_n, constraints.max_single_weight)


def walk_down(ranking: Iterable[Candidate], constraints: Constraints) -> Iterator[str]:
    """Yield for each eligible fund, best first, `selected` or why it is passed over."""
    weight = nominal_weight(constraints)
    top_n, _, max_sector_weight, max_broad_funds = constraints
    sector_limit = max_sector_weight * (1 + LIMIT_TOLERANCE)
    selected = broad_funds = 0
    sector_funds: dict[str, int] = {}
    for fund in ranking:
        in_sector = 0 if fund.is_broad else sector_funds.get(fund.category, 0) + 1
        if selected == top_n:
            yield "top_n_filled"
        elif fund.is_broad and broad_funds == max_broad_funds:
            yield "broad_limit"
        elif in_sector * weight > sector_limit:
            yield "sector_limit"
        else:
            selected += 1
            broad_funds += fund.is_broad
            if in_sector:
                sector_funds[fund.category] = in_sector
            yield "selected"


def select_all(table: pa.Table, *, min_adv_cny: float) -> pa.Table:
    """Apply `select_funds` to every pool and rebalance session of a table.

    Parameters
    ----------
    table : pyarrow.Table
        Columns of `CANDIDATES_SCHEMA`, one row per (pool, trade_date, symbol), in any order; the
        pool's constraints stand on each of its rows. ADV20 in CNY, weights as shares of equity.
    min_adv_cny : float
        Least ADV20 of an eligible fund, CNY.

    Returns
    -------
    pyarrow.Table
        `SELECTION_SCHEMA`, one row per row of `table`, sorted by pool, trade_date, symbol.

    Raises
    ------
    ValueError
        A missing column, a null or infinite value, a duplicate row, an ADV20 below zero,
        constraints or an as_of_date that differ within a session, and what `select_funds`
        refuses; the message names the pool, the session and, where it is one row, the fund.

    Notes
    -----
    Source of the formula: steps 1 and 2 of "Portfolio construction" in the strategy's
    specification.
    """
    table = read_checked("candidates", table, CANDIDATES_SCHEMA, FundKey._fields)
    refuse("candidates", table, pc.less(table["adv20"], 0), "adv20 is below zero")

    decisions = []
    for (pool, trade_date), rows in groupby(
        table.to_pylist(), key=lambda row: (row["pool"], row["trade_date"])
    ):
        funds = list(rows)
        try:
            decisions += select_funds(
                [Candidate(*(fund[name] for name in Candidate._fields)) for fund in funds],
                **_common_values(funds),
                min_adv_cny=min_adv_cny,
            )
        except ValueError as error:
            raise ValueError(
                f"candidates, pool {pool}, trade_date {trade_date}: {error}"
            ) from error

    decided = pa.Table.from_pylist(
        [decision._asdict() for decision in decisions], schema=schema_of(Decision)
    )
    columns = [
        (decided if name in Decision._fields else table)[name] for name in SELECTION_SCHEMA.names
    ]
    return pa.table(columns, schema=SELECTION_SCHEMA).combine_chunks()


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
        A missing column, a value of another type, a null where none may be, a NaN or infinity, or
        a second row for a key; the message names the row's pool, fund and date.
    """
    missing = [column for column in schema.names if column not in table.column_names]
    if missing:
        raise ValueError(f"{name}: no column {', '.join(missing)}")
    nullable = pa.schema([field.with_nullable(True) for field in schema])
    table = table.select(schema.names).cast(nullable).sort_by([(c, "ascending") for c in key])
    for field in schema:
        if not field.nullable:
            refuse(name, table, pc.is_null(table[field.name]), f"{field.name} is null")
        if pa.types.is_floating(field.type):
            is_bad = pc.invert(pc.is_finite(table[field.name]))
            refuse(name, table, is_bad, f"{field.name} is not finite")
    rows = table.group_by(list(key), use_threads=False).aggregate([([], "count_all")])
    refuse(name, rows, pc.greater(rows["count_all"], 1), "more than one row")
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
        where = [f"{column} {row[column]}" for column in FundKey._fields if column in row]
        raise ValueError(f"{', '.join([name, *where])}: {fault}")


def why_not_eligible(fund: Candidate, min_adv_cny: float) -> str | None:
    """Return the first reason that applies, None for an eligible fund; ADV20 in CNY."""
    if not fund.has_bar:
        return "no_bar"
    if fund.score is None:
        return "no_score"
    if fund.adv20 is None:
        return "no_adv"
    if fund.adv20 < min_adv_cny:
        return "low_adv"
    return None


def by_score(fund: Candidate) -> tuple[float, str]:
    """Return the key that sorts funds with a score best first, equal scores by symbol."""
    return -fund.score, fund.symbol


def _check_ranking(candidates: Sequence[Candidate]) -> None:
    for before, after in pairwise(candidates):
        if before.symbol == after.symbol:
            raise ValueError(f"symbol {after.symbol} has more than one row")
    ranked = sorted((fund for fund in candidates if fund.score is not None), key=by_score)
    for fund in ranked:
        if fund.rank is None:
            raise ValueError(f"symbol {fund.symbol} has a score and no rank")
    for before, after in pairwise(ranked):
        if before.rank >= after.rank:
            raise ValueError(
                f"symbol {after.symbol} has rank {after.rank}, but by score it comes after "
                f"{before.symbol} with rank {before.rank}"
            )


def _check_constraints(constraints: Constraints) -> None:
    for name, value in constraints._asdict().items():
        is_weight = name.endswith("_weight")
        if not math.isfinite(value) or value < 0 or (is_weight and not 0 < value <= 1):
            raise ValueError(f"{name} {value} is no limit")
    if constraints.top_n < 1:
        raise ValueError("top_n is below 1")


def _common_values(funds: Sequence[dict]) -> dict:
    for name in ("as_of_date", *Constraints._fields):
        for before, after in pairwise(funds):
            if before[name] != after[name]:
                raise ValueError(
                    f"{name} is {before[name]} for symbol {before['symbol']} and "
                    f"{after[name]} for {after['symbol']}"
                )
    return {name: funds[0][name] for name in Constraints._fields}
