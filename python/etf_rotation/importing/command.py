"""The command `import`: check every row of the files, then write the raw layout."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from etf_rotation.console import render_table
from etf_rotation.errors import InputError
from etf_rotation.fetch import bars, store
from etf_rotation.fetch.bars import Answer
from etf_rotation.fetch.command import lock, now, version
from etf_rotation.fetch.sources import FIRST_DATE
from etf_rotation.fetch.store import Stored
from etf_rotation.fetch.texts import RefusedError, Texts
from etf_rotation.fetch.update import SOURCES, no_access, number, readable
from etf_rotation.importing.converting import Fund, convert
from etf_rotation.importing.reading import read
from etf_rotation.production.settings import language, raw_folder
from etf_rotation.staging.trading_calendar import sessions_between

DONE, NOT_ALL, NOTHING = 0, 1, 2
SOURCE = "import"
# Column to name if the error names none.
COLUMN_OF = {
    "units": "amount",
    "unit_of_bar": "amount",
    "price_basis": "close",
    "pre_close_missing": "pre_close",
    "adjustment_count": "pre_close",
}


@dataclass(frozen=True)
class Imported:
    """A fund ready to be written: its future rows, and the new ones among them."""

    symbol: str
    path: Path
    stored: Stored | None
    rows: pa.Table
    gained: int
    funds: list[Fund]
    repeated: int


def import_files(
    paths: Sequence[str],
    environment: Mapping[str, str],
    *,
    raw_root: str | None = None,
    is_dry: bool = False,
    clock: Callable[[], dt.datetime] = now,
    say: Callable[[str], None] = print,
) -> int:
    """Import files; return the exit code: 0 all imported, 1 some, 2 none.

    Parameters
    ----------
    paths : sequence of str
        CSV, text or parquet files.
    environment : mapping
        The settings (docs/run.md).
    raw_root : str or None
        As on the command line.
    is_dry : bool
        Whether to show the result without writing it.
    clock : callable
        Returns the time in Shanghai.
    say : callable
        Prints a line.
    """
    texts = Texts(language({}, environment))
    root = raw_folder(raw_root, environment)
    refused: list[RefusedError] = []
    try:
        files = store.find_files(root)
        with nullcontext() if is_dry else lock(root, "import", clock()):
            funds = _read_all(paths, refused)
            ready = _settle_all(funds, root, files, clock().date(), refused)
            if not is_dry:
                ready = [one for one in ready if _write(one, refused)]
    except (RefusedError, InputError, OSError) as error:
        say(texts.text("import_could_not", reason=readable(error)))
        return NOTHING
    if ready:
        say(_preview(texts, ready))
    for line in _notes(texts, ready):
        say(line)
    for refusal in refused:
        say(texts.refusal(refusal))
    key = "import_summary_dry" if is_dry else "import_summary"
    rows = sum(one.gained for one in ready)
    say(texts.text(key, count=len(ready), rows=rows, refused=len(refused), root=root))
    return DONE if not refused else NOT_ALL if ready else NOTHING


def _read_all(paths: Sequence[str], refused: list[RefusedError]) -> dict[str, list[Fund]]:
    funds: dict[str, list[Fund]] = {}
    for path in paths:
        try:
            for fund in convert(read(Path(path))):
                funds.setdefault(fund.symbol, []).append(fund)
        except RefusedError as error:
            refused.append(error)
    return funds


def _settle_all(
    funds: Mapping[str, list[Fund]],
    root: Path,
    files: Mapping[str, list[Path]],
    today: dt.date,
    refused: list[RefusedError],
) -> list[Imported]:
    days = sessions_between(FIRST_DATE, today)["trade_date"].to_pylist()
    sessions = {day for day in days if day <= today}
    ready = []
    for symbol, parts in sorted(funds.items()):
        try:
            paths = files.get(symbol, [])
            if len(paths) > 1:
                raise RefusedError("two_files", symbol=symbol, files=[p.name for p in paths])
            path = paths[0] if paths else store.daily(root) / f"{symbol}_daily.parquet"
            stored = _own_file(path) if paths else None
            ready.append(_settle(symbol, parts, path, stored, today, sessions))
        except RefusedError as error:
            refused.append(error)
    return ready


def _own_file(path: Path) -> Stored:
    stored = store.read(path)
    if stored.source in SOURCES:
        raise RefusedError("import_fetched", file=path.name, source=stored.source)
    return stored


def _settle(
    symbol: str,
    parts: list[Fund],
    path: Path,
    stored: Stored | None,
    today: dt.date,
    sessions: set[dt.date],
) -> Imported:
    """Merge a fund's files with each other and the stored rows; validate the result.

    Raises
    ------
    RefusedError
        Names file, line and column.
    """
    rows, repeated = _joined(parts, today, sessions)
    for part in parts:
        _judge(part, partial(bars.judge_values, _table(part)))
    if stored is None:
        whole, gained = rows, rows.num_rows
    else:
        whole, gained = _with_stored(parts, rows, stored)
    if _has_pre_close(whole):
        _judge(parts[0], lambda: bars.judge_adjustment(whole), parts)
    _judge(parts[0], lambda: bars.judge_values(whole.select(bars.SCHEMA.names)), parts)
    return Imported(symbol, path, stored, whole, gained, parts, repeated)


def _table(part: Fund) -> pa.Table:
    return bars.table(part.symbol, part.dates, part.numbers)


def _joined(parts: list[Fund], today: dt.date, sessions: set[dt.date]) -> tuple[pa.Table, int]:
    """Return the distinct rows of all files, and the number of duplicates."""
    seen: dict[dt.date, tuple[Fund, int]] = {}
    for part in parts:
        for row, day in enumerate(part.dates):
            if day > today:
                raise _at(part, row, "trade_date", RefusedError("import_future", date=day))
            if day not in sessions:
                raise _at(part, row, "trade_date", RefusedError("import_no_session", date=day))
            if day not in seen:
                seen[day] = (part, row)
                continue
            first, place = seen[day]
            for name in bars.NUMBERS:
                old, new = (
                    float(one.numbers[name][at]) if name in one.numbers else np.nan
                    for one, at in ((first, place), (part, row))
                )
                if not _same(old, new) and first is part:
                    again = RefusedError("import_again", date=day, line=first.lines[place])
                    raise _at(part, row, "trade_date", again)
                if not _same(old, new):
                    raise _at(
                        part,
                        row,
                        name,
                        RefusedError(
                            "import_twice",
                            date=day,
                            new=number(new),
                            old=number(old),
                            file=first.file,
                            line=first.lines[place],
                        ),
                    )
    tables = [_table(part) for part in parts]
    count = sum(one.num_rows for one in tables)
    kept = []
    for part, one in zip(parts, tables, strict=True):
        mine = [seen[day] == (part, row) for row, day in enumerate(part.dates)]
        kept.append(one.filter(pa.array(mine, pa.bool_())))
    rows = pa.concat_tables(kept).sort_by("trade_date")
    return rows, count - rows.num_rows


def _same(old: float, new: float) -> bool:
    both_missing = np.isnan(old) and np.isnan(new)
    return both_missing or abs(old - new) <= store.FLOAT_NOISE * max(abs(old), abs(new))


def _with_stored(parts: list[Fund], rows: pa.Table, stored: Stored) -> tuple[pa.Table, int]:
    """Add new dates to the stored rows; reject values that differ from stored ones."""
    days = bars.dates(rows)
    try:
        change = store.compare(stored, Answer(rows), first=days[0], last=days[-1])
    except RefusedError as error:
        raise _at(parts[0], 0, "pre_close", error) from None
    found = next((one for one in change.differences if one.column != store.ROW), None)
    if found:
        part = next(part for part in parts if found.date in part.dates)
        raise _at(
            part,
            part.dates.index(found.date),
            found.column,
            RefusedError(
                "import_differs",
                date=found.date,
                new=number(found.new),
                old=number(found.old),
                file=stored.path.name,
            ),
        )
    return change.rows, len(change.gained)


def _judge(part: Fund, judge: Callable[[], None], parts: list[Fund] | None = None) -> None:
    """Run a check; add file, line and column to its error."""
    try:
        judge()
    except RefusedError as error:
        date = error.facts.get("date") or error.facts.get("first")
        part = next((one for one in parts or [part] if date in one.dates), part)
        column = str(error.facts.get("column") or COLUMN_OF.get(error.key, "close"))
        row = next((n for n, day in enumerate(part.dates) if day == date), 0)
        raise _at(part, row, column, error) from None


def _at(part: Fund, row: int, column: str, reason: RefusedError) -> RefusedError:
    return RefusedError(
        "import_cell",
        file=part.file,
        line=part.lines[row],
        column=part.headings.get(column, column),
        reason=reason,
    )


def _write(one: Imported, refused: list[RefusedError]) -> bool:
    """Write a fund's file if it gains rows; return whether it is complete."""
    if not one.gained:
        return True
    described = store.describe(
        one.stored,
        one.rows,
        source=SOURCE,
        endpoint=", ".join(part.file for part in one.funds),
        version=version(),
    )
    try:
        store.write(one.path, one.rows, described)
    except OSError as error:
        refused.append(no_access(error))
        return False
    return True


