"""Read the rows of the raw parquet files as one table of fixed columns and types."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from etf_rotation.errors import InputError
from etf_rotation.sql import sql_text
from etf_rotation.staging.raw_files import (
    FUND,
    LISTED,
    NUMBERS,
    PATH_COLUMN,
    changed_files,
    first_line,
    unreadable,
)
from etf_rotation.staging.seed_checks import SYMBOL, Universe

READ = "read_raw_rows"
# A date as text, and suffixes that carry neither a time of day nor a time zone.
DAY = "([0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2})"
NOTHING_MORE = "([.]0+|[ T]00:00(:00([.]0+)?)?)?"


def read_rows(
    connection: duckdb.DuckDBPyConnection,
    files: pa.Table,
    universe: Universe,
    as_of: str | None,
) -> duckdb.DuckDBPyRelation:
    """Read all raw rows of the build's funds into a temporary table.

    From a file that is not named after a fund, two kinds of rows are read: rows of the
    build's funds, and rows without a valid symbol, because they may belong to any fund.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Connection that reads the files, and keeps the temporary table `READ`.
    files : pa.Table
        As `inspect_files` returns it.
    universe : Universe
        The funds of the build.
    as_of : str or None
        `YYYY-MM-DD`: later rows are not read. Rows without a readable date are read.

    Returns
    -------
    DuckDBPyRelation
        The temporary table: `source_file, source_row` (from 1), `raw_symbol`,
        `raw_trade_date` (the original text), `trade_date` (DATE, null if unparseable),
        `date_fault` (null, `time_of_day`, `time_zone`), the nine `NUMBERS` (DOUBLE, raw
        units), `text_column` (the first number column whose text is no number; vol is
        tried first, because a row without it is no bar).

    Raises
    ------
    InputError
        A file's pages cannot be read, a file changed after its check, or no row is
        left.
    """
    opened = [file for file in files.to_pylist() if file["is_read"]]
    if not opened:
        raise InputError(
            f"none of the {files.num_rows} raw files belongs to a fund of the build; check the "
            "seed etf_pools and the vars pools and universe"
        )
    try:
        # Read eagerly: a broken page must fail here, where its file can still be named. A
        # temporary table stays within DuckDB's memory limit, and is stored in less time
        # than an Arrow table with a chunk per file.
        connection.execute(
            f"create or replace temp table {READ} as {_query(opened, universe, as_of)}"
        )
    except duckdb.Error as error:
        _raise_if_changed(files)
        raise InputError(_broken_page(opened, error)) from None
    _raise_if_changed(files)
    rows = connection.table(READ)
    if not rows.filter("trade_date is not null").limit(1).fetchall():
        raise InputError(
            "no raw row of a fund of the build has a readable trade_date"
            + (f" up to as_of {as_of}" if as_of else "")
        )
    return rows


def _raise_if_changed(files: pa.Table) -> None:
    """Reject rows if a file no longer matches the input fingerprint."""
    names = changed_files(files)
    if names:
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        raise InputError(
            f"{', '.join(names[:LISTED])}{more}: changed after the build had checked it; run the "
            "whole build again when nothing writes into the raw folder"
        )


def _query(opened: list[dict], universe: Universe, as_of: str | None) -> str:
    # Grouped by type: DuckDB reads a list of files with the types of the first file.
    groups: dict[tuple[str, bool], list[str]] = {}
    for file in opened:
        key = (file["column_types"], file["file_kind"] == FUND)
        groups.setdefault(key, []).append(file["path"])
    selects = []
    for (types, is_fund), paths in sorted(groups.items()):
        kinds = dict(item.split(":")[:2] for item in types.split(";"))
        selects.append(_select(kinds, paths) + ("" if is_fund else f"where {_in_build(universe)}"))
    # Other years are misprints, and the exchange's calendar has none of them.
    readable = "trade_date between date '1990-01-01' and date '9999-12-31'"
    trade_date = f"case when {readable} then trade_date end as trade_date"
    select = f"select * replace ({trade_date}) from ({' union all '.join(selects)})"
    if as_of is not None:
        select = f"select * from ({select}) where trade_date is null or trade_date <= '{as_of}'"
    return select


def _in_build(universe: Universe) -> str:
    symbol = "cast(ts_code as varchar)"

    def among(symbols: frozenset[str]) -> str:
        listed = ", ".join(f"'{name}'" for name in sorted(symbols))
        return f"{symbol} in ({listed})" if symbols else "false"

    if universe.has_market:
        is_fund = f"not {among(universe.known - universe.wanted)}"
    else:
        is_fund = among(universe.wanted)
    return f"{is_fund} or ts_code is null or not regexp_full_match({symbol}, '{SYMBOL}')"


def _select(kinds: dict[str, str], paths: list[str]) -> str:
    date, fault = _date_expressions(kinds["trade_date"])
    numbers = ", ".join(_number(name, kinds.get(name)) for name in NUMBERS)
    texts = [name for name in ("vol", *NUMBERS) if kinds.get(name) == "text"]
    text_column = " ".join(
        f"when {name} is not null and try_cast({name} as double) is null then '{name}'"
        for name in texts
    )
    return f"""
        select
            parse_filename({PATH_COLUMN}) as source_file,
            file_row_number + 1 as source_row,
            cast(ts_code as varchar) as raw_symbol,
            cast(trade_date as varchar) as raw_trade_date,
            {date} as trade_date,
            {fault} as date_fault,
            {numbers},
            {f"case {text_column} end" if texts else "cast(null as varchar)"} as text_column
        from read_parquet(
            [{", ".join(map(_literal, paths))}],
            filename = '{PATH_COLUMN}', file_row_number = true, hive_partitioning = false
        )
        """


def _literal(path: str) -> str:
    # Escaped, because DuckDB reads a path as a pattern: `a[1].parquet` would match
    # `a1.parquet`.
    escaped = re.sub(r"([*?\[])", r"[\1]", path)
    return sql_text(escaped)


def _number(name: str, kind: str | None) -> str:
    if kind is None:
        return f"cast(null as double) as {name}"
    return f"try_cast({name} as double) as {name}"


def _date_expressions(kind: str) -> tuple[str, str]:
    no_fault = "cast(null as varchar)"
    if kind == "date":
        return "trade_date", no_fault
    if kind == "timestamp":
        fault = "case when trade_date <> date_trunc('day', trade_date) then 'time_of_day' end"
        return "cast(trade_date as date)", fault
    if kind == "timestamptz":
        return (
            "cast(trade_date at time zone 'Asia/Shanghai' as date)",
            "case when trade_date is not null then 'time_zone' end",
        )
    text = "cast(trade_date as varchar)"
    if kind == "number":
        whole = "case when trade_date = round(trade_date) then trade_date end"
        text = f"cast(try_cast({whole} as bigint) as varchar)"
    day = f"left(replace({text}, '-', ''), 8)"
    date = (
        f"case when regexp_full_match({text}, '{DAY}([^0-9].*)?') "
        f"then cast(try_strptime({day}, '%Y%m%d') as date) end"
    )
    fault = (
        f"case when not regexp_full_match({text}, '{DAY}{NOTHING_MORE}') "
        f"then case when regexp_matches({text}, '(Z|[+-][0-9]{{2}}:?[0-9]{{2}})$') "
        "then 'time_zone' else 'time_of_day' end end"
    )
    return date, fault


def _broken_page(opened: list[dict], error: duckdb.Error) -> str:
    for file in opened:
        path = Path(file["path"])
        try:
            pq.read_table(path)
        except (pa.ArrowException, OSError) as broken:
            return unreadable(path, broken)
    return f"the raw files cannot be read together: {first_line(error)}"
