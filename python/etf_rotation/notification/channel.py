"""What every channel is, and what it says when it fails.

No error and no representation holds a secret: the messages of libraries quote addresses and are
never passed on.
"""

from __future__ import annotations

import ipaddress
import ssl
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

from etf_rotation.notification.message import Message

ANSWER_SECONDS = 15.0


class DeliveryError(Exception):
    """A message was not delivered; `is_final` where another attempt would end the same way."""

    def __init__(self, text: str, *, is_final: bool):
        super().__init__(text)
        self.is_final = is_final


class Channel(Protocol):
    """A way to reach people."""

    # The variables of the environment that configure it; their values are secrets.
    SETTINGS: ClassVar[tuple[str, ...]]
    # A short name for logs and files.
    name: ClassVar[str]

    @property
    def recipients(self) -> tuple[str, ...]:
        """Who is reached, by names that may be shown and kept; the group of a robot is one."""

    def send(self, message: Message, recipients: Sequence[str]) -> dict[str, DeliveryError]:
        """Send once, to these recipients; return those that were refused, each with why.

        Raises
        ------
        DeliveryError
            If nobody was reached, for a reason that is not a recipient's own.
        """

    @classmethod
    def configured(cls, settings: Mapping[str, str]) -> tuple[Channel | None, list[str]]:
        """Return the channel, if it is configured, and a line for each fault of its settings."""


def is_certificate_fault(error: BaseException) -> bool:
    """Return whether an error, or one that it stems from, refuses a server's certificate."""
    seen: set[int] = set()
    left: list[object] = [error]
    while left:
        one = left.pop()
        if isinstance(one, ssl.SSLCertVerificationError):
            return True
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            # Libraries keep the cause in different places.
            left += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return False


def unencrypted(name: str, address: str) -> list[str]:
    """Return a line on an address that sends its token and the message in the clear."""
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError:
        return []  # nothing can be sent there
    if parts.scheme != "http" or _is_loopback(parts.hostname or ""):
        return []
    return [f"{name} begins with http://, so anyone on the way can read it: use https://."]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
