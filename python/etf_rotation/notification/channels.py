"""Where notifications go: a DingTalk robot and e-mail.

No error and no representation holds a secret: the messages of libraries, which quote addresses,
are never passed on. A further channel is a class with what `Channel` asks for, named in `CHANNELS`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import logging
import smtplib
import ssl
import time
import urllib.parse
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import ClassVar, Protocol

import requests

ANSWER_SECONDS = 15.0
TLS_PORT, STARTTLS_PORT = 465, 587
LATER_STATUS = (408, 429)  # and everything from 500 on: worth another attempt
SERVER_ERROR = 500
SMTP_PERMANENT = 500
# DingTalk's own codes: busy, too many messages a minute; one of its three safeguards refused.
DINGTALK_LATER = (-1, 130101)
DINGTALK_REFUSED = 310000
# What its answer holds then, and what to do; the answer itself is not shown.
DINGTALK_HINTS = {
    "keyword": "no keyword of the robot in the message: give it the keyword ETF",
    "sign": "the signature does not match: correct DINGTALK_SECRET",
    "timestamp": "the time is refused: set this machine's clock",
    "whitelist": "this machine's address is not on the robot's list: add it",
}
DINGTALK_BYTES = 18_000  # a message of more than 20,000 is refused

# At its debug level it logs addresses, and the robot's holds its token.
logging.getLogger("urllib3").setLevel(logging.INFO)


class DeliveryError(Exception):
    """A message was not delivered; `is_final` where another attempt would end the same way."""

    def __init__(self, text: str, *, is_final: bool):
        super().__init__(text)
        self.is_final = is_final


@dataclass(frozen=True)
class Message:
    """A title of one line and a body in Markdown."""

    title: str
    text: str


class Channel(Protocol):
    """A way to reach people."""

    # The variables of the environment that configure it; their values are secrets.
    SETTINGS: ClassVar[tuple[str, ...]]

    @property
    def name(self) -> str:
        """A short name for logs and files."""

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


@dataclass(frozen=True)
class DingTalk:
    """The robot of a DingTalk group; with a secret the signed form is used.

    Source: DingTalk's documentation of custom robots: `timestamp` in milliseconds and `sign`, the
    Base64 of HMAC-SHA256(secret, timestamp + newline + secret), are added to the address.
    """

    webhook: str = field(repr=False)
    secret: str = field(default="", repr=False)
    name = "dingtalk"
    recipients = ("robot",)
    SETTINGS = ("DINGTALK_WEBHOOK", "DINGTALK_SECRET")

    @classmethod
    def configured(cls, settings: Mapping[str, str]) -> tuple[DingTalk | None, list[str]]:
        """Return the robot, if there is one; an address without encryption is named."""
        webhook, secret = (settings[name] for name in cls.SETTINGS)
        if webhook:
            return cls(webhook, secret), unencrypted("DINGTALK_WEBHOOK", webhook)
        if secret:
            return None, ["DINGTALK_SECRET is set without DINGTALK_WEBHOOK: DingTalk is not used."]
        return None, []

    def send(self, message: Message, recipients: Sequence[str]) -> dict[str, DeliveryError]:
        """Send once; see `Channel`."""
        text = f"### {message.title}\n\n{message.text}".encode()
        if len(text) > DINGTALK_BYTES:
            text = text[:DINGTALK_BYTES] + "\n\n…".encode()
        markdown = {"title": message.title, "text": text.decode(errors="ignore")}
        try:
            answer = requests.post(
                self._address(),
                json={"msgtype": "markdown", "markdown": markdown},
                timeout=ANSWER_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            # A malformed address is a ValueError.
            is_final = isinstance(error, ValueError) or is_certificate_fault(error)
            raise DeliveryError(type(error).__name__, is_final=is_final) from None
        status = answer.status_code
        if status != requests.codes.ok:
            is_final = status < SERVER_ERROR and status not in LATER_STATUS
            raise DeliveryError(f"HTTP status {status}", is_final=is_final)
        try:
            content = answer.json()
            code = int(content["errcode"])
        except (ValueError, KeyError, TypeError):
            raise DeliveryError("no answer of a DingTalk robot", is_final=False) from None
        if code:
            why = str(content.get("errmsg")).lower() if code == DINGTALK_REFUSED else ""
            hint = "".join(f": {hint}" for word, hint in DINGTALK_HINTS.items() if word in why)
            raise DeliveryError(f"errcode {code}{hint}", is_final=code not in DINGTALK_LATER)
        return {}

    def _address(self) -> str:
        if not self.secret:
            return self.webhook
        timestamp = str(round(time.time() * 1000))
        text = f"{timestamp}\n{self.secret}".encode()
        digest = hmac.new(self.secret.encode(), text, hashlib.sha256).digest()
        query = {"timestamp": timestamp, "sign": base64.b64encode(digest).decode()}
        return f"{self.webhook}{'&' if '?' in self.webhook else '?'}{urllib.parse.urlencode(query)}"


@dataclass(frozen=True)
class Email:
    """A mailbox at an SMTP server: TLS on port 465, STARTTLS on any other, never plain."""

    server: str
    port: int
    sender: str
    password: str = field(repr=False)
    recipients: tuple[str, ...]
    name = "email"
    SETTINGS = ("SMTP_SERVER", "SMTP_PORT", "EMAIL_SENDER", "EMAIL_PASSWORD", "EMAIL_RECIPIENTS")

    @classmethod
    def configured(cls, settings: Mapping[str, str]) -> tuple[Email | None, list[str]]:
        """Return the mailbox, if there is one; half a configuration is named."""
        wanted = ("SMTP_SERVER", "EMAIL_SENDER", "EMAIL_RECIPIENTS")
        missing = [name for name in wanted if not settings[name]]
        if missing:
            is_meant = len(missing) < len(wanted)
            return None, [f"{', '.join(missing)} is not set: e-mail is not used."] * is_meant
        port = settings["SMTP_PORT"] or str(STARTTLS_PORT)
        if not port.isdecimal():
            return None, ["SMTP_PORT is not a number: e-mail is not used."]
        people = map(str.strip, settings["EMAIL_RECIPIENTS"].replace(";", ",").split(","))
        email = cls(
            settings["SMTP_SERVER"],
            int(port),
            settings["EMAIL_SENDER"],
            settings["EMAIL_PASSWORD"],
            tuple(dict.fromkeys(filter(None, people))),
        )
        return email, []

    def send(self, message: Message, recipients: Sequence[str]) -> dict[str, DeliveryError]:
        """Send once; see `Channel`."""
        mail = EmailMessage()
        mail["Subject"] = message.title
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.recipients)
        mail["Date"] = formatdate(localtime=True)
        mail["Message-ID"] = make_msgid(domain=self.sender.rpartition("@")[2] or None)
        # What is bold in DingTalk is plain in a mail.
        mail.set_content(message.text.replace("**", ""))
        try:
            refused = self._send(mail, recipients)
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
        except smtplib.SMTPResponseException as error:
            text = f"{type(error).__name__} {error.smtp_code}"
            raise DeliveryError(text, is_final=error.smtp_code >= SMTP_PERMANENT) from None
        except smtplib.SMTPNotSupportedError as error:
            raise DeliveryError(type(error).__name__, is_final=True) from None
        except (smtplib.SMTPException, OSError) as error:
            is_final = is_certificate_fault(error)
            raise DeliveryError(type(error).__name__, is_final=is_final) from None
        return {
            address: DeliveryError(f"refused with {code}", is_final=code >= SMTP_PERMANENT)
            for address, (code, _) in refused.items()
        }

    def _send(self, mail: EmailMessage, recipients: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        smtp = self._connect()
        try:
            if self.password:
                smtp.login(self.sender, self.password)
            refused = smtp.send_message(mail, to_addrs=list(recipients))
            # The server has the mail: a farewell that fails must not have it sent again.
            with suppress(smtplib.SMTPException, OSError):
                smtp.quit()
        finally:
            smtp.close()
        return refused

    def _connect(self) -> smtplib.SMTP:
        # Checks certificate and name; SSL_CERT_FILE names an authority of one's own.
        context = ssl.create_default_context()
        if self.port == TLS_PORT:
            return smtplib.SMTP_SSL(self.server, self.port, timeout=ANSWER_SECONDS, context=context)
        smtp = smtplib.SMTP(self.server, self.port, timeout=ANSWER_SECONDS)
        try:
            smtp.starttls(context=context)
        except BaseException:
            smtp.close()
            raise
        return smtp


CHANNELS: tuple[type[Channel], ...] = (DingTalk, Email)
NAMES = tuple(name for channel in CHANNELS for name in channel.SETTINGS)


def is_certificate_fault(error: BaseException) -> bool:
    """Return whether an error, or one that it stems from, refuses a server's certificate."""
    seen, left = set(), [error]
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


def take_settings(environment: MutableMapping[str, str]) -> dict[str, str]:
    """Remove the settings from the environment and return them: what runs later never has them."""
    return {name: environment.pop(name, "").strip() for name in NAMES}


def configured(settings: Mapping[str, str]) -> tuple[list[Channel], list[str]]:
    """Return the channels of `take_settings`, and a line for each fault of their settings."""
    found: list[Channel] = []
    lines: list[str] = []
    for kind in CHANNELS:
        channel, faults = kind.configured(settings)
        found += [channel] if channel is not None else []
        lines += faults
    if not found:
        lines.append("No notification is configured (DINGTALK_WEBHOOK or SMTP_SERVER, …).")
    return found, lines
