"""Table contracts: the schema of a record, and the check of inputs against it."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple, get_args, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class FundKey(NamedTuple):
    """The key of a fund's row on a session."""

    pool: str
    trade_date: date
    symbol: str


def schema_of(*records: type) -> pa.Schema:
    """Return the Arrow schema of tables whose rows join these records.

    Parameters
    ----------
    *records : type
        Classes with annotated fields; `float | None` is a double that may be null. A
        field shared by several records becomes one column.

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


def read_checked(name: str, table: pa.Table, schema: pa.Schema, key: Sequence[str]) -> pa.Table:
    """Return the schema's columns of an input table, typed and sorted by its key.

    Parameters
    ----------
    name : str
        What to call the table in a message.
    table : pyarrow.Table
        Rows in any order; columns outside the schema are dropped.
    schema : pyarrow.Schema
        Columns, their types and nullability.
    key : sequence of str
        Key columns of the table.

    Returns
    -------
    pyarrow.Table
        As many rows as `table`, of type `schema`.

    Raises
    ------
    ValueError
        A missing column, a value of the wrong type, a null in a non-null column, a NaN
        or infinity, or a duplicate key. The message names the row's pool, fund and
        date.
    """
    missing = [column for column in schema.names if column not in table.column_names]
    if missing:
        raise ValueError(f"{name}: no column {', '.join(missing)}")
    nullable = pa.schema([field.with_nullable(True) for field in schema])
    table, is_unique = _sorted(table.select(schema.names).cast(nullable), key)
    for field in schema:
        if not field.nullable:
            refuse(name, table, pc.is_null(table[field.name]), f"{field.name} is null")
        if pa.types.is_floating(field.type):
            is_bad = pc.invert(pc.is_finite(table[field.name]))
            refuse(name, table, is_bad, f"{field.name} is not finite")
    if not is_unique:
        rows = table.group_by(list(key), use_threads=False).aggregate([([], "count_all")])
        refuse(name, rows, pc.greater(rows["count_all"], 1), "more than one row")
    return table.cast(schema)


def _sorted(table: pa.Table, key: Sequence[str]) -> tuple[pa.Table, bool]:
    """Return the table sorted by its key, and whether the key is known to be unique."""
    if any(table[name].null_count for name in key):
        return table.sort_by([(name, "ascending") for name in key]), False
    # Integers sort ten times faster than strings, and most tables are sorted already.
    codes = [_codes(table[name]) for name in key]
    order = _order(codes)
    if (order < 0).any():
        rows = np.lexsort(codes[::-1])
        table = table.take(rows)
        order = _order([own[rows] for own in codes])
    return table, bool((order > 0).all())


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """Return integers that sort as the values do."""
    if pa.types.is_string(column.type):
        encoded = column.combine_chunks().dictionary_encode()
        ranks = pc.rank(encoded.dictionary, sort_keys="ascending").to_numpy()
        return ranks.astype(np.int64)[encoded.indices.to_numpy()]
    return column.to_numpy().astype(np.int64)


def _order(codes: Sequence[np.ndarray]) -> np.ndarray:
    """Return for each row but the first the sign of its key less the key before it."""
    order = np.sign(np.diff(codes[0]))
    for own in codes[1:]:
        order = np.where(order == 0, np.sign(np.diff(own)), order)
    return order


def refuse(name: str, table: pa.Table, is_bad: pa.ChunkedArray, fault: str) -> None:
    """Raise an error that names the first bad row, if there is one.

    Parameters
    ----------
    name : str
        What to call the table in the message.
    table : pyarrow.Table
        The rows.
    is_bad : pyarrow.ChunkedArray of bool, as long as `table`
        Null counts as not bad.
    fault : str
        The fault of a bad row, for the message.

    Raises
    ------
    ValueError
        At the first bad row, naming its pool, fund and date.
    """
    if pc.any(is_bad).as_py():
        row = table.filter(is_bad).slice(0, 1).to_pylist()[0]
        where = [f"{column} {row[column]}" for column in FundKey._fields if column in row]
        raise ValueError(f"{', '.join([name, *where])}: {fault}")
