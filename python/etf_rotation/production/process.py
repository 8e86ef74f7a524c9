"""Signals, standard streams and the exit of a process that runs a command.

Only a command's own process calls `take_over`. Used as a library, this module changes
nothing.
"""

from __future__ import annotations

import atexit
import io
import math
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import NoReturn

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)
PAUSE = 1.0  # seconds between two interruptions
IMPORTING = 0.05  # seconds until a signal that met an import is looked at again
LAST_SECONDS = 5.0  # for Python's own shutdown after an interruption


class _Interruption:
    """Turns signals into KeyboardInterrupt, until they are held."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.count = 0
        self.is_held = False
        self.raised_at = -math.inf

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += number in ENDING_SIGNALS
        if _is_importing(frame):
            # An exception inside the import of a C++ extension aborts the process.
            signal.setitimer(signal.ITIMER_REAL, IMPORTING)
            return
        now = time.monotonic()
        # A signal within PAUSE must not interrupt the handling of this one. A later one
        # raises again: a library may have swallowed the first, and the user still wants
        # to stop.
        if not self.is_held and now - self.raised_at > PAUSE:
            self.raised_at = now
            raise KeyboardInterrupt


_interruption = _Interruption()


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def hold() -> None:
    """Ignore further signals: the decision and the messages of a run must complete."""
    _interruption.is_held = True


def received() -> int:
    """Return how many of the signals INT and TERM the process has received.

    A library may swallow the interruption or turn it into its own error: DuckDB raises
    a RuntimeError instead.
    """
    return _interruption.count


class Output(io.TextIOWrapper):
    """A standard stream that never raises; after its first error it drops all output.

    `fault` is the first error. A reader that closes its pipe early is no error.
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
        """Flush, or drop the rest once the stream has failed."""
        try:
            super().flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        if not isinstance(error, BrokenPipeError) and self.fault is None:
            self.fault = error
        # To the null device: flushing the buffered text would raise again.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)


def _protected(stream: io.TextIOWrapper) -> Output:
    is_line_buffered, encoding = stream.line_buffering, stream.encoding
    return Output(
        stream.detach(),
        encoding=encoding,
        errors="backslashreplace",  # an unprintable character must not stop a run
        line_buffering=is_line_buffered,
    )


def take_over() -> None:
    """Handle INT and TERM from now on, and make the standard streams unable to fail.

    Signals that were blocked until now (bin/etf-rotation does it) are delivered.
    """
    _interruption.reset()
    for number in (*ENDING_SIGNALS, signal.SIGALRM):
        signal.signal(number, _interruption)
    for descriptor in range(3):
        # Reopened: the next opened file would get the number of a closed stream.
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        # Python's stream is None if the descriptor was closed at the start.
        stream = getattr(sys, name) or os.fdopen(descriptor, "w", encoding="utf-8")
        setattr(sys, name, _protected(stream))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)


def output_fault() -> str:
    """Return why standard output is incomplete; empty if it is complete."""
    sys.stdout.flush()
    fault = getattr(sys.stdout, "fault", None)
    return f"standard output is incomplete: {fault.strerror}" if fault else ""


def leave(code: int) -> NoReturn:
    """End the process with this exit code, even if signals arrive."""
    for number in (*ENDING_SIGNALS, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    sys.stdout.flush()
    sys.stderr.flush()
    if received():
        # Python's own exit may fail with the interruption again (exit code 130), or
        # wait for a query that still runs in a thread.
        timer = threading.Timer(LAST_SECONDS, os._exit, [code])
        timer.daemon = True
        timer.start()
        atexit._run_exitfuncs()
        os._exit(code)
    sys.exit(code)
