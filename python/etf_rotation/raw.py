"""Find, check and read the raw parquet files of daily bars.

The files are looked at one by one before DuckDB reads them all, so that a fault is reported with
the file and the column it sits in.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from etf_rotation.errors import InputError
from etf_rotation.sql import sql_text

MARKER = "SYNTHETIC"
SYNTHETIC_KEY = b"etf_rotation.synthetic"
LISTED = 5

NUMBERS = ("open", "high", "low", "close", "vol", "amount", "pre_close", "adj_factor", "adj_close")
OPTIONAL = ("pre_close", "adj_factor", "adj_close")
REQUIRED = ("ts_code", "trade_date", *(name for name in NUMBERS if name not in OPTIONAL))

FILES_SCHEMA = pa.schema(
    [
        ("source_file", pa.string()),
        ("file_code", pa.string()),
        ("is_read", pa.bool_()),
        ("path", pa.string()),
        ("rows", pa.int64()),
        ("column_types", pa.string()),
        ("sha256", pa.string()),
        ("is_synthetic", pa.bool_()),
    ]
)


def resolve_root(raw_root: str, sample_root: str | None) -> Path:
    """Return the folder to read: `raw_root`, or the sample's where `raw_root` has no data.

    Parameters
    ----------
    raw_root : str
        Folder that holds `ETF/daily/*.parquet`.
    sample_root : str or None
        Folder of the synthetic sample; None where `raw_root` was named and nothing may stand in.

    Raises
    ------
    InputError
        If neither has a file.
    """
    if any(_parquet_files(Path(raw_root))):
        return Path(raw_root)
    sample = Path(sample_root) if sample_root else None
    if sample and (sample / MARKER).is_file() and any(_parquet_files(sample)):
        return sample
    raise InputError(
        f"no raw data: {raw_root}/ETF/daily holds no .parquet file; set ETF_RAW_ROOT to the folder "
        "above ETF/daily of your data, run 'bin/etf-rotation fetch' for real funds, or "
        "'make sample' for a synthetic sample"
    )


def _parquet_files(root: Path) -> list[Path]:
    # A hidden file is not data: macOS leaves some beside every file on a foreign disk.
    return sorted((root / "ETF" / "daily").glob("[!.]*.parquet"))


def inspect_files(root: Path, *, wanted: set[str], known: set[str], everything: bool) -> pa.Table:
    """Look at the raw files below `root` and return one row a file (`FILES_SCHEMA`).

    Parameters
    ----------
    root : Path
        Folder that holds `ETF/daily/*.parquet`.
    wanted, known : set of str
        The funds of the build's pools, and of all pools.
    everything : bool
        Whether funds of no pool belong to the build. A file whose name begins with the code of
        another fund is listed with `is_read` false and is not opened.

    Raises
    ------
    InputError
        Names each file (of many the first `LISTED`), and the column where there is one: an
        unreadable or empty file, a required column that is missing, a column of a type that holds
        no such value, or synthetic and real files side by side.
    """
    rows, faults = [], []
    for path in _parquet_files(root):
        code = re.match(r"\d{6}(\.[A-Z]{2})?", path.name)
        code = code[0] if code else ""
        is_read = (
            code == ""
            or any(symbol.startswith(code) for symbol in wanted)
            or (everything and not any(symbol.startswith(code) for symbol in known))
        )
        file = {"source_file": path.name, "file_code": code, "is_read": is_read}
        try:
            rows.append(file | (_inspect(path) if is_read else {}))
        except InputError as fault:
            faults.append(str(fault))
    if faults:
        more = [f"{len(faults) - LISTED} more files"] if len(faults) > LISTED else []
        raise InputError("; ".join(faults[:LISTED] + more))
    opened = [row for row in rows if row["is_read"]]
    is_sample = (root / MARKER).is_file()
    odd = next((row for row in opened if row["is_synthetic"] is not is_sample), None)
    if odd is not None:
        raise InputError(
            f"{root} mixes the synthetic sample with other data (see {odd['source_file']} and the "
            f"marker file {MARKER}); keep them in folders of their own"
        )
    return pa.Table.from_pylist(rows, schema=FILES_SCHEMA)


def _inspect(path: Path) -> dict:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read ({error.strerror})") from None
    if not content:
        raise InputError(f"{path.name}: the file has no bytes; fetch it again or remove it")
    try:
        parquet = pq.ParquetFile(pa.BufferReader(content))
        types = {field.name.lower(): field.type for field in parquet.schema_arrow}
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise InputError(
            f"{path.name}: not a whole parquet file ({_first_line(error)}); fetch it again"
        ) from None
    if parquet.metadata.num_rows == 0:
        raise InputError(f"{path.name}: the file has no rows; fetch it again or remove it")
    missing = [name for name in REQUIRED if name not in types]
    if missing:
        raise InputError(
            f"{path.name}: required column {', '.join(missing)} is missing; columns are matched by "
            f"name, found: {', '.join(types)}"
        )
    taken = [name for name in (_PATH, "file_row_number") if name in types]
    if taken:
        raise InputError(f"{path.name}: a column may not be called {taken[0]}; rename or drop it")
    kinds = {name: _kind(path, name, types[name]) for name in types if name in _KNOWN}
    return {
        "path": str(path.resolve()),
        "rows": parquet.metadata.num_rows,
        "column_types": ";".join(
            f"{name}:{kind}:{types[name]}" for name, kind in sorted(kinds.items())
        ),
        "sha256": hashlib.sha256(content).hexdigest(),
        "is_synthetic": SYNTHETIC_KEY in (parquet.metadata.metadata or {}),
    }


_KNOWN = ("ts_code", "trade_date", *NUMBERS)
_PATH = "etf_raw_path"  # of a row's file


def _kind(path: Path, name: str, type_: pa.DataType) -> str:
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    is_number = pa.types.is_integer(type_) or pa.types.is_floating(type_)
    is_decimal = pa.types.is_decimal(type_)
    is_text = pa.types.is_string(type_) or pa.types.is_large_string(type_)
    if pa.types.is_null(type_):
        return "null"
    if is_text:
        return "text"
    if name == "trade_date":
        if pa.types.is_timestamp(type_):
            return "timestamptz" if type_.tz else "timestamp"
        if pa.types.is_date(type_):
            return "date"
    if name != "ts_code" and (is_number or (is_decimal and name != "trade_date")):
        return "number"
    wanted = {"ts_code": "text", "trade_date": "text, integer, date or timestamp"}
    raise InputError(
        f"{path.name}: column {name} has type {type_}, which must be {wanted.get(name, 'a number')}"
    )


def read_rows(
    connection: duckdb.DuckDBPyConnection, files: pa.Table, as_of: str | None
) -> pa.Table:
    """Read all raw rows as one table of fixed columns and types.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Does the reading.
    files : pa.Table
        As `inspect_files` returns it.
    as_of : str or None
        `YYYY-MM-DD`: rows dated later are not read. A row without a readable date is.

    Returns
    -------
    pa.Table
        `source_file, source_row` (from 1), `raw_symbol`, `raw_trade_date` (text as it stood),
        `trade_date` (DATE, null if unparseable), `date_fault` (null, `time_of_day`, `time_zone`),
        the nine `NUMBERS` (DOUBLE, raw units), `text_column` (the first number column that holds
        text which is no number; vol before all others, for a row without it is no bar).

    Raises
    ------
    InputError
        If a file's pages cannot be read, or nothing is left to compute with.
    """
    if not any(files["is_read"].to_pylist()):
        raise InputError(
            f"none of the {files.num_rows} raw files belongs to a fund of the build; check the "
            "seed etf_pools and the vars pools and universe"
        )
    # DuckDB reads files together by the types of the first: only files of the same types are.
    groups: dict[str, list[str]] = {}
    for file in files.to_pylist():
        if file["is_read"]:
            groups.setdefault(file["column_types"], []).append(file["path"])
    select = " union all ".join(
        _select(dict(item.split(":")[:2] for item in types.split(";")), paths)
        for types, paths in sorted(groups.items())
    )
    # Other years are misprints; and no calendar of the exchange has them.
    readable = "trade_date between date '1990-01-01' and date '9999-12-31'"
    trade_date = f"case when {readable} then trade_date end as trade_date"
    select = f"select * replace ({trade_date}) from ({select})"
    if as_of is not None:
        select = f"select * from ({select}) where trade_date is null or trade_date <= '{as_of}'"
    try:
        # All of it at once: a broken page shows while its file can still be named.
        table = connection.sql(select).to_arrow_table()
    except duckdb.Error as error:
        paths = [path for group in groups.values() for path in group]
        raise InputError(_broken_page(paths, error)) from None
    if not pc.any(pc.is_valid(table["trade_date"])).as_py():
        raise InputError(
            "no raw row has a readable trade_date" + (f" up to as_of {as_of}" if as_of else "")
        )
    return table


def _select(kinds: dict[str, str], paths: list[str]) -> str:
    date, fault = _date_expressions(kinds["trade_date"])
    numbers = ", ".join(_number(name, kinds.get(name)) for name in NUMBERS)
    texts = [name for name in ("vol", *NUMBERS) if kinds.get(name) == "text"]
    text_column = " ".join(
        f"when {name} is not null and try_cast({name} as double) is null then '{name}'"
        for name in texts
    )
    listed = ", ".join(sql_text(path) for path in paths)
    return f"""
        select
            parse_filename({_PATH}) as source_file,
            file_row_number + 1 as source_row,
            cast(ts_code as varchar) as raw_symbol,
            cast(trade_date as varchar) as raw_trade_date,
            {date} as trade_date,
            {fault} as date_fault,
            {numbers},
            {f"case {text_column} end" if texts else "cast(null as varchar)"} as text_column
        from read_parquet(
            [{listed}],
            filename = '{_PATH}', file_row_number = true, hive_partitioning = false
        )"""


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
        f"case when regexp_matches({text}, '^[0-9]{{4}}-?[0-9]{{2}}-?[0-9]{{2}}([^0-9].*)?$') "
        f"then cast(try_strptime({day}, '%Y%m%d') as date) end"
    )
    fault = (
        f"case when not regexp_full_match({text}, '[0-9]{{8}}|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}') "
        f"then case when regexp_matches({text}, '(Z|[+-][0-9]{{2}}:?[0-9]{{2}})$') "
        "then 'time_zone' else 'time_of_day' end end"
    )
    return date, fault


def _broken_page(paths: list[str], error: duckdb.Error) -> str:
    for path in paths:
        try:
            pq.read_table(path)
        except (pa.ArrowException, OSError) as broken:
            return f"{Path(path).name}: unreadable ({_first_line(broken)}); fetch it again"
    return f"the raw files cannot be read together: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error).splitlines()[0]).strip() if str(error) else "no detail"


def fingerprint(files: pa.Table) -> str:
    """Return one SHA-256 over the names and contents of the raw files (64 hex digits)."""
    pairs = sorted((f["source_file"], f["sha256"]) for f in files.to_pylist() if f["is_read"])
    return hashlib.sha256(repr(pairs).encode()).hexdigest()
