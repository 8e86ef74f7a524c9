"""Plain tables for a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def render(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
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
