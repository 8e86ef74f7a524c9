"""Signals, standard streams and the exit of a process that runs a command.

Only a process that owns itself calls `take_over`; as a library nothing here changes anything.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import NoReturn

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Interruption:
    """Turns the first signal into a KeyboardInterrupt, and only counts all that follow."""

    def __init__(self) -> None:
        self.count = 0
        self.is_held = False

    def __call__(self, number: int, frame: object) -> None:
        self.count += 1
        if not self.is_held:
            # A second one must not break into the handling of the first.
            self.is_held = True
            raise KeyboardInterrupt


_interruption = _Interruption()


def hold() -> None:
    """Let no further signal raise: what decides or tells how a run ended must not be cut short."""
    _interruption.is_held = True


def received() -> int:
    """Return how many of the signals INT and TERM the process has received.

    A library may turn the interruption into an error of its own, or lose it: DuckDB raises a
    RuntimeError in its place.
    """
    return _interruption.count


class Output(io.TextIOWrapper):
    """A standard stream that never raises: after its first fault it drops what it is given.

    `fault` is that first fault. A reader that closed its pipe is none: it has seen enough.
    """

    fault: OSError | None = None

    def write(self, text: str) -> int:
        """Write, or drop the text once the stream has failed."""
        try:
            return super().write(text)
        except OSError as error:
            self._drop(error)
        return len(text)

    def flush(self) -> None:
        """Flush, or drop what is left once the stream has failed."""
        try:
            super().flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        if not isinstance(error, BrokenPipeError) and self.fault is None:
            self.fault = error
        # The buffer still holds what could not be written: it must go somewhere.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)


def _protected(stream: io.TextIOWrapper) -> Output:
    is_line_buffered, encoding = stream.line_buffering, stream.encoding
    return Output(
        stream.detach(),
        encoding=encoding,
        errors="backslashreplace",  # a text that a terminal cannot show must not end a run
        line_buffering=is_line_buffered,
    )


def take_over() -> None:
    """Answer INT and TERM from now on, and make the standard streams unable to fail.

    Signals that were blocked until now (bin/etf-rotation does it) are delivered.
    """
    _interruption.count, _interruption.is_held = 0, False
    for number in ENDING_SIGNALS:
        signal.signal(number, _interruption)
    for descriptor in range(3):
        # A closed standard stream would give its number to the next file that is opened.
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        # Python has no stream where the descriptor was closed.
        stream = getattr(sys, name) or os.fdopen(descriptor, "w", encoding="utf-8")
        setattr(sys, name, _protected(stream))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)


def output_fault() -> str:
    """Return why standard output is incomplete, nothing where it is whole."""
    sys.stdout.flush()
    fault = getattr(sys.stdout, "fault", None)
    return f"standard output is incomplete: {fault.strerror}" if fault else ""


def leave(code: int) -> NoReturn:
    """End the process with this exit code, whatever arrives meanwhile."""
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    sys.stdout.flush()
    sys.stderr.flush()
    if received():
        # Python would wait for queries that still run in threads, and may die of its own
        # interrupt a second time.
        os._exit(code)
    sys.exit(code)
