"""E-mail over encrypted SMTP."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import ClassVar

from etf_rotation.notification.channel import (
    ANSWER_SECONDS,
    DeliveryError,
    is_certificate_fault,
)
from etf_rotation.notification.message import Message

TLS_PORT, STARTTLS_PORT = 465, 587
SMTP_PERMANENT = 500


@dataclass(frozen=True)
class Email:
    """A mailbox at an SMTP server: TLS on port 465, else STARTTLS, never plain."""

    server: str
    port: int
    sender: str
    password: str = field(repr=False)
    recipients: tuple[str, ...]
    name: ClassVar[str] = "email"
    SETTINGS: ClassVar[tuple[str, ...]] = (
        "SMTP_SERVER",
        "SMTP_PORT",
        "EMAIL_SENDER",
        "EMAIL_PASSWORD",
        "EMAIL_RECIPIENTS",
    )

    @classmethod
    def configured(cls, settings: Mapping[str, str]) -> tuple[Email | None, list[str]]:
        """Return the mailbox, if configured; report an incomplete configuration."""
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
        # Mail is plain text: drop the Markdown for bold.
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
            # The server has accepted the mail: a failing QUIT must not cause a second
            # one.
            with suppress(smtplib.SMTPException, OSError):
                smtp.quit()
        finally:
            smtp.close()
        return refused

    def _connect(self) -> smtplib.SMTP:
        # Verifies certificate and host name; SSL_CERT_FILE may name a private
        # authority.
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
