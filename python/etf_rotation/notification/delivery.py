"""Deliver messages with retries and a time limit; store failed ones for the next run.

A failing channel never fails the run: every fault is returned as a line without
secrets. Delivery is recorded per recipient. A retry for one recipient sends nothing to
the others.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from etf_rotation.notification.channel import Channel, DeliveryError
from etf_rotation.notification.message import Message, Part

SPOOL = "undelivered"
KEPT_DAYS = 30
# Stored messages sent per run. A DingTalk robot rejects messages for a while after 20
# in one minute, and the new message comes last.
MOST_OLDER = 15
WAITS = (1.0, 3.0, 9.0)  # seconds before the second, third and fourth attempt of the new message
TIME_LIMIT = 60.0  # seconds for all messages of one run
OLDER_SHARE = 0.5  # of the time limit; the rest is for the new message
MOST_FAILURES = 2  # after so many failed older messages in a row the channel is down
POLL = 0.1  # seconds between checks of whether to keep waiting


@dataclass
class _Item:
    """A message of one channel, and the recipients who have not received it."""

    message: Message
    path: Path | None  # its file until everybody has received it
    left: list[str]
    refusals: int = 0  # runs in which all remaining recipients were finally rejected
    is_new: bool = False


@dataclass(frozen=True)
class Told:
    """The result: lines for the log, and whether everybody received everything."""

    lines: list[str]
    is_whole: bool


@dataclass
class _Queue:
    """One channel's messages, sent in sequence by one thread."""

    channel: Channel
    items: list[_Item]
    lines: list[str] = field(default_factory=list)
    fault: str = ""

    def work(self, start: float, time_limit: float, waits: tuple[float, ...]) -> None:
        failures = 0
        for item in self.items:
            # Older messages get one attempt each, and another in the next run: they
            # must not take the time of the new one.
            is_late = _since(start) >= OLDER_SHARE * time_limit
            if not item.is_new and (is_late or failures >= MOST_FAILURES):
                continue
            was_refused = item.refusals > 0
            is_working = self._deliver(item, start + time_limit, waits if item.is_new else ())
            failures = 0 if is_working else failures + 1
            if was_refused and item.left:
                failures = MOST_FAILURES  # still rejected: skip the other older ones

    def _deliver(self, item: _Item, deadline: float, waits: tuple[float, ...]) -> bool:
        """Send until all have it or time is up; return whether the channel works."""
        waiting, is_working = list(item.left), True
        for wait in (0.0, *waits):
            if time.monotonic() + wait >= deadline:
                self.fault = self.fault or "no time left"
                break
            time.sleep(wait)
            refused, is_working = self._attempt(item.message, waiting)
            got = [name for name in waiting if name not in refused]
            item.left = [name for name in item.left if name not in got]
            waiting = [name for name in waiting if name in refused and not refused[name].is_final]
            if got:
                self._remember(item)
            if not waiting:
                break
        if item.left and not waiting:
            item.refusals += 1
            self._remember(item)
        return is_working

    def _attempt(
        self, message: Message, recipients: list[str]
    ) -> tuple[dict[str, DeliveryError], bool]:
        """Return failed recipients with errors, and whether the channel works."""
        try:
            refused = self.channel.send(message, recipients)
        except DeliveryError as error:
            self.fault = str(error)
            return dict.fromkeys(recipients, error), error.is_final
        except Exception as error:  # never quoted: its text may hold a secret
            self.fault = type(error).__name__
            return dict.fromkeys(recipients, DeliveryError(self.fault, is_final=True)), True
        if refused:
            self.fault = ", ".join(f"{name}: {error}" for name, error in refused.items())
        return refused, True

    def _remember(self, item: _Item) -> None:
        if item.path is None:
            return
        try:
            if item.left:
                _write(item.path, self.channel.name, item)
            else:
                item.path.unlink(missing_ok=True)
        except OSError as error:
            self.lines.append(
                f"{item.path} cannot be changed ({error.strerror}): somebody may get it twice."
            )

    def report(self, why: str) -> str:
        """Return a line on the result; `why` is the reason if no error explains it."""
        parts = []
        left = [item for item in self.items if item.left]
        everybody = set(self.channel.recipients)
        for item in self.items:
            if item.is_new and set(item.left) < everybody:
                reached = len(everybody) - len(item.left)
                parts.append(f"sent to {reached} of {len(everybody)}" if item.left else "sent")
        if older := sum(not item.is_new and not item.left for item in self.items):
            parts.append(f"{older} kept from earlier runs sent")
        if left:
            is_kept = all(item.path is not None for item in left)
            then = "kept for the next run" if is_kept else "not kept"
            parts.append(f"{len(left)} not delivered ({self.fault or why}), {then}")
        return f"Notification by {self.channel.name}: {'; '.join(parts)}."


def _since(start: float) -> float:
    return time.monotonic() - start


