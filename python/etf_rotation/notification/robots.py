"""Robots of group chats: DingTalk, WeCom and Feishu. All accept JSON by a webhook."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import requests

from etf_rotation.notification.channel import (
    ANSWER_SECONDS,
    DeliveryError,
    is_certificate_fault,
    unencrypted,
)
from etf_rotation.notification.message import Message

LATER_STATUS = (408, 429)  # these, and 500 and above, are worth another attempt
SERVER_ERROR = 500

# At debug level urllib3 logs addresses, and a robot's address contains its token.
logging.getLogger("urllib3").setLevel(logging.INFO)


@dataclass(frozen=True)
class Robot:
    """Base of all robots: a webhook, an optional secret, and one group to reach."""

    webhook: str = field(repr=False)
    secret: str = field(default="", repr=False)
    recipients = ("robot",)
    name: ClassVar[str]
    title: ClassVar[str]
    SETTINGS: ClassVar[tuple[str, ...]]
    # Maximum bytes of a message's text; the rest of the limit is for the JSON around
    # it.
    size: ClassVar[int]
    # Keys of the answer for the code (0 is success) and the reason.
    code_key: ClassVar[str]
    reason_key: ClassVar[str]
    # Codes after which a retry may succeed: busy, or too many messages per minute.
    later: ClassVar[tuple[int, ...]]

    @classmethod
    def configured(cls, settings: Mapping[str, str]) -> tuple[Robot | None, list[str]]:
        """Return the robot, if configured; report an unencrypted address."""
        webhook, *secrets = (settings[name] for name in cls.SETTINGS)
        if webhook:
            return cls(webhook, *secrets), unencrypted(cls.SETTINGS[0], webhook)
        if any(secrets):
            line = f"{cls.SETTINGS[1]} is set without {cls.SETTINGS[0]}: {cls.title} is not used."
            return None, [line]
        return None, []

    def send(self, message: Message, recipients: Sequence[str]) -> dict[str, DeliveryError]:
        """Send once; see `Channel`."""
        for page in message.pages(self.size - len(message.title.encode())):
            self._post(message.title, page)
        return {}

    def _post(self, title: str, text: str) -> None:
        content = self.content(title, text)
        try:
            answer = requests.post(
                self.address(),
                # UTF-8, because a JSON escape of a Chinese character takes twice the
                # bytes.
                data=json.dumps(content, ensure_ascii=False).encode(),
                headers={"Content-Type": "application/json; charset=utf-8"},
                timeout=ANSWER_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            # requests raises a ValueError for a malformed address.
            is_final = isinstance(error, ValueError) or is_certificate_fault(error)
            raise DeliveryError(type(error).__name__, is_final=is_final) from None
        status = answer.status_code
        if status != requests.codes.ok:
            is_final = status < SERVER_ERROR and status not in LATER_STATUS
            raise DeliveryError(f"HTTP status {status}", is_final=is_final)
        try:
            content = answer.json()
            code = int(content[self.code_key])
        except (ValueError, KeyError, TypeError):
            raise DeliveryError(f"no answer of a {self.title} robot", is_final=False) from None
        if code:
            hint = self.hint(code, str(content.get(self.reason_key)).lower())
            text = f"{self.code_key} {code}{': ' if hint else ''}{hint}"
            raise DeliveryError(text, is_final=code not in self.later)

    def address(self) -> str:
        """Return the address to send to."""
        return self.webhook

    def content(self, title: str, text: str) -> dict:
        """Return the body of the request."""
        raise NotImplementedError

    def hint(self, code: int, reason: str) -> str:
        """Return advice on a code; the robot's own message may quote an address."""
        raise NotImplementedError


