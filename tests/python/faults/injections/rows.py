"""Bad rows, which the build quarantines."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq

from faults.workspace import Workspace, dashed


def bad_row(symbol: str, position: int, reason: str, **values) -> Callable[[Workspace], list[str]]:
    """Return what changes one raw row of a fund."""

    def inject(w: Workspace) -> list[str]:
        date = w.edit_row(symbol, position, **values)
        return [f"{w.path(symbol).name} {values.get('ts_code', '')}", f"{date} ", reason]

    return inject


def bad_date(symbol: str, position: int, reason: str, form: str) -> Callable:
    """Return what gives one raw row of a fund a date that is more than a date."""

    def inject(w: Workspace) -> list[str]:
        date = form.format(w.rows(symbol)[position]["trade_date"])
        w.edit_row(symbol, position, trade_date=date)
        return [w.path(symbol).name, date, reason]

    return inject


def more_row(symbol: str, position: int, reason: str, **changes) -> Callable:
    """Return what adds a copy of a raw row of a fund, changed; a function gets the old value."""

    def inject(w: Workspace) -> list[str]:
        rows = w.rows(symbol)
        row = rows[position]
        new = {name: x(row[name]) if callable(x) else x for name, x in changes.items()}
        w.write(symbol, [*rows, row | new])
        return [f"{w.path(symbol).name} ", f"{dashed((row | new)['trade_date'])} ", reason]

    return inject


def day_twice(w: Workspace) -> list[str]:
    file, date, _ = more_row("511010.SH", 200, "")(w)
    return [f"{file}201 511010.SH {date}".strip()]


def repeated_key(w: Workspace) -> list[str]:
    return [
        "raw_rows source_file, raw_symbol, trade_date",
        w.path("511260.SH").name,
        "Data Docs",
    ]


def rows_without_symbol(w: Workspace) -> list[str]:
    path = w.path("512400.SH")
    rows = [row | {"ts_code": None} for row in w.rows("512400.SH")[:3]]
    table = pa.Table.from_pylist(rows, schema=pq.read_schema(path))
    pq.write_table(table, path.with_name("update.parquet"))
    return ["raw_rows raw_symbol expect_column_values_to_not_be_null", "update.parquet"]


def two_files_for_one_fund(w: Workspace) -> list[str]:
    """One row of the second file is as in the first, another is not."""
    first = w.path("513100.SH")
    second = first.with_name("513100_again.parquet")
    alike, changed = w.rows("513100.SH")[100], w.rows("513100.SH")[130]
    rows = [alike, changed | {"close": changed["close"] + 0.001}]
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(first)), second)
    return [f"{first.name} and {second.name}; rows that are there twice: 1"]


def row_that_differs_in_a_second_file(w: Workspace) -> list[str]:
    first = w.path("513100.SH")
    date = dashed(w.rows("513100.SH")[130]["trade_date"])
    return [
        f"{first.name} {date} row 131: conflicting_duplicate",
        f"513100_again.parquet 513100.SH {date} row 2: conflicting_duplicate",
    ]


def session_file_of_another_day(w: Workspace) -> list[str]:
    rows = w.rows("511010.SH")[150:152]
    path = w.path("511010.SH").with_name(f"{rows[0]['trade_date']}.parquet")
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(w.path("511010.SH"))), path)
    return [path.name, dashed(rows[1]["trade_date"]), "row 2: date_unlike_file"]
