"""Tell people, with retries and a time limit; what is not delivered is kept for the next run.

A channel that fails never fails the run: every fault comes back as a line without a secret.
Delivery is remembered per recipient, so that nobody gets a message twice because of another.
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
# Kept messages that one run sends: a DingTalk robot that gets more than 20 in a minute takes none
# for a while, and the new message comes last.
MOST_OLDER = 15
WAITS = (1.0, 3.0, 9.0)  # seconds before the second, third and fourth attempt of the new message
TIME_LIMIT = 60.0  # seconds for everything that one run has to say
OLDER_SHARE = 0.5  # of the time limit; the rest is for the new message
MOST_FAILURES = 2  # older messages in a row that nobody got: then the channel is down
POLL = 0.1  # seconds between two looks at whether to go on waiting


@dataclass
class _Item:
    """A message of one channel, and the recipients who lack it."""

    message: Message
    path: Path | None  # where it is kept until everybody has it
    left: list[str]
    refusals: int = 0  # runs in which all who lack it were refused for good
    is_new: bool = False


@dataclass(frozen=True)
class Told:
    """What came of it: lines for the log, and whether everybody got everything."""

    lines: list[str]
    is_whole: bool


@dataclass
class _Queue:
    """One channel's messages, sent one after the other by a thread of its own."""

    channel: Channel
    items: list[_Item]
    lines: list[str] = field(default_factory=list)
    fault: str = ""

    def work(self, start: float, time_limit: float, waits: tuple[float, ...]) -> None:
        failures = 0
        for item in self.items:
            # Older messages have one attempt each, and the next run. None of them may cost the
            # new one its time.
            is_late = _since(start) >= OLDER_SHARE * time_limit
            if not item.is_new and (is_late or failures >= MOST_FAILURES):
                continue
            was_refused = item.refusals > 0
            is_working = self._deliver(item, start + time_limit, waits if item.is_new else ())
            failures = 0 if is_working else failures + 1
            if was_refused and item.left:
                failures = MOST_FAILURES  # what was refused before still is: the rest can wait

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
        """Return who did not get it and why, and whether the channel works for others."""
        try:
            refused = self.channel.send(message, recipients)
        except DeliveryError as error:
            self.fault = str(error)
            return dict.fromkeys(recipients, error), error.is_final
        except Exception as error:  # its text may quote an address or a password
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
        """Return a line; `why` explains what no fault does: that the time was up."""
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
    """Send what earlier runs could not deliver, then `message`.

    Parameters
    ----------
    message : Message or None
        None sends the kept ones only.
    channels : list of Channel
        They are served side by side; one that hangs holds up no other.
    spool : Path or None
        Folder of the kept messages, one JSON file for each and channel. A new one is written
        there before it is sent, so that no end of the process loses it. None keeps nothing.
    with_older : bool
        Whether to send kept ones: only a run that holds the lock may.
    time_limit : float
        Seconds for all of it. A channel still at work then is left alone.
    waits : tuple of float
        Seconds before each further attempt at the new message.
    is_stopped : callable
        Looked at while waiting; true ends the wait at once.

    Returns
    -------
    Told
        A line for each channel, and one for each kept message that is unreadable or given up.
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
    """Write a kept message whole or not at all, for its owner alone: it names people and orders."""
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
            # A run that holds the lock, which this one may not, removes temporary files.
            if is_last:
                raise
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def _remove_temporary(spool: Path, lines: list[str]) -> None:
    """Remove what a process left that was killed while it wrote."""
    for path in spool.glob(".*.json"):
        try:
            path.unlink()
        except OSError as error:
            lines.append(f"{path} cannot be removed: {error.strerror}.")


def _kept(spool: Path, channel: Channel, lines: list[str]) -> list[_Item]:
    """Return the kept messages to send now.

    Those that were never refused come first, the oldest of them first. Those that were refused
    take turns with what is left of MOST_OLDER, so that they keep no other from being sent.
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
