"""Read CSV, text and parquet files of other programs as sheets with line numbers."""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from etf_rotation.fetch.texts import RefusedError

ALIASES = Path(__file__).with_name("aliases.toml")
PARQUET, ZIP, OLE, UTF16 = b"PAR1", b"PK\x03\x04", b"\xd0\xcf\x11\xe0", (b"\xff\xfe", b"\xfe\xff")
SEPARATORS = ("\t", ",", ";", None)  # None: spaces
TITLE_LINES = 10  # above the headings, at most
REQUIRED = ("trade_date", "open", "high", "low", "close", "vol", "amount")
ENOUGH = 4  # known columns that identify the line of headings
UNIT = re.compile(r"(.+?)[(（\[]([^)）\]]+)[)）\]]")
EMPTY = ("", "-", "--", "nan", "none", "null", "n/a")


@dataclass(frozen=True)
class Sheet:
    """A file's table.

    Attributes
    ----------
    file : str
        The file's name.
    columns : dict
        Cells by column of the raw layout; text, None if empty.
    headings : dict
        The file's own heading by column.
    units : dict
        Units stated in the headings of `vol` and `amount`, in shares and CNY.
    lines : list of int
        The line of each row in the file; of a parquet file the row, counted from 1.
    title : str
        Text above the headings.
    notes : list of str
        Lines without a row, such as a footer.
    """

    file: str
    columns: dict[str, list]
    headings: dict[str, str]
    units: dict[str, float]
    lines: list[int]
    title: str = ""
    notes: tuple[str, ...] = ()


def read(path: Path) -> Sheet:
    """Read a CSV, text or parquet file.

    Raises
    ------
    RefusedError
        The message names the file and its fault.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RefusedError("no_access", file=path.name, reason=error.strerror) from None
    if content.startswith(PARQUET):
        return _parquet(path.name, content)
    if content.startswith((ZIP, OLE)):
        raise RefusedError("import_spreadsheet", file=path.name)
    if content.startswith(UTF16):
        raise RefusedError("import_encoding", file=path.name)
    return _text(path.name, _decoded(path.name, content))


def _decoded(file: str, content: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise RefusedError("import_encoding", file=file)


def _text(file: str, text: str) -> Sheet:
    lines = text.splitlines()
    if not text.strip():
        raise RefusedError("import_empty", file=file)
    start, separator = _heading_line(file, lines)
    rows = list(_rows(lines, start, separator))
    headings = rows[0][1]
    columns, units = match(file, headings)
    width = len(headings)
    kept: list[tuple[int, list[str]]] = []
    notes = []
    for number, cells in rows[1:]:
        if not any(cells):
            continue
        if sum(bool(cell) for cell in cells) == 1 and not re.match(r"\d", cells[0]):
            notes.append(cells[0])
            continue
        if len(cells) < width or any(cells[width:]):
            raise RefusedError(
                "import_cells", file=file, line=number, count=len(cells), headings=width
            )
        kept.append((number, cells))
    if not kept:
        raise RefusedError("import_empty", file=file)
    return Sheet(
        file,
        {
            name: [None if cells[at].lower() in EMPTY else cells[at] for _, cells in kept]
            for name, at in columns.items()
        },
        {name: headings[at] for name, at in columns.items()},
        units,
        [number for number, _ in kept],
        "\n".join(lines[:start]),
        tuple(notes),
    )


def _heading_line(file: str, lines: list[str]) -> tuple[int, str | None]:
    """Return the line of the headings and their separator."""
    best: tuple[int, int, str | None] = (0, 0, None)
    for number, line in enumerate(lines[:TITLE_LINES]):
        for separator in SEPARATORS:
            known = {_column(cell)[0] for cell in _cells(line, separator)} - {None}
            if len(known) > best[0]:
                best = (len(known), number, separator)
    if best[0] < ENOUGH:
        found = next(line for line in lines if line.strip())
        raise RefusedError("import_no_headings", file=file, found=found.strip()[:80])
    return best[1], best[2]


def _rows(lines: list[str], start: int, separator: str | None) -> Iterator[tuple[int, list[str]]]:
    if separator is None:
        for number, line in enumerate(lines[start:], start + 1):
            yield number, _cells(line, None)
        return
    reader = csv.reader(io.StringIO("\n".join(lines[start:])), delimiter=separator)
    for cells in reader:
        yield start + reader.line_num, [_cell(cell) for cell in cells]


def _cells(line: str, separator: str | None) -> list[str]:
    if separator is None:
        return line.split()
    return [_cell(cell) for cell in next(csv.reader([line], delimiter=separator), [])]


def _cell(text: str) -> str:
    """Return the content of a cell without the ="510300" of spreadsheets."""
    text = text.strip()
    if text.startswith('="') and text.endswith('"'):
        text = text[2:-1]
    return text.strip().strip("'").strip()


def match(file: str, headings: list[str]) -> tuple[dict[str, int], dict[str, float]]:
    """Return each column's position, and the units in the headings of vol and amount.

    Raises
    ------
    RefusedError
        A column is missing, or two headings match it.
    """
    places: dict[str, int] = {}
    units: dict[str, float] = {}
    for place, heading in enumerate(headings):
        name, unit = _column(heading)
        if name is None:
            continue
        if name in places:
            raise RefusedError(
                "import_heading_twice",
                file=file,
                column=name,
                first=headings[places[name]],
                second=heading,
            )
        places[name] = place
        if unit is not None:
            units[name] = unit
    missing = [name for name in REQUIRED if name not in places]
    if missing:
        raise RefusedError(
            "import_no_column",
            file=file,
            column=", ".join(missing),
            headings=", ".join(heading for heading in headings if heading),
        )
    return places, units


def _column(heading: str) -> tuple[str | None, float | None]:
    """Return the column of the raw layout for a heading, and its unit."""
    text = re.sub(r"\s", "", heading).lower()
    aliases = _aliases()
    if text in aliases["columns"]:
        return aliases["columns"][text], None
    parts = UNIT.fullmatch(text)
    if not parts or parts[1] not in aliases["columns"]:
        return None, None
    name = aliases["columns"][parts[1]]
    kind = {"vol": "volume_units", "amount": "amount_units"}.get(name)
    return name, aliases[kind].get(parts[2]) if kind else None


@cache
def _aliases() -> dict[str, dict]:
    content = tomllib.loads(ALIASES.read_text(encoding="utf-8"))
    columns = {alias: name for name, known in content["columns"].items() for alias in known}
    return content | {"columns": columns}


def _parquet(file: str, content: bytes) -> Sheet:
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError):
        raise RefusedError("no_parquet", file=file) from None
    if not table.num_rows:
        raise RefusedError("import_empty", file=file)
    places, units = match(file, table.column_names)
    return Sheet(
        file,
        {name: table.column(place).to_pylist() for name, place in places.items()},
        {name: table.column_names[place] for name, place in places.items()},
        units,
        list(range(1, table.num_rows + 1)),
    )
