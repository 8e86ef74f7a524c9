"""Store days, published orders and the tracking table in `reconcile/`.

Every file is written beside its target and renamed. Day files and publications contain
their own checksum, so damage is detected.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from etf_rotation.production.lock import RunningError, run_lock
from etf_rotation.reconcile.texts import RefusedError
from etf_rotation.reconcile.tracking import PARTS, Live, Tracked, row_of

FOLDER, DAYS, ORDERS, TRACKING = "reconcile", "days", "orders", "tracking.csv"
FORMAT = 1
SEAL, END = b'{"sha256": "%s", "content": ', b"}\n"
# Seconds to wait for another command in this folder.
PATIENCE = 30.0
# Content and checksum of stored sessions, by date.
Days = dict[dt.date, tuple[dict[str, Any], str]]
_CNY = [f"{name}_cny" for name in ("difference", *PARTS)]
_CUMULATED = [f"{name}_cumulated" for name in ("difference", *PARTS)]
TRACKING_COLUMNS = (
    *(field.name for field in fields(Tracked) if field.name not in ("cny", "day_sha256", "run_id")),
    *_CNY,
    *_CUMULATED,
    "run_id",
    "day_sha256",
)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file atomically: write beside it, sync, rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _sealed(content: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return a JSON document with the checksum of its content, and the checksum."""
    body = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1).encode()
    seal = hashlib.sha256(body).hexdigest()
    return SEAL % seal.encode() + body + END, seal


def read_sealed(path: Path) -> tuple[dict[str, Any], str]:
    """Return the content of a day file or publication, and its checksum.

    Raises
    ------
    RefusedError
        The file cannot be read or does not match its checksum.
    """
    try:
        document = path.read_bytes()
        # The checksum is of the bytes, so that nothing is parsed twice.
        body = document[len(SEAL % (b"0" * 64)) : -len(END)]
        seal = hashlib.sha256(body).hexdigest()
        if document != SEAL % seal.encode() + body + END:
            raise ValueError(path)
        content = json.loads(body)
        if content["format"] != FORMAT:
            raise ValueError(path)
    except (OSError, ValueError, KeyError, TypeError):
        raise RefusedError("damaged", file=f"{path.parent.name}/{path.name}") from None
    return content, seal


