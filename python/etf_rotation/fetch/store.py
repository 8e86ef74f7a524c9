"""The raw folder: find each fund's file, compare it with a response, replace it."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from etf_rotation.fetch.bars import NUMBERS, SCHEMA, Answer, dates, numbers
from etf_rotation.fetch.texts import RefusedError
from etf_rotation.staging.raw_files import MARKER, SYNTHETIC_KEY

KEY = "etf_rotation."  # of the metadata that fetch and import write
SESSION_FILE = re.compile(r"\d{8}")
# The build parses the fund's code from the name in the same way.
CODE = re.compile(r"(\d{6})(\.(SH|SZ))?")
TEMPORARY = "[.]*.parquet.tmp"
DATE_TEXT = r"^(\d{4})-?(\d{2})-?(\d{2})( 00:00:00(\.0+)?|\.0)?$"
# Tolerance for doubles that were converted from the same decimals in different ways.
FLOAT_NOISE = 1e-9
ROW = "row"  # in place of a column: the whole row is missing


def daily(root: Path) -> Path:
    """Return the folder of the daily files."""
    return root / "ETF" / "daily"


@dataclass(frozen=True)
class Stored:
    """A fund's file: its rows by date, and the source in its metadata."""

    path: Path
    rows: pa.Table
    source: str = ""
    description: Mapping[str, str] = field(default_factory=dict)

    @property
    def last(self) -> dt.date:
        """The date of the last row."""
        return self.rows["trade_date"][-1].as_py()

    @property
    def last_bar(self) -> dt.date:
        """The date of the last row with a volume, else of the last row."""
        traded = np.flatnonzero(numbers(self.rows, "vol") > 0)
        return dates(self.rows)[traded[-1] if len(traded) else -1]


@dataclass(frozen=True)
class Difference:
    """A stored value that differs in the response; NaN if a value is missing."""

    date: dt.date
    column: str
    old: float
    new: float


@dataclass(frozen=True)
class Change:
    """The effect of a response on a file.

    Attributes
    ----------
    rows : pa.Table
        The future rows: stored and new ones; if accepted, the answer's where they
        differ.
    gained : list of date
        New rows.
    differences : list of Difference
        By date, including stored rows that the answer lacks.
    """

    rows: pa.Table
    gained: list[dt.date]
    differences: list[Difference]


def find_files(root: Path) -> dict[str, list[Path]]:
    """Return the files of each fund, by symbol.

    The code is the beginning of the file's name. Without a code, the rows decide.

    Raises
    ------
    RefusedError
        The folder holds files of one session, the synthetic sample, or a file of
        several funds.
    """
    if (root / MARKER).exists():
        raise RefusedError("synthetic_root", root=root)
    found: dict[str, list[Path]] = {}
    for path in sorted(daily(root).glob("[!.]*.parquet")):
        if SESSION_FILE.fullmatch(path.stem):
            raise RefusedError("session_files", root=root, file=path.name)
        found.setdefault(_symbol(path), []).append(path)
    return found


def _symbol(path: Path) -> str:
    code = CODE.match(path.name)
    if code and code[2]:
        return code[0]
    if code and (symbol := complete(code[0])):
        return symbol
    try:
        symbols = pc.unique(pq.read_table(path, columns=["ts_code"])["ts_code"]).to_pylist()
    except (pa.ArrowException, OSError):
        raise RefusedError("no_parquet", file=path.name) from None
    if len(symbols) != 1:
        raise RefusedError("several_funds", file=path.name)
    return str(symbols[0])


def complete(code: str) -> str | None:
    """Return the symbol for six digits; None if no exchange-traded fund has them."""
    return {"5": f"{code}.SH", "1": f"{code}.SZ"}.get(code[0])


def read(path: Path) -> Stored:
    """Read a fund's file.

    Raises
    ------
    RefusedError
        The file is no parquet file, lacks a column, has an unreadable or duplicate
        date, or has an adjustment column that fetch cannot continue.
    """
    try:
        content = pq.read_table(path)
    except (pa.ArrowException, OSError):
        raise RefusedError("no_parquet", file=path.name) from None
    names = {name.lower(): name for name in content.column_names}
    taken = [name for name in ("adj_factor", "adj_close") if name in names]
    if taken:
        raise RefusedError("has_adjustment", file=path.name, column=" and ".join(taken))
    missing = [name for name in SCHEMA.names if name not in names and name != "pre_close"]
    if missing:
        raise RefusedError("column_missing", file=path.name, column=", ".join(missing))
    metadata = content.schema.metadata or {}
    if SYNTHETIC_KEY in metadata:
        raise RefusedError("synthetic_root", root=path.parent)
    description = {
        key.decode().removeprefix(KEY): value.decode()
        for key, value in metadata.items()
        if key.startswith(KEY.encode())
    }
    rows = _normal(content.replace_schema_metadata(), names, path.name)
    if not rows.num_rows:
        raise RefusedError("no_rows", file=path.name)
    if len(pc.unique(rows["trade_date"])) < rows.num_rows:
        days = dates(rows)
        twice = next(day for day, after in zip(days, days[1:], strict=False) if day == after)
        raise RefusedError("file_date_twice", file=path.name, date=twice)
    return Stored(path, rows, description.get("source", ""), description)


