"""Progress and plain tables for a terminal."""

from __future__ import annotations

import sys
import time
import unicodedata
from collections.abc import Sequence
from typing import TextIO

SHARE_A_LINE = 0.2  # of what is counted, where lines cannot be overwritten


class Progress:
    """Lines on standard output; on a terminal the count of nodes is one line that changes."""

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream or sys.stdout
        self.started = time.monotonic()
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
        self.say(f"{self.seconds:6.1f} s  {name}")

    def nodes(self, done: int, total: int, current: str) -> None:
        """Count the nodes of the build; `current` is what has just ended."""
        self.count(done, total, f"nodes  {current}")

    def count(self, done: int, total: int, what: str) -> None:
        """Count what is done."""
        text = f"{self.seconds:6.1f} s  {done:,} of {total:,} {what}"
        if self.stream.isatty():
            self.stream.write(f"\r\x1b[K{text[:100]}")
            self.stream.flush()
            self._is_open = True
        elif done >= self._next * total:
            self._next += SHARE_A_LINE
            self.say(text)


def render_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table as text; numbers stand to the right, and an unknown value is empty."""
    texts = [[_text(value) for value in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(headings, *texts, strict=True)]
    is_number = [
        any(isinstance(row[i], (int, float)) for row in rows)
        and not any(isinstance(row[i], str) for row in rows)
        for i in range(len(headings))
    ]
    lines = [headings, ["-" * width for width in widths], *texts]
    return "\n".join(
        "  ".join(
            _padded(text, width, right)
            for text, width, right in zip(line, widths, is_number, strict=True)
        ).rstrip()
        for line in lines
    )


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4f}"  # noqa: PLR2004
    return str(value)


def _padded(text: str, width: int, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