class Store:
    """The folder `reconcile/`.

    Parameters
    ----------
    base : Path
        The folder of the output root, which also holds the runs.
    """

    def __init__(self, base: Path):
        self.folder = base / FOLDER

    @contextmanager
    def locked(self, command: str, now: dt.datetime) -> Iterator[None]:
        """Lock the folder while the body runs, after waiting for another command.

        Raises
        ------
        RunningError
            Another command holds the lock for longer than `PATIENCE`.
        """
        for folder in (self.folder / DAYS, self.folder / ORDERS):
            folder.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + PATIENCE
        while True:
            lock = run_lock(self.folder, command, now, lambda line: None)
            try:
                lock.__enter__()
            except RunningError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                break
        try:
            yield
        finally:
            lock.__exit__(None, None, None)

    # -- days --------------------------------------------------------------------------

    def day_path(self, session: dt.date) -> Path:
        """Return the path of a day file."""
        return self.folder / DAYS / f"{session}.json"

    def sessions(self) -> list[dt.date]:
        """Return the stored sessions, oldest first."""
        found = []
        for path in (self.folder / DAYS).glob("[!.]*.json"):
            try:
                found.append(dt.date.fromisoformat(path.stem))
            except ValueError:
                continue
        return sorted(found)

    def read_day(self, session: dt.date) -> dict[str, Any]:
        """Return the content of a day file.

        Raises
        ------
        RefusedError
            The file is damaged.
        """
        return read_sealed(self.day_path(session))[0]

    def read_days(self, sessions: Iterable[dt.date]) -> tuple[Days, list[str]]:
        """Return stored sessions and the names of damaged files."""
        days: Days = {}
        damaged = []
        for session in sessions:
            try:
                days[session] = read_sealed(self.day_path(session))
            except RefusedError as refused:
                damaged.append(str(refused.values["file"]))
        return days, damaged

    def write_day(self, session: dt.date, content: Mapping[str, Any]) -> str:
        """Store a session over an earlier version of it; return the checksum."""
        document, seal = _sealed({"format": FORMAT, **content})
        replace_file(self.day_path(session), document)
        return seal

    # -- published orders --------------------------------------------------------------

    def write_publication(self, content: Mapping[str, Any]) -> Path:
        """Store the orders of a published run and return the path."""
        stamp = content["published_at"].replace(":", "").replace("-", "")[:15]
        path = self.folder / ORDERS / f"{stamp}_{content['run_id']}.json"
        replace_file(path, _sealed({"format": FORMAT, **content})[0])
        return path

    def publications(self) -> list[Path]:
        """Return the paths of all publications, oldest first."""
        return sorted((self.folder / ORDERS).glob("[!.]*.json"))

    # -- tracking ----------------------------------------------------------------------

    @property
    def tracking_path(self) -> Path:
        """The path of the tracking table."""
        return self.folder / TRACKING

    def write_tracking(self, rows: Iterable[Tracked]) -> None:
        """Write the tracking table."""
        file = io.StringIO(newline="")
        writer = csv.DictWriter(file, TRACKING_COLUMNS)
        writer.writeheader()
        for row in cumulated(rows):
            writer.writerow({name: "" if v is None else v for name, v in row.items()})
        replace_file(self.tracking_path, file.getvalue().encode())

    def read_tracking(self) -> list[Tracked]:
        """Return the rows of the tracking table, empty without a file.

        Raises
        ------
        RefusedError
            The file is damaged.
        """
        if not self.tracking_path.is_file():
            return []
        try:
            with self.tracking_path.open(encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file)
                if tuple(reader.fieldnames or ()) != TRACKING_COLUMNS:
                    raise ValueError(TRACKING)
                return [_tracked(row) for row in reader]
        except (OSError, ValueError, ArithmeticError):
            raise RefusedError("damaged", file=TRACKING) from None


def tracked_days(days: Days, kept: Iterable[Tracked]) -> list[Tracked]:
    """Return one tracking row per session, with the model's part if a run computed it.

    Parameters
    ----------
    days : dict of date to (content, checksum)
        As `Store.read_days` returns them.
    kept : iterable of Tracked
        The stored rows. A row is replaced if the checksum of its session has changed.
    """
    rows = {row.trade_date: row for row in kept}
    for session, (content, seal) in days.items():
        if session not in rows or rows[session].day_sha256 != seal:
            rows[session] = row_of(session, Live.from_dict(content["live"]), seal)
    return [rows[session] for session in sorted(rows)]


def cumulated(rows: Iterable[Tracked]) -> Iterator[dict[str, Any]]:
    """Yield rows as dicts of `TRACKING_COLUMNS`, with cumulative sums of the parts.

    A session without the model contributes nothing, and its sums are None.
    """
    sums = dict.fromkeys(("difference", *PARTS), 0.0)
    for row in rows:
        values: dict[str, Any] = {**row.__dict__}
        cny = values.pop("cny")
        for name in sums:
            values[f"{name}_cny"] = cny.get(name)
            sums[name] += values[name] or 0.0
            values[f"{name}_cumulated"] = sums[name] if row.is_filled else None
        yield {name: values[name] for name in TRACKING_COLUMNS}


def _tracked(row: Mapping[str, str]) -> Tracked:
    values: dict[str, Any] = {
        "trade_date": dt.date.fromisoformat(row["trade_date"]),
        "day_sha256": row["day_sha256"],
        "run_id": row["run_id"] or None,
        "cny": {
            name: Decimal(row[f"{name}_cny"])
            for name in ("difference", *PARTS)
            if row[f"{name}_cny"]
        },
    }
    for name in ("opening_value", "flows", "closing_value", "base"):
        values[name] = Decimal(row[name])
    for name in ("live_return", "model_return", "difference", *PARTS):
        values[name] = float(row[name]) if row[name] else None
    return Tracked(**values)
