"""Find and check the raw parquet files of daily bars.

Each file is checked on its own before DuckDB reads them all. An error can then name the
file and the column.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from etf_rotation.errors import InputError
from etf_rotation.staging.seed_checks import SYMBOL, Universe

MARKER = "SYNTHETIC"
SYNTHETIC_KEY = b"etf_rotation.synthetic"
LISTED = 5

NUMBERS = ("open", "high", "low", "close", "vol", "amount", "pre_close", "adj_factor", "adj_close")
OPTIONAL = ("pre_close", "adj_factor", "adj_close")
REQUIRED = ("ts_code", "trade_date", *(name for name in NUMBERS if name not in OPTIONAL))
PATH_COLUMN = "etf_raw_path"  # column for the path of a row's file
MAX_ROWS = 2_000_000  # per file

# Content of a file, by its name.
FUND, SESSION, OTHER = "fund", "session", "other"

FILES_SCHEMA = pa.schema(
    [
        ("source_file", pa.string()),
        ("file_kind", pa.string()),
        ("file_code", pa.string()),
        ("is_read", pa.bool_()),
        ("path", pa.string()),
        ("rows", pa.int64()),
        ("column_types", pa.string()),
        ("sha256", pa.string()),
        ("size_bytes", pa.int64()),
        ("modified_ns", pa.int64()),
        ("is_synthetic", pa.bool_()),
        ("funds_in_no_pool", pa.list_(pa.string())),
    ]
)


def resolve_root(raw_root: str, sample_root: str | None) -> Path:
    """Return the folder to read: `raw_root`, or the sample if `raw_root` has no data.

    Parameters
    ----------
    raw_root : str
        Folder that holds `ETF/daily/*.parquet`.
    sample_root : str or None
        Folder of the synthetic sample; None if the user named `raw_root`, so that no
        sample may replace it.

    Raises
    ------
    InputError
        Neither folder has a file.
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
    # Skip hidden files: macOS writes one beside every file on a foreign disk.
    return sorted((root / "ETF" / "daily").glob("[!.]*.parquet"))


def file_kind(name: str) -> tuple[str, str]:
    """Return the kind of a raw file, and the code or date at the start of its name.

    Returns
    -------
    (str, str)
        `session` and the date, if the name starts with exactly eight digits; `fund` and
        the fund's code, with or without its suffix, if it starts with six digits; else
        `other` and an empty string.
    """
    if session := re.match(r"[0-9]{8}(?![0-9])", name):
        return SESSION, session[0]
    if fund := re.match(r"[0-9]{6}(\.[A-Z]{2})?", name):
        return FUND, fund[0]
    return OTHER, ""


def inspect_files(root: Path, universe: Universe, *, max_rows: int = MAX_ROWS) -> pa.Table:
    """Check the raw files below `root` and return one row per file (`FILES_SCHEMA`).

    A file named after a fund outside the build is listed with `is_read` false and not
    opened.

    Parameters
    ----------
    root : Path
        Folder that holds `ETF/daily/*.parquet`.
    universe : Universe
        The funds of the build.
    max_rows : int
        Maximum number of rows per file.

    Raises
    ------
    InputError
        Names each faulty file (the first `LISTED` of them) and the column, if any.
        Faults are: a name that no table can hold, not a regular file, unreadable,
        empty, too many rows, a missing required column, a column of the wrong type,
        synthetic files beside real files.
    """
    rows: list[dict[str, Any]] = []
    paths = _parquet_files(root)
    for path in paths:
        kind, code = file_kind(path.name)
        is_read = kind != FUND or universe.may_include(code)
        rows.append(
            {"source_file": path.name, "file_kind": kind, "file_code": code, "is_read": is_read}
        )
    listed = list(zip(paths, rows, strict=True))
    # Check before opening any file: opening a pipe would wait for a writer.
    _raise_all([_path_fault(path, row["is_read"]) for path, row in listed])
    faults: list[str | None] = []
    for path, row in listed:
        try:
            row.update(
                _inspect(path, row["file_kind"], universe, max_rows) if row["is_read"] else {}
            )
        except InputError as fault:
            faults.append(str(fault))
    _raise_all(faults)
    _check_marker(root, [row for row in rows if row["is_read"]])
    return pa.Table.from_pylist(rows, schema=FILES_SCHEMA)


def _raise_all(faults: list[str | None]) -> None:
    found = [fault for fault in faults if fault]
    if found:
        more = [f"{len(found) - LISTED} more files"] if len(found) > LISTED else []
        raise InputError("; ".join(found[:LISTED] + more))


def _path_fault(path: Path, is_read: bool) -> str | None:
    """Return the reason why a file cannot be opened or listed, or None."""
    # A surrogate is a byte that is not UTF-8. DuckDB treats a backslash as a separator.
    if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\\]", path.name):
        shown = os.fsencode(path.name).decode("utf-8", "backslashreplace")
        shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)
        return (
            f"{shown}: the name of the file is not UTF-8, or holds a backslash or a control "
            "character; rename it"
        )
    if not is_read:
        return None
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return f"{path.name}: cannot be read ({error.strerror})"
    if stat.S_ISREG(mode):
        return None
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    kind = kinds.get(stat.S_IFMT(mode), "a device")
    return f"{path.name}: {kind} and not a file; move it out of ETF/daily"


