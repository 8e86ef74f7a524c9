"""A message, and its shortening to the size that a channel accepts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

CUT = "…"
JOINT = "\n\n"


@dataclass(frozen=True)
class Part:
    """A part of a message: Markdown, and its rank for cutting.

    Rank 0 is never cut. Other parts are cut in descending order of rank.
    """

    text: str
    rank: int = 1


@dataclass(frozen=True)
class Message:
    """A one-line title and a body in Markdown.

    `parts` holds the same text in reading order. A message without parts is cut from
    its end.
    """

    title: str
    text: str
    parts: tuple[Part, ...] = ()

    @classmethod
    def of(cls, title: str, parts: Iterable[Part]) -> Message:
        """Build a message from its parts; empty parts are left out."""
        parts = tuple(part for part in parts if part.text)
        return cls(title, JOINT.join(part.text for part in parts), parts)

    def pages(self, size: int) -> list[str]:
        """Split the text into as few pieces of at most `size` bytes as possible.

        Lines are cut from the end of the least important part until one piece holds the
        rest. There is more than one piece only if the parts of rank 0 need it.
        """
        parts = list(self.parts or (Part(self.text),))
        order = sorted(range(len(parts)), key=lambda place: (-parts[place].rank, -place))
        for place in order:
            excess = _bytes(JOINT.join(part.text for part in parts)) - size
            if excess <= 0 or parts[place].rank == 0:
                break
            parts[place] = Part(_cut(parts[place].text, excess))
        return _split(JOINT.join(_without_repeats(part.text for part in parts)), size)


def _bytes(text: str) -> int:
    return len(text.encode())


def _cut(text: str, excess: int) -> str:
    """Shorten a text by at least `excess` bytes, or to the mark of a cut alone."""
    room = _bytes(text) - excess - _bytes(f"\n{CUT}")
    lines = text.split("\n")
    if room <= 0:
        return CUT
    while lines and _bytes("\n".join(lines)) > room:
        last = lines.pop()
        if not lines:
            return last.encode()[:room].decode(errors="ignore") + CUT
    return "\n".join([*lines, CUT])


def _without_repeats(texts: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for text in texts:
        if not (text == CUT and kept and kept[-1].endswith(CUT)):
            kept.append(text)
    return kept


def _split(text: str, size: int) -> list[str]:
    """Split a text between lines into pieces of at most `size` bytes."""
    pages, page = [], ""
    for line in text.split("\n"):
        longer = f"{page}\n{line}" if page else line
        if page and _bytes(longer) > size:
            pages.append(page)
            longer = line
        page = longer
    return [*pages, page]