def tell(
    message: Message | None,
    channels: list[Channel],
    spool: Path | None,
    *,
    with_older: bool = True,
    time_limit: float = TIME_LIMIT,
    waits: tuple[float, ...] = WAITS,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Told:
    """Send the undelivered messages of earlier runs, then `message`.

    Parameters
    ----------
    message : Message or None
        None sends only stored messages.
    channels : list of Channel
        Channels, served in parallel; a hanging one does not delay the others.
    spool : Path or None
        Folder of stored messages, one JSON file per message and channel. A new message
        is written there before it is sent: it survives the end of the process. None
        stores nothing.
    with_older : bool
        Whether to send stored messages too; only a run that holds the lock may.
    time_limit : float
        Seconds for everything. A channel that is still working then is abandoned.
    waits : tuple of float
        Seconds before each further attempt to send the new message.
    is_stopped : callable
        Checked while waiting; true ends the wait at once.

    Returns
    -------
    Told
        One line per channel, and one per stored message that is unreadable or given up.
    """
    start = time.monotonic()
    lines: list[str] = []
    queues = []
    if spool and with_older:
        _remove_temporary(spool, lines)
    for channel in channels:
        items = _kept(spool, channel, lines) if spool and with_older else []
        if message is not None:
            item = _Item(message, None, list(channel.recipients), is_new=True)
            item.path = _keep(spool, channel.name, item, lines) if spool else None
            items.append(item)
        if items:
            queues.append(_Queue(channel, items))
    threads = [
        threading.Thread(target=queue.work, args=(start, time_limit, waits), daemon=True)
        for queue in queues
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if is_stopped() or _since(start) >= time_limit:
            break
        next(thread for thread in threads if thread.is_alive()).join(POLL)
    why = "interrupted" if is_stopped() else "no answer within the time limit"
    for queue in queues:
        lines += [*queue.lines, queue.report(why)]
    return Told(lines, not any(item.left for queue in queues for item in queue.items))


def _keep(spool: Path, channel: str, item: _Item, lines: list[str]) -> Path | None:
    now = dt.datetime.now(dt.UTC)
    path = spool / f"{now:%Y%m%dT%H%M%S%f}-{os.getpid()}-{channel}.json"
    try:
        spool.mkdir(parents=True, exist_ok=True)
        _write(path, channel, item)
    except OSError as error:
        lines.append(f"A message for {channel} cannot be kept in {spool}: {error.strerror}.")
        return None
    return path


def _write(path: Path, channel: str, item: _Item) -> None:
    """Write a stored message atomically; only its owner may read names and orders."""
    content = {
        "channel": channel,
        "title": item.message.title,
        "text": item.message.text,
        "parts": [[part.text, part.rank] for part in item.message.parts],
        "recipients": item.left,
        "refusals": item.refusals,
    }
    temporary = path.with_name(f".{path.name}")
    for is_last in (False, True):
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                json.dump(content, file, ensure_ascii=False)
            os.replace(temporary, path)
            return
        except FileNotFoundError:
            # Left alone: only a run that holds the lock may remove temporary files.
            if is_last:
                raise
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def _remove_temporary(spool: Path, lines: list[str]) -> None:
    """Remove temporary files of processes that were killed while writing."""
    for path in spool.glob(".*.json"):
        try:
            path.unlink()
        except OSError as error:
            lines.append(f"{path} cannot be removed: {error.strerror}.")


def _kept(spool: Path, channel: Channel, lines: list[str]) -> list[_Item]:
    """Return the stored messages to send now.

    Messages that were never rejected come first, oldest first. Rejected ones take turns
    in the remaining places of MOST_OLDER, so that they do not block others.
    """
    oldest = f"{dt.datetime.now(dt.UTC) - dt.timedelta(days=KEPT_DAYS):%Y%m%dT%H%M%S}"
    items = []
    for path in sorted(spool.glob(f"[0-9]*-{channel.name}.json")):
        try:
            item = _read(path, channel) if path.name >= oldest else None
            if item is not None and item.left:
                items.append(item)
                continue
            is_old = item is None
            why = f"Undelivered for {KEPT_DAYS} days" if is_old else "No recipient is configured"
            lines.append(f"{why}, given up: {path.name}.")
            path.unlink(missing_ok=True)
        except (OSError, ValueError, KeyError, TypeError):
            lines.append(f"{path} cannot be read; remove it.")
    return sorted(items, key=lambda item: (item.refusals, item.path.name if item.path else ""))[
        :MOST_OLDER
    ]


def _read(path: Path, channel: Channel) -> _Item:
    content = json.loads(path.read_text(encoding="utf-8"))
    left = content.get("recipients", channel.recipients)
    parts = tuple(Part(text, int(rank)) for text, rank in content.get("parts", ()))
    return _Item(
        Message(content["title"], content["text"], parts),
        path,
        [name for name in channel.recipients if name in left],
        int(content.get("refusals", 0)),
    )
