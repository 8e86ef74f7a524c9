"""Say what goes on: stage, nodes done, seconds since the start."""

from __future__ import annotations

import sys
import time
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