def _preview(texts: Texts, ready: list[Imported]) -> str:
    headings = ("fund", "rows", "first", "last", "new", "volume", "amount", "pre_close", "files")
    rows = []
    for one in ready:
        days = bars.dates(one.rows)
        rows.append(
            [
                one.symbol,
                str(one.rows.num_rows),
                str(days[0]),
                str(days[-1]),
                str(one.gained),
                texts.text(one.funds[0].volume_unit),
                texts.text(one.funds[0].amount_unit),
                texts.text("yes" if _has_pre_close(one.rows) else "no"),
                texts.names([part.file for part in one.funds]),
            ]
        )
    return render_table([texts.text(f"import_head_{name}") for name in headings], rows)


def _notes(texts: Texts, ready: list[Imported]) -> list[str]:
    said = [
        texts.text(key, symbol=one.symbol, file=part.file, **facts)
        for one in ready
        for part in one.funds
        for key, facts in part.notes
    ]
    said += [
        texts.text("import_repeated", symbol=one.symbol, count=one.repeated)
        for one in ready
        if one.repeated
    ]
    without = [one.symbol for one in ready if not _has_pre_close(one.rows)]
    return said + ([texts.text("import_without_pre_close", funds=without)] if without else [])


def _has_pre_close(rows: pa.Table) -> bool:
    return bool((bars.numbers(rows, "pre_close") > 0).any())
