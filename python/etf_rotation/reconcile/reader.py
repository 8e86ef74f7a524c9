"""Read a broker's file as a table: encoding, separator, header and known columns."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from etf_rotation.reconcile.aliases import REPEATABLE, heading
from etf_rotation.reconcile.cells import clean, masked
from etf_rotation.reconcile.texts import RefusedError

# Some exports have a title above the header.
HEADER_WITHIN = 10
# xls (OLE) and xlsx (zip).
_SPREADSHEETS = (b"\xd0\xcf\x11\xe0", b"PK\x03\x04")
# First cell of a line of totals.
TOTALS = ("合计", "总计", "小计", "汇总")
T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One line of the file, with as many cleaned cells as the header."""

    line: int
    cells: list[str]


@dataclass
class Table:
    """A file with a recognized header.

    Attributes
    ----------
    name : str
        The path as given by the user.
    headers : list of str
    columns : dict of field to the indexes of its columns, in the order of the file
    rows : list of Row
    sha256 : str
        Checksum of the file.
    faults : list of (line, header, key)
        Bad cells; `key` is a key below `refused.cell` in `texts.toml`.
    """

    name: str
    headers: list[str]
    columns: dict[str, list[int]]
    rows: list[Row]
    sha256: str
    faults: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The file's name without its folder, for findings, which are stored."""
        return masked(Path(self.name).name, 9)

    def has(self, name: str) -> bool:
        """Return whether the file has a column for a field."""
        return name in self.columns

    def texts(self, row: Row, name: str) -> list[str]:
        """Return the non-empty cells of a field."""
        return [row.cells[n] for n in self.columns.get(name, []) if row.cells[n]]

    def text(self, row: Row, name: str) -> str:
        """Return the first non-empty cell of a field, or an empty string."""
        return next(iter(self.texts(row, name)), "")

    def value(self, row: Row, name: str, parse: Callable[[str], T], fault: str) -> T | None:
        """Return a field's parsed cell; None without a column or after a fault."""
        if not self.has(name):
            return None
        column = self.columns[name][0]
        try:
            return parse(row.cells[column])
        except ValueError:
            self.fault(row, name, fault)
            return None

    def fault(self, row: Row, name: str, key: str) -> None:
        """Record a bad cell."""
        columns = self.columns.get(name)
        self.faults.append((row.line, self.headers[columns[0]] if columns else name, key))

    def is_faulty(self, row: Row) -> bool:
        """Return whether the row has a bad cell."""
        return any(line == row.line for line, _, _ in self.faults)

    def refuse_faults(self) -> None:
        """Raise one error for all bad cells: the first one and the number of others."""
        if self.faults:
            line, header, key = min(self.faults)
            raise RefusedError(
                f"cell.{key}",
                file=self.name,
                line=line,
                column=header,
                more=len({fault[0] for fault in self.faults}) - 1,
            )


def read_table(path: str, aliases: dict[str, str], required: Sequence[str]) -> Table:
    """Read a file.

    Parameters
    ----------
    path : str
        UTF-8 (with or without a byte order mark) or GB18030, separated by tabs or
        commas.
    aliases : dict of heading to field
        From the seed `broker_headers`, for this kind of statement.
    required : sequence of str
        Fields that need a column.

    Raises
    ------
    RefusedError
        The file is unreadable, not text or a spreadsheet; a required column is missing;
        a field has two columns; or a line has too many or too few cells.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise RefusedError("unreadable", file=path, why=error.strerror) from None
    lines = list(io.StringIO(_decode(path, content), newline=None))
    start = _header_line(lines, aliases)
    if start is None:
        raise RefusedError("empty", file=path)
    separator = "\t" if lines[start].count("\t") >= max(lines[start].count(","), 1) else ","
    try:
        parsed = csv.reader(lines[start:], delimiter=separator, strict=True)
        headers = [clean(cell) for cell in next(parsed)]
        while headers and not headers[-1]:
            headers.pop()
        columns = _columns(path, headers, aliases, required)
        rows = []
        for cells in parsed:
            row = _row(path, start + parsed.line_num, cells, len(headers))
            rows += [row] if row else []
    except csv.Error:
        raise RefusedError("quotes", file=path, line=start + parsed.line_num) from None
    return Table(path, headers, columns, rows, hashlib.sha256(content).hexdigest())


def _decode(path: str, content: bytes) -> str:
    if content.startswith(_SPREADSHEETS):
        raise RefusedError("spreadsheet", file=path)
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise RefusedError("encoding", file=path)


def _header_line(lines: list[str], aliases: dict[str, str]) -> int | None:
    """Return the first line with two known headers, else the first non-empty line."""
    filled = [number for number, line in enumerate(lines) if line.strip()][:HEADER_WITHIN]
    for number in filled:
        cells = [heading(cell) for cell in lines[number].replace("\t", ",").split(",")]
        if sum(cell.strip('"') in aliases for cell in cells) > 1:
            return number
    return filled[0] if filled else None


def _columns(
    path: str, headers: list[str], aliases: dict[str, str], required: Sequence[str]
) -> dict[str, list[int]]:
    columns: dict[str, list[int]] = {}
    for number, header in enumerate(headers):
        name = aliases.get(heading(header))
        if name:
            columns.setdefault(name, []).append(number)
    for name, found in columns.items():
        names = [headers[number] for number in found]
        if len(found) > 1 and (name not in REPEATABLE or len(set(names)) < len(names)):
            raise RefusedError("column_twice", file=path, columns=", ".join(names), field=name)
    missing = [name for name in required if name not in columns]
    if not columns:
        # This line may be data, so it must not be quoted.
        raise RefusedError("no_header", file=path, fields=", ".join(missing))
    if missing:
        raise RefusedError(
            "column_missing",
            file=path,
            fields=", ".join(missing),
            headers=", ".join(filter(None, headers)) or "-",
        )
    return columns


def _row(path: str, line: int, cells: list[str], width: int) -> Row | None:
    values = [clean(cell) for cell in cells]
    if next(filter(None, values), "") in ("", *TOTALS):
        return None
    if len(values) < width or any(values[width:]):
        raise RefusedError("cells", file=path, line=line, found=len(values), expected=width)
    return Row(line, values[:width])