def _check_marker(root: Path, opened: list[dict]) -> None:
    is_sample = (root / MARKER).is_file()
    odd = next((row for row in opened if row["is_synthetic"] is not is_sample), None)
    if odd is not None:
        raise InputError(
            f"{root} mixes the synthetic sample with other data (see {odd['source_file']} and the "
            f"marker file {MARKER}); keep them in folders of their own"
        )


def _inspect(path: Path, kind: str, universe: Universe, max_rows: int) -> dict:
    try:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            row = _describe(path, file, kind, universe, max_rows)
            file.seek(0)
            row["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
            after = os.fstat(file.fileno())
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read ({error.strerror})") from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise InputError(f"{path.name}: the file changed while it was read; run the build again")
    return row | {
        "path": str(path.absolute()),
        "size_bytes": after.st_size,
        "modified_ns": after.st_mtime_ns,
    }


def _describe(path: Path, file: BinaryIO, kind: str, universe: Universe, max_rows: int) -> dict:
    if not os.fstat(file.fileno()).st_size:
        raise InputError(f"{path.name}: the file has no bytes; fetch it again or remove it")
    try:
        parquet = pq.ParquetFile(file)
        schema = parquet.schema_arrow
        names = {field.name.lower(): field.name for field in schema}
        types = {field.name.lower(): field.type for field in schema}
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise InputError(
            f"{path.name}: not a whole parquet file ({first_line(error)}); fetch it again"
        ) from None
    rows = parquet.metadata.num_rows
    if rows == 0:
        raise InputError(f"{path.name}: the file has no rows; fetch it again or remove it")
    if rows > max_rows:
        raise InputError(
            f"{path.name}: the file has {rows} rows, more than max_rows_per_file ({max_rows}); "
            "split it, or set the var higher"
        )
    missing = [name for name in REQUIRED if name not in types]
    if missing:
        raise InputError(
            f"{path.name}: required column {', '.join(missing)} is missing; columns are matched by "
            f"name, found: {', '.join(types)}"
        )
    taken = [name for name in (PATH_COLUMN, "file_row_number") if name in types]
    if taken:
        raise InputError(f"{path.name}: a column may not be called {taken[0]}; rename or drop it")
    kinds = {name: _column_kind(path, name, types[name]) for name in types if name in _KNOWN}
    others = _funds_in_no_pool(path, parquet, names["ts_code"], universe) if kind == OTHER else []
    return {
        "rows": rows,
        "column_types": ";".join(
            f"{name}:{column}:{types[name]}" for name, column in sorted(kinds.items())
        ),
        "is_synthetic": SYNTHETIC_KEY in (parquet.metadata.metadata or {}),
        "funds_in_no_pool": others,
    }


_KNOWN = ("ts_code", "trade_date", *NUMBERS)


def _column_kind(path: Path, name: str, type_: pa.DataType) -> str:
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    is_number = pa.types.is_integer(type_) or pa.types.is_floating(type_)
    is_decimal = pa.types.is_decimal(type_)
    is_text = (
        pa.types.is_string(type_)
        or pa.types.is_large_string(type_)
        or pa.types.is_string_view(type_)
    )
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


def _funds_in_no_pool(
    path: Path, parquet: pq.ParquetFile, column: str, universe: Universe
) -> list[str]:
    """Return the funds outside every pool in a file whose name is no fund's code.

    Session files are exempt: they usually hold the whole market.
    """
    try:
        symbols = parquet.read(columns=[column])[column].cast(pa.string()).unique().to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise InputError(unreadable(path, error)) from None
    return sorted(
        symbol
        for symbol in symbols
        if symbol and re.fullmatch(SYMBOL, symbol) and symbol not in universe.known
    )


def unreadable(path: Path, error: Exception) -> str:
    """Return the message about a file with an unreadable page."""
    return f"{path.name}: unreadable ({first_line(error)}); fetch it again"


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, with single blanks."""
    return re.sub(r"\s+", " ", str(error).splitlines()[0]).strip() if str(error) else "no detail"


def changed_files(files: pa.Table) -> list[str]:
    """Return the names of the files that changed since `inspect_files`.

    Parameters
    ----------
    files : pa.Table
        The result of `inspect_files`. Size, modification time and SHA-256 are compared.
    """
    return [file["source_file"] for file in files.to_pylist() if file["is_read"] and _moved(file)]


def _moved(file: dict) -> bool:
    try:
        with open(file["path"], "rb") as content:
            now = os.fstat(content.fileno())
            if (now.st_size, now.st_mtime_ns) != (file["size_bytes"], file["modified_ns"]):
                return True
            return hashlib.file_digest(content, "sha256").hexdigest() != file["sha256"]
    except OSError:
        return True


def fingerprint(files: pa.Table) -> str:
    """Return one SHA-256 over names and contents of the raw files (64 hex digits)."""
    pairs = sorted((f["source_file"], f["sha256"]) for f in files.to_pylist() if f["is_read"])
    return hashlib.sha256(repr(pairs).encode()).hexdigest()
