"""A lock on the folder of the snapshots: one run at a time."""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from etf_rotation.errors import InputError

LOCK_FILE = ".lock"
# In the folder `.fetch` of a raw root. Writers of raw files lock it exclusively, runs
# share it.
RAW_LOCK = "lock"


class RunningError(InputError):
    """Another run holds the lock; `holder` names it."""

    def __init__(self, text: str, holder: str):
        super().__init__(text)
        self.holder = holder


@contextmanager
def run_lock(
    base: Path,
    command: str,
    started_at: dt.datetime,
    say: Callable[[str], None],
    *,
    name: str = LOCK_FILE,
) -> Iterator[None]:
    """Hold the lock of `base` while the body runs.

    The lock is the kernel's lock on the file. It is released when its process ends,
    even after a crash. The text in the file only names the holder.

    Parameters
    ----------
    base : Path
        The folder of the output root; the lock is its file `.lock`.
    command : str
        Name of the command, for the message of a second run.
    started_at : datetime
        Start time, for the same message.
    say : callable
        Receives a line if the last holder died without releasing the lock, or if the
        lock's file cannot be written.
    name : str
        Name of the lock's file.

    Raises
    ------
    RunningError
        Another run holds the lock; the message names its process, command and start.
    """
    descriptor = os.open(base / name, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _who(_read(descriptor))
            raise RunningError(
                f"another run works in {base}: {holder}; wait for it to end", holder
            ) from None
        before = _read(descriptor)
        if before:
            say(f"The lock was left by {_who(before)}, which ended early: taken over.")
        own = {"pid": os.getpid(), "command": command, "started_at": f"{started_at:%F %T%z}"}
        _write(descriptor, json.dumps(own), say)
        try:
            yield
        finally:
            # Not unlinked: two runs could then hold locks on two files of the same
            # name.
            _write(descriptor, "", say)
    finally:
        os.close(descriptor)


@contextmanager
def raw_read_lock(raw_root: Path) -> Iterator[None]:
    """Prevent writes to raw files while the body runs; several runs may read at once.

    A folder that was never fetched into has no lock and needs none.

    Raises
    ------
    RunningError
        Another process writes raw files; the message names it.
    """
    try:
        descriptor = os.open(raw_root / ".fetch" / RAW_LOCK, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _who(_read(descriptor))
            raise RunningError(
                f"raw files in {raw_root} are being written by {holder}; wait for it to end",
                holder,
            ) from None
        yield
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> str:
    return os.pread(descriptor, 4096, 0).decode(errors="replace")


def _write(descriptor: int, text: str, say: Callable[[str], None]) -> None:
    """Write the lock's holder; a full disk must stop neither `restore` nor a run."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)
    except OSError as error:
        say(f"The lock is held, but its file cannot say by whom: {error.strerror}.")


def _who(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} ({holder['command']}, started {holder['started_at']})"
    except (ValueError, KeyError, TypeError):
        return "a process that left no name"
