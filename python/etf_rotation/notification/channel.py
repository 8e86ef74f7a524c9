"""The interface of all channels, and their errors.

No error and no representation contains a secret. Messages of libraries quote addresses,
so they are never passed on.
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
    """A message was not delivered; `is_final` if another attempt would also fail."""

    def __init__(self, text: str, *, is_final: bool):
        super().__init__(text)
        self.is_final = is_final


class Channel(Protocol):
    """A channel that delivers messages to people."""

    # Environment variables that configure the channel; their values are secrets.
    SETTINGS: ClassVar[tuple[str, ...]]
    # Short name, for logs and files.
    name: ClassVar[str]

    @property
    def recipients(self) -> tuple[str, ...]:
        """Names of the recipients, safe to show and store; a robot's group is one."""

    def send(self, message: Message, recipients: Sequence[str]) -> dict[str, DeliveryError]:
        """Send once to these recipients; return the rejected ones with their errors.

        Raises
        ------
        DeliveryError
            Nobody was reached, for a reason unrelated to a single recipient.
        """

    @classmethod
    def configured(cls, settings: Mapping[str, str]) -> tuple[Channel | None, list[str]]:
        """Return the channel, if configured, and a line per fault of its settings."""


def is_certificate_fault(error: BaseException) -> bool:
    """Return whether an error or any of its causes rejects a server's certificate."""
    seen: set[int] = set()
    left: list[object] = [error]
    while left:
        one = left.pop()
        if isinstance(one, ssl.SSLCertVerificationError):
            return True
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            # Libraries store the cause in different attributes.
            left += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return False


def unencrypted(name: str, address: str) -> list[str]:
    """Return a line on an address that sends token and message unencrypted."""
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError:
        return []  # a malformed address: sending reports it
    if parts.scheme != "http" or _is_loopback(parts.hostname or ""):
        return []
    return [f"{name} begins with http://, so anyone on the way can read it: use https://."]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
