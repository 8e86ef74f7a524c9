"""Where notifications go: a DingTalk robot and e-mail.

No error and no representation holds a secret: the messages of libraries, which quote addresses,
are never passed on.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import smtplib
import ssl
import time
import urllib.parse
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

import requests

NAMES = (
    "DINGTALK_WEBHOOK",
    "DINGTALK_SECRET",
    "SMTP_SERVER",
    "SMTP_PORT",
    "EMAIL_SENDER",
    "EMAIL_PASSWORD",
    "EMAIL_RECIPIENTS",
)
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


@dataclass(frozen=True)
class DingTalk:
    """The robot of a DingTalk group; with a secret the signed form is used.

    Source: DingTalk's documentation of custom robots: `timestamp` in milliseconds and `sign`, the
    Base64 of HMAC-SHA256(secret, timestamp + newline + secret), are added to the address.
    """

    webhook: str = field(repr=False)
    secret: str = field(default="", repr=False)
    name = "dingtalk"

    def send(self, message: Message) -> None:
        """Send once; raises `DeliveryError`."""
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
            # Of these only an address that is none is a ValueError.
            is_final = isinstance(error, ValueError)
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

    def send(self, message: Message) -> None:
        """Send once; raises `DeliveryError`."""
        mail = EmailMessage()
        mail["Subject"] = message.title
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.recipients)
        mail["Date"] = formatdate(localtime=True)
        mail["Message-ID"] = make_msgid(domain=self.sender.rpartition("@")[2] or None)
        # What is bold in DingTalk is plain in a mail.
        mail.set_content(message.text.replace("**", ""))
        try:
            with self._connect() as smtp:
                if self.password:
                    smtp.login(self.sender, self.password)
                refused = smtp.send_message(mail)
        except smtplib.SMTPResponseException as error:
            text = f"{type(error).__name__} {error.smtp_code}"
            raise DeliveryError(text, is_final=error.smtp_code >= SMTP_PERMANENT) from None
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPNotSupportedError) as error:
            raise DeliveryError(type(error).__name__, is_final=True) from None
        except (smtplib.SMTPException, OSError) as error:
            is_final = isinstance(error, ssl.SSLCertVerificationError)
            raise DeliveryError(type(error).__name__, is_final=is_final) from None
        if refused:
            raise DeliveryError(f"{len(refused)} recipients refused", is_final=True)

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


Channel = DingTalk | Email


def take_settings(environment: MutableMapping[str, str]) -> dict[str, str]:
    """Remove the settings from the environment and return them: what runs later never has them."""
    return {name: environment.pop(name, "").strip() for name in NAMES}


def configured(settings: Mapping[str, str]) -> tuple[list[Channel], list[str]]:
    """Return the channels of `take_settings`, and a line for each that cannot be used."""
    found: list[Channel] = []
    lines = []
    if settings["DINGTALK_WEBHOOK"]:
        found.append(DingTalk(settings["DINGTALK_WEBHOOK"], settings["DINGTALK_SECRET"]))
    elif settings["DINGTALK_SECRET"]:
        lines.append("DINGTALK_SECRET is set without DINGTALK_WEBHOOK: DingTalk is not used.")
    wanted = ("SMTP_SERVER", "EMAIL_SENDER", "EMAIL_RECIPIENTS")
    missing = [name for name in wanted if not settings[name]]
    port = settings["SMTP_PORT"] or str(STARTTLS_PORT)
    if missing and len(missing) < len(wanted):
        lines.append(f"{', '.join(missing)} is not set: e-mail is not used.")
    elif not missing and not port.isdecimal():
        lines.append("SMTP_PORT is not a number: e-mail is not used.")
    elif not missing:
        people = settings["EMAIL_RECIPIENTS"].replace(";", ",").split(",")
        email = Email(
            settings["SMTP_SERVER"],
            int(port),
            settings["EMAIL_SENDER"],
            settings["EMAIL_PASSWORD"],
            tuple(filter(None, map(str.strip, people))),
        )
        found.append(email)
    if not found:
        lines.append("No notification is configured (DINGTALK_WEBHOOK or SMTP_SERVER, …).")
    return found, lines
