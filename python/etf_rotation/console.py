"""Progress and tables for a terminal."""

from __future__ import annotations

import io
import os
import re
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

SHARE_A_LINE = 0.2  # of the total between two lines, where lines cannot be overwritten
# Nothing is wrapped in a pipe or a file: each row stays on one line for grep.
ENDLESS = 10_000
DEFAULT_WIDTH = 80  # of a terminal that reports no width
SHORT = re.compile(r"[\w.:*-]{0,17}", re.ASCII)
STYLES = {
    "error": "bold red",
    "fail": "bold red",
    "warn": "yellow",
    "pass": "green",
}


class Progress:
    """Progress lines on standard output; a terminal updates the node count in place.

    `expected` is the duration of the last run in seconds; with it the time left is
    shown.
    """

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream or sys.stdout
        self.started = time.monotonic()
        self.expected: float | None = None
        self.left = "{:.0f} s left"
        self._is_open = False
        self._next = 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def say(self, text: str = "") -> None:
        """Print a line."""
        if self._is_open:
            self.stream.write("\r\x1b[K")
            self._is_open = False
        print(text, file=self.stream, flush=True)

    def stage(self, name: str) -> None:
        """Begin a stage."""
        self._next = 0.0
        self.say(f"{self.seconds:6.1f} s  {name}{self._left()}")

    def nodes(self, done: int, total: int, current: str) -> None:
        """Show the number of finished nodes; `current` has just ended."""
        self.count(done, total, f"nodes{self._left()}  {current}")

    def count(self, done: int, total: int, what: str) -> None:
        """Show how many of `total` are done."""
        text = f"{self.seconds:6.1f} s  {done:,} of {total:,} {what}"
        if self.stream.isatty():
            shown = Text(text)
            shown.truncate(width(self.stream) - 1)
            self.stream.write(f"\r\x1b[K{shown.plain}")
            self.stream.flush()
            self._is_open = True
        elif done >= self._next * total:
            self._next += SHARE_A_LINE
            self.say(text)

    def _left(self) -> str:
        left = (self.expected or 0.0) - self.seconds
        return f"  {self.left.format(left)}" if left > 1 else ""


def width(stream: TextIO | None = None) -> int:
    """Return the width of a terminal in columns; a pipe or a file has no limit."""
    stream = stream or sys.stdout
    if not stream.isatty():
        return ENDLESS
    # Not shutil.get_terminal_size: it asks sys.__stdout__, which the command has
    # replaced.
    given = os.environ.get("COLUMNS", "")
    columns = int(given) if given.isdecimal() else os.get_terminal_size(stream.fileno()).columns
    return columns or DEFAULT_WIDTH


def render(*parts: RenderableType) -> str:
    """Render parts with rich as text; colors are used on a terminal only."""
    is_terminal = sys.stdout.isatty()
    shown = io.StringIO()
    console = Console(
        file=shown,
        width=width(),
        force_terminal=is_terminal and "NO_COLOR" not in os.environ,
        color_system="standard" if is_terminal else None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    for part in parts:
        console.print(part)
    return "\n".join(line.rstrip() for line in shown.getvalue().splitlines())


def render_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Render a table as text; numbers are right-aligned, unknown values empty.

    On a terminal, long texts are wrapped to its width.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for place, heading in enumerate(headings):
        values = [row[place] for row in rows]
        is_number = any(map(_is_number, values)) and not any(isinstance(v, str) for v in values)
        # Only texts are wrapped: a number or date on two lines would be misread.
        is_text = any(isinstance(value, str) and not SHORT.fullmatch(value) for value in values)
        table.add_column(
            heading,
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=not is_text,
        )
    for row in rows:
        table.add_row(*map(_cell, row))
    return render(table)


def status(name: str, shown: str) -> Text:
    """Return a status in its color."""
    return Text(shown, style=STYLES[name])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: object) -> Text:
    if isinstance(value, Text):
        return value
    if value is None:
        return Text("")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, float):
        return Text(f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4f}")  # noqa: PLR2004
    return Text(str(value))


def fitted(text: str) -> str:
    """Return a text with its lines wrapped to the terminal's width."""
    most = width()
    return "\n".join(
        render(Text(line)) if "\x1b" not in line and cell_len(line) > most else line
        for line in text.split("\n")
    )
