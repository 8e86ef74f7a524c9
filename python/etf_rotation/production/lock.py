"""One run at a time: a lock on the folder of the snapshots."""

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
# In the folder `.fetch` of a raw root. Writers of raw files hold it alone, runs share it.
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

    The kernel's lock on the file decides, and goes with the process that held it, however that
    ended; the file's text only says who it is.

    Parameters
    ----------
    base : Path
        The folder of the output root; the lock is its file `.lock`.
    command : str
        Name of the command, for the message of a second run.
    started_at : datetime
        Start time, for the same message.
    say : callable
        Gets a line when the lock's last holder died without letting go, or when the lock's file
        cannot be written.
    name : str
        Of the lock's file.

    Raises
    ------
    RunningError
        Names the process that holds the lock, its command and its start.
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
            # The file stays: unlinking it would let two runs hold locks on two files of one name.
            _write(descriptor, "", say)
    finally:
        os.close(descriptor)


@contextmanager
def raw_read_lock(raw_root: Path) -> Iterator[None]:
    """Keep raw files from being written while the body runs; several runs may read at once.

    A folder into which nothing was ever fetched has no lock, and needs none.

    Raises
    ------
    RunningError
        Names the process that writes raw files.
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
    """Write the holder of the lock. A full disk must neither stop a `restore` nor fail a run."""
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