@dataclass(frozen=True)
class DingTalk(Robot):
    """The robot of a DingTalk group; with a secret, requests are signed.

    Source: DingTalk's documentation of custom robots: `timestamp` in milliseconds and
    `sign`, the Base64 of HMAC-SHA256(secret, timestamp + newline + secret), are added
    to the address. The limits are 20,000 bytes per message and 20 messages per minute.
    """

    name = "dingtalk"
    title = "DingTalk"
    SETTINGS = ("DINGTALK_WEBHOOK", "DINGTALK_SECRET")
    size = 18_000
    code_key, reason_key = "errcode", "errmsg"
    later = (-1, 130101)
    REFUSED = 310000  # rejected by one of the robot's three safeguards
    HINTS: ClassVar[dict[str, str]] = {
        "keyword": "no keyword of the robot in the message: give it the keyword ETF",
        "sign": "the signature does not match: correct DINGTALK_SECRET",
        "timestamp": "the time is refused: set this machine's clock",
        "whitelist": "this machine's address is not on the robot's list: add it",
    }

    def address(self) -> str:
        """Return the webhook, signed if there is a secret."""
        if not self.secret:
            return self.webhook
        timestamp = str(round(time.time() * 1000))
        text = f"{timestamp}\n{self.secret}".encode()
        sign = _base64_hmac(self.secret.encode(), text)
        query = urllib.parse.urlencode({"timestamp": timestamp, "sign": sign})
        return f"{self.webhook}{'&' if '?' in self.webhook else '?'}{query}"

    def content(self, title: str, text: str) -> dict:
        """Return a Markdown message; DingTalk shows the title only in the chat list."""
        markdown = {"title": title, "text": f"### {title}\n\n{text}"}
        return {"msgtype": "markdown", "markdown": markdown}

    def hint(self, code: int, reason: str) -> str:
        """Return which safeguard rejected the message."""
        if code != self.REFUSED:
            return ""
        return "; ".join(hint for word, hint in self.HINTS.items() if word in reason)


@dataclass(frozen=True)
class WeCom(Robot):
    """The robot of a WeCom (企业微信) group, without signatures: the address is secret.

    Source: WeCom's documentation of group robots: the limits are 4,096 bytes per
    Markdown message and 20 messages per minute.
    """

    name = "wecom"
    title = "WeCom"
    SETTINGS = ("WECOM_WEBHOOK",)
    size = 4_000
    code_key, reason_key = "errcode", "errmsg"
    later = (-1, 45009)
    HINTS: ClassVar[dict[int, str]] = {
        93000: "the group has no such robot: correct WECOM_WEBHOOK",
        93008: "the robot is not in the group any more: add it again",
    }

    def content(self, title: str, text: str) -> dict:
        """Return a Markdown message."""
        return {"msgtype": "markdown", "markdown": {"content": f"### {title}\n{text}"}}

    def hint(self, code: int, reason: str) -> str:
        """Return what a code means."""
        return self.HINTS.get(code, "")


@dataclass(frozen=True)
class Feishu(Robot):
    """The robot of a Feishu (飞书) group; with a secret, requests are signed.

    Source: Feishu's documentation of custom bots: the body holds `timestamp` in seconds
    and `sign`, the Base64 of HMAC-SHA256 of an empty text with the key timestamp +
    newline + secret. The limits are 20 KB per request, 100 requests per minute and 5
    per second.
    """

    name = "feishu"
    title = "Feishu"
    SETTINGS = ("FEISHU_WEBHOOK", "FEISHU_SECRET")
    size = 15_000
    code_key, reason_key = "code", "msg"
    later = (11232,)
    HINTS: ClassVar[dict[int, str]] = {
        19001: "the group has no such robot: correct FEISHU_WEBHOOK",
        19021: "the signature does not match: correct FEISHU_SECRET or this machine's clock",
        19022: "this machine's address is not on the robot's list: add it",
        19024: "no keyword of the robot in the message: give it the keyword ETF",
    }

    def content(self, title: str, text: str) -> dict:
        """Return a card, the only message type that shows Markdown."""
        card = {
            "config": {"wide_screen_mode": True},
            "header": {"title": {"tag": "plain_text", "content": title}},
            "elements": [{"tag": "markdown", "content": text}],
        }
        signed = {}
        if self.secret:
            timestamp = str(round(time.time()))
            sign = _base64_hmac(f"{timestamp}\n{self.secret}".encode(), b"")
            signed = {"timestamp": timestamp, "sign": sign}
        return {**signed, "msg_type": "interactive", "card": card}

    def hint(self, code: int, reason: str) -> str:
        """Return what a code means."""
        return self.HINTS.get(code, "")


def _base64_hmac(key: bytes, text: bytes) -> str:
    return base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