def _normal(content: pa.Table, names: Mapping[str, str], file: str) -> pa.Table:
    """Cast rows to the types of the schema; other columns follow unchanged."""
    columns: dict[str, pa.ChunkedArray | pa.Array] = {}
    for item in SCHEMA:
        if item.name not in names:
            columns[item.name] = pa.nulls(content.num_rows, item.type)
            continue
        column = content[names[item.name]]
        try:
            columns[item.name] = (
                _dates(column) if item.name == "trade_date" else column.cast(item.type)
            )
        except (pa.ArrowException, ValueError):
            raise RefusedError("column_type", file=file, column=item.name) from None
    if columns["trade_date"].null_count:
        raise RefusedError("column_type", file=file, column="trade_date")
    known = {names[name] for name in SCHEMA.names if name in names}
    rest = {name: content[name] for name in content.column_names if name not in known}
    rows = pa.table({**columns, **rest})
    return rows.sort_by("trade_date")


def _dates(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_date(kind):
        return column.cast(pa.date32())
    if pa.types.is_timestamp(kind):
        # The cast fails if a time of day other than midnight would be lost.
        return column.cast(pa.timestamp("ms")).cast(pa.date32())
    text = column.cast(pa.string())
    if not pc.all(pc.match_substring_regex(text, DATE_TEXT)).as_py():
        raise ValueError
    digits = pc.replace_substring_regex(text, DATE_TEXT, r"\1-\2-\3")
    return digits.cast(pa.date32())


def compare(
    stored: Stored | None,
    answer: Answer,
    *,
    first: dt.date,
    last: dt.date,
    is_accepted: bool = False,
    is_whole: bool = False,
) -> Change:
    """Compare a response with the file, and return the updated file.

    Parameters
    ----------
    stored : Stored or None
        None for a fund without a file.
    answer : Answer
    first, last : date
        The dates that the answer covers. Stored rows outside them are kept.
    is_accepted : bool
        Whether differing rows are taken from the answer.
    is_whole : bool
        Whether the answer covers the whole history.

    Raises
    ------
    RefusedError
        The file lacks `pre_close` where the answer has it, and the answer is no
        accepted whole history: the column cannot begin in the middle of a history.
    """
    if stored is None:
        return Change(answer.bars, dates(answer.bars), [])
    found = _gone(stored.rows, answer.bars, first, last) + _differing(stored.rows, answer)
    begins_late = [d for d in found if d.column == "pre_close" and np.isnan(d.old)]
    if begins_late and not (is_accepted and is_whole):
        raise RefusedError("no_pre_close", date=begins_late[0].date)
    old_days, new_days = dates(stored.rows), dates(answer.bars)
    known = set(old_days)
    changed = {difference.date for difference in found} if is_accepted else set()
    kept = stored.rows.filter(pa.array([day not in changed for day in old_days], pa.bool_()))
    taken = answer.bars.filter(
        pa.array([day not in known or day in changed for day in new_days], pa.bool_())
    )
    rows = pa.concat_tables([kept, taken], promote_options="default").sort_by("trade_date")
    gained = [day for day in new_days if day not in known]
    return Change(rows, gained, sorted(found, key=lambda difference: difference.date))


def _gone(old: pa.Table, new: pa.Table, first: dt.date, last: dt.date) -> list[Difference]:
    """Return the stored bars that the response lacks; a bar has volume."""
    there = set(dates(new))
    close, vol = numbers(old, "close"), numbers(old, "vol")
    return [
        Difference(day, ROW, float(close[row]), np.nan)
        for row, day in enumerate(dates(old))
        if first <= day <= last and day not in there and vol[row] > 0
    ]


def _differing(old: pa.Table, answer: Answer) -> list[Difference]:
    place = {day: row for row, day in enumerate(dates(old))}
    shared = [(place[day], row) for row, day in enumerate(dates(answer.bars)) if day in place]
    there, here = np.array(shared, dtype=int).reshape(-1, 2).T
    days = dates(answer.bars)
    found = []
    for name in NUMBERS:
        before, after = numbers(old, name)[there], numbers(answer.bars, name)[here]
        limit = FLOAT_NOISE * np.maximum(np.abs(before), np.abs(after))
        is_equal = np.isnan(before) & np.isnan(after)
        if name == "pre_close":
            # A response may lack the inputs to derive the value of its first row.
            is_equal |= (here == 0) & np.isnan(after)
            if answer.tolerance is not None:
                limit = limit + answer.tolerance[here]
        with np.errstate(invalid="ignore"):
            is_equal |= np.abs(before - after) <= limit
        found += [
            Difference(days[here[row]], name, float(before[row]), float(after[row]))
            for row in np.flatnonzero(~is_equal)
        ]
    return found


def describe(
    stored: Stored | None, rows: pa.Table, *, source: str, endpoint: str, version: str
) -> dict[str, str]:
    """Return the metadata of a file: source, time, first and last session."""
    days = rows["trade_date"]
    described = {
        "source": source,
        "endpoint": endpoint,
        "fetched_at": f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}",
        "first_date": days[0].as_py().isoformat(),
        "last_date": days[-1].as_py().isoformat(),
        "version": version,
    }
    if stored is None or stored.source == source:
        earlier = stored.description.get("earlier") if stored else None
    else:
        earlier = f"{stored.source or 'another program'} to {stored.last}"
    return described | ({"earlier": earlier} if earlier else {})


def write(path: Path, rows: pa.Table, description: Mapping[str, str]) -> None:
    """Replace a file atomically: it is complete even after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {KEY + key: value for key, value in description.items()}
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            pq.write_table(rows.replace_schema_metadata(metadata), file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove_temporary(root: Path) -> None:
    """Remove the remains of a killed fetch."""
    for path in daily(root).glob(TEMPORARY):
        path.unlink()


def dates_of(path: Path) -> list[dt.date]:
    """Return the dates of a file; none if it is unreadable."""
    try:
        return dates(read(path).rows)
    except RefusedError:
        return []
