"""Tell people, with retries and a time limit; what is not delivered is kept for the next run.

A channel that fails never fails the run: every fault comes back as a line without a secret.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from etf_rotation.channels import Channel, DeliveryError, Message

SPOOL = "undelivered"
KEPT_DAYS = 30
# Kept messages that one run sends, the oldest first: a DingTalk robot that gets more than 20 in a
# minute takes none for a while, and the new message comes last.
MOST_OLDER = 15
WAITS = (1.0, 3.0, 9.0)  # seconds before the second, third and fourth attempt
TIME_LIMIT = 60.0  # seconds for everything that one run has to say


@dataclass
class _Item:
    message: Message
    path: Path | None  # where it is kept until it is delivered
    is_new: bool


@dataclass
class _Queue:
    """One channel's messages, sent one after the other by a thread of its own."""

    channel: Channel
    items: list[_Item]
    delivered: list[_Item] = field(default_factory=list)
    fault: str = "no answer within the time limit"
    is_done: bool = False

    def work(self, deadline: float, waits: tuple[float, ...]) -> None:
        for item in self.items:
            error = _deliver(self.channel, item.message, deadline, waits)
            if error is None:
                if item.path is not None:
                    item.path.unlink(missing_ok=True)
                self.delivered.append(item)
                continue
            self.fault = str(error)
            if not error.is_final:
                break
        self.is_done = True

    def report(self) -> str:
        delivered = list(self.delivered)
        older = sum(not item.is_new for item in delivered)
        left = len(self.items) - len(delivered)
        parts = []
        if len(delivered) > older:
            parts.append("sent")
        if older:
            parts.append(f"{older} kept from earlier runs sent")
        if left:
            kept = sum(item.path is not None for item in self.items if item not in delivered)
            then = "kept for the next run" if kept == left else "not kept"
            parts.append(f"{left} not delivered ({self.fault}), {then}")
        return f"Notification by {self.channel.name}: {'; '.join(parts)}."


def tell(
    message: Message | None,
    channels: list[Channel],
    spool: Path | None,
    *,
    with_older: bool = True,
    time_limit: float = TIME_LIMIT,
    waits: tuple[float, ...] = WAITS,
) -> list[str]:
    """Send what earlier runs could not deliver, then `message`.

    Parameters
    ----------
    message : Message or None
        None sends the kept ones only.
    channels : list of DingTalk or Email
        They are served side by side; one that hangs holds up no other.
    spool : Path or None
        Folder of the kept messages, one JSON file for each and channel. A new one is written
        there before it is sent, so that no end of the process loses it. None keeps nothing.
    with_older : bool
        Whether to send kept ones: only a run that holds the lock may.
    time_limit : float
        Seconds for all of it. A channel still at work then is left alone.
    waits : tuple of float
        Seconds before each further attempt.

    Returns
    -------
    list of str
        A line a channel, and one for each kept message that is unreadable or too old.
    """
    deadline = time.monotonic() + time_limit
    lines: list[str] = []
    queues = []
    for channel in channels:
        older = _kept(spool, channel.name, lines) if spool and with_older else []
        items = older[:MOST_OLDER]
        if message is not None:
            path = _keep(spool, channel.name, message, lines) if spool else None
            items.append(_Item(message, path, True))
        if items:
            queues.append(_Queue(channel, items))
    threads = [
        threading.Thread(target=queue.work, args=(deadline, waits), daemon=True) for queue in queues
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
    return lines + [queue.report() for queue in queues]


def _deliver(
    channel: Channel, message: Message, deadline: float, waits: tuple[float, ...]
) -> DeliveryError | None:
    error = DeliveryError("no time left", is_final=False)
    for wait in (0.0, *waits):
        if time.monotonic() + wait >= deadline:
            break
        time.sleep(wait)
        try:
            channel.send(message)
        except DeliveryError as failed:
            error = failed
            if error.is_final:
                break
        except Exception as failed:  # its text may quote an address or a password
            error = DeliveryError(type(failed).__name__, is_final=True)
            break
        else:
            return None
    return error


def _keep(spool: Path, channel: str, message: Message, lines: list[str]) -> Path | None:
    now = dt.datetime.now(dt.UTC)
    path = spool / f"{now:%Y%m%dT%H%M%S%f}-{os.getpid()}-{channel}.json"
    content = {"channel": channel, "title": message.title, "text": message.text}
    temporary = path.with_name(f".{path.name}")
    try:
        spool.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        lines.append(f"A message for {channel} cannot be kept in {spool}: {error.strerror}.")
        return None
    return path


def _kept(spool: Path, channel: str, lines: list[str]) -> list[_Item]:
    oldest = dt.datetime.now(dt.UTC) - dt.timedelta(days=KEPT_DAYS)
    items = []
    for path in sorted(spool.glob(f"*-{channel}.json")):
        if path.name.startswith("."):
            continue
        if path.name < f"{oldest:%Y%m%dT%H%M%S}":
            lines.append(f"Undelivered for {KEPT_DAYS} days, given up: {path.name}.")
            path.unlink(missing_ok=True)
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            items.append(_Item(Message(content["title"], content["text"]), path, False))
        except (OSError, ValueError, KeyError, TypeError):
            lines.append(f"{path} cannot be read; remove it.")
    return items
