"""Notifications through real servers on this machine: a robot over HTTP, mail over SMTP."""

import asyncio
import base64
import datetime as dt
import ipaddress
import json
import os
import ssl
import threading
import time
import traceback
import urllib.parse
from contextlib import contextmanager
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from etf_rotation.bilingual import Bilingual
from etf_rotation.cli.summary import summary_text
from etf_rotation.notification import channels, delivery, messages
from etf_rotation.notification import mail as email_channel
from etf_rotation.notification.channel import DeliveryError
from etf_rotation.notification.channels import DingTalk, Email
from etf_rotation.notification.delivery import tell
from etf_rotation.notification.message import Message
from etf_rotation.notification.robots import WeCom
from etf_rotation.production import export_checks
from etf_rotation.production.run import Outcome
from etf_rotation.production.settings import PROJECT
from etf_rotation.texts import LANGUAGES, texts
from robot import TOKEN, Robot

SECRET = "SEC-8d2b60aa"
PASSWORD = "pass-77e1c0 word"
SECRETS = (TOKEN, SECRET, PASSWORD)
HELLO = Message("标题 title", "**正文** body\n\n- 510300.SH")
FAST = (0.01, 0.01, 0.01)


@pytest.fixture
def robot():
    robot = Robot()
    yield robot
    robot.server.shutdown()


@pytest.fixture
def signed_robot():
    robot = Robot(SECRET)
    yield robot
    robot.server.shutdown()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate of 127.0.0.1, made here; returns the paths of it and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "cert.pem", folder / "key.pem"


class Mailbox:
    """Records the mail server's input; `fault` is its answer to DATA if it rejects.

    `refused` holds its answers to recipients that it does not take, `farewell` that to
    QUIT.
    """

    def __init__(self):
        self.mails = []
        self.sessions = []
        self.fault = ""
        self.refused = {}
        self.farewell = "221 bye"

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 taken"

    async def handle_QUIT(self, server, session, envelope):  # noqa: N802
        return self.farewell

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.sessions.append((session.ssl is not None, session.authenticated))
        if self.fault:
            return self.fault
        self.mails.append((envelope.rcpt_tos, envelope.content))
        return "250 taken"


def check_login(server, session, envelope, mechanism, data):
    is_right = data.password == PASSWORD.encode() and data.login == b"robot@example.com"
    return AuthResult(success=is_right, handled=False)


@contextmanager
def mail_server(certificate, *, tls):
    """A mail server with STARTTLS, or with TLS from the first byte; yields mailbox and port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    mailbox = Mailbox()
    options = (
        {"ssl_context": context} if tls else {"tls_context": context, "require_starttls": True}
    )
    controller = _Controller(
        mailbox,
        hostname="127.0.0.1",
        port=0,
        authenticator=check_login,
        auth_required=True,
        auth_require_tls=not tls,
        **options,
    )
    controller.start()
    try:
        yield mailbox, controller.server.sockets[0].getsockname()[1]
    finally:
        controller.stop()


class _Controller(Controller):
    def _trigger_server(self):
        # The free port is known only now.
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
def trusted(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))


def email(port, password=PASSWORD, recipients=("a@example.com", "b@example.com")):
    return Email("127.0.0.1", port, "robot@example.com", password, recipients)


def send(message, to, spool, **options):
    return tell(message, to, spool, **{"waits": FAST, "time_limit": 20} | options).lines


def spooled(spool):
    return sorted(path.name for path in spool.glob("*"))


# ---------------------------------------------------------------- DingTalk


def test_the_robot_gets_markdown(robot, tmp_path):
    lines = send(HELLO, [DingTalk(robot.webhook)], tmp_path)
    assert lines == ["Notification by dingtalk: sent."]
    path, body = robot.requests[0]
    assert path == f"/robot/send?access_token={TOKEN}"
    assert body["msgtype"] == "markdown"
    assert body["markdown"]["title"] == "标题 title"
    assert body["markdown"]["text"].endswith(HELLO.text)
    assert spooled(tmp_path) == []


def test_the_signed_form_is_accepted_by_a_robot_that_checks(signed_robot, tmp_path):
    lines = send(HELLO, [DingTalk(signed_robot.webhook, SECRET)], tmp_path)
    assert lines == ["Notification by dingtalk: sent."]


@pytest.mark.parametrize("secret", ["", "SEC-wrong"])
def test_a_bad_signature_is_not_tried_again(signed_robot, tmp_path, secret):
    lines = send(HELLO, [DingTalk(signed_robot.webhook, secret)], tmp_path)
    assert "errcode 310000: the signature does not match: correct DINGTALK_SECRET" in lines[0]
    assert "kept for the next run" in lines[0]
    assert len(signed_robot.requests) == 1


@pytest.mark.parametrize(
    ("errmsg", "hint"),
    [
        ("keywords not in content, more: [https://example.com]", "give it the keyword ETF"),
        ("ip 203.0.113.9 not in whitelist", "not on the robot's list"),
        ("invalid timestamp", "set this machine's clock"),
    ],
)
def test_a_refusal_of_the_robot_is_reported_without_its_text(robot, tmp_path, errmsg, hint):
    robot.answers, robot.errmsg = [310000], errmsg
    (line,) = send(HELLO, [DingTalk(robot.webhook)], tmp_path)
    assert hint in line
    assert errmsg not in line
    assert len(robot.requests) == 1


def test_a_backlog_does_not_cost_the_new_message(robot, tmp_path):
    robot.answers = [500]
    for number in range(25):
        send(Message(str(number), ""), [DingTalk(robot.webhook)], tmp_path, waits=())
    robot.answers, robot.limit = ["ok"], 20
    robot.requests.clear()
    (line,) = send(Message("new", ""), [DingTalk(robot.webhook)], tmp_path)
    assert "15 kept from earlier runs sent" in line
    titles = [body["markdown"]["title"] for _, body in robot.requests]
    assert titles == [*map(str, range(15)), "new"]
    # The rest waits for the next run.
    assert len(spooled(tmp_path)) == 10


@pytest.mark.parametrize("answer", [500, 503, 429, -1, 130101, "drop", "html"])
def test_a_temporary_fault_is_retried(robot, tmp_path, answer):
    robot.answers = [answer, answer, "ok"]
    assert send(HELLO, [DingTalk(robot.webhook)], tmp_path) == ["Notification by dingtalk: sent."]
    assert len(robot.requests) == 3


@pytest.mark.parametrize("answer", [400, 403, 404, 302, 300001])
def test_a_permanent_fault_is_not_retried(robot, tmp_path, answer):
    robot.answers = [answer]
    lines = send(HELLO, [DingTalk(robot.webhook)], tmp_path)
    assert f"{answer}" in lines[0]
    assert len(robot.requests) == 1
    assert len(spooled(tmp_path)) == 1


def test_a_robot_that_never_recovers_gets_four_attempts(robot, tmp_path):
    robot.answers = [500]
    lines = send(HELLO, [DingTalk(robot.webhook)], tmp_path)
    assert lines == [
        "Notification by dingtalk: 1 not delivered (HTTP status 500), kept for the next run."
    ]
    assert len(robot.requests) == 4


def test_the_waits_grow(robot, tmp_path):
    robot.answers = [500]
    begin = time.monotonic()
    send(HELLO, [DingTalk(robot.webhook)], tmp_path, waits=(0.1, 0.2, 0.4))
    assert 0.7 <= time.monotonic() - begin < 3


def test_a_robot_that_hangs_ends_at_the_time_limit(robot, tmp_path):
    robot.answers = ["hang"]
    begin = time.monotonic()
    lines = send(HELLO, [DingTalk(robot.webhook)], tmp_path, time_limit=1)
    assert time.monotonic() - begin < 3
    assert "no answer within the time limit" in lines[0]
    assert len(spooled(tmp_path)) == 1


def test_a_hanging_channel_does_not_delay_the_others(robot, certificate, trusted, tmp_path):
    robot.answers = ["hang"]
    with mail_server(certificate, tls=False) as (mailbox, port):
        lines = send(HELLO, [DingTalk(robot.webhook), email(port)], tmp_path, time_limit=3)
        assert len(mailbox.mails) == 1
    assert lines[1] == "Notification by email: sent."


def test_a_long_message_is_cut_to_the_limit_of_the_robot(robot, tmp_path):
    send(Message("t", "轮动" * 10_000), [DingTalk(robot.webhook)], tmp_path)
    text = robot.requests[0][1]["markdown"]["text"]
    assert 17_900 < len(text.encode()) < 20_000
    assert text.endswith("…")


@pytest.mark.parametrize(
    "webhook", [f"http://127.0.0.1:9/send?access_token={TOKEN}", f"not an address {TOKEN}"]
)
def test_nobody_there(tmp_path, webhook):
    lines = send(HELLO, [DingTalk(webhook)], tmp_path)
    assert "1 not delivered" in lines[0]


# ---------------------------------------------------------------- e-mail


@pytest.mark.parametrize("tls", [False, True], ids=["STARTTLS", "TLS"])
def test_mail_is_encrypted_and_authenticated(certificate, trusted, tmp_path, monkeypatch, tls):
    with mail_server(certificate, tls=tls) as (mailbox, port):
        if tls:
            monkeypatch.setattr(email_channel, "TLS_PORT", port)
        lines = send(HELLO, [email(port)], tmp_path)
        assert lines == ["Notification by email: sent."]
        # Where TLS came first, the server's session does not know of it.
        assert mailbox.sessions == [(not tls, True)]
        recipients, content = mailbox.mails[0]
    mail = message_from_bytes(content, policy=policy.default)
    assert recipients == ["a@example.com", "b@example.com"]
    assert mail["Subject"] == "标题 title"
    assert mail.get_content().splitlines() == ["正文 body", "", "- 510300.SH"]
    assert mail["Message-ID"].endswith("@example.com>")


def test_port_465_means_tls_from_the_first_byte():
    assert email_channel.TLS_PORT == 465


def test_a_wrong_password_is_not_tried_again(certificate, trusted, tmp_path):
    with mail_server(certificate, tls=False) as (mailbox, port):
        lines = send(HELLO, [email(port, "wrong-" + PASSWORD)], tmp_path)
    assert "SMTPAuthenticationError 535" in lines[0]
    assert mailbox.mails == []
    assert len(spooled(tmp_path)) == 1


def test_a_certificate_nobody_vouches_for_is_refused(certificate, tmp_path):
    with mail_server(certificate, tls=False) as (mailbox, port):
        lines = send(HELLO, [email(port)], tmp_path)
    assert "SSLCertVerificationError" in lines[0]
    assert mailbox.sessions == []


def test_a_server_without_starttls_gets_no_password(tmp_path):
    heard = []

    async def serve(reader, writer):
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            heard.append(line)
            is_end = line.startswith(b"QUIT")
            writer.write(b"221 bye\r\n" if is_end else b"250 fine\r\n")
            if is_end:
                break
        writer.close()

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    threading.Thread(target=loop.run_forever, daemon=True).start()
    lines = send(HELLO, [email(server.sockets[0].getsockname()[1])], tmp_path)
    loop.call_soon_threadsafe(loop.stop)
    assert "SMTPNotSupportedError" in lines[0]
    assert not any(b"AUTH" in line or b"DATA" in line for line in heard)


@pytest.mark.parametrize(("fault", "attempts"), [("451 later", 4), ("554 never", 1)])
def test_a_mail_server_that_refuses(certificate, trusted, tmp_path, fault, attempts):
    with mail_server(certificate, tls=False) as (mailbox, port):
        mailbox.fault = fault
        lines = send(HELLO, [email(port)], tmp_path)
    assert fault[:3] in lines[0]
    assert len(mailbox.sessions) == attempts


# ---------------------------------------------------------------- kept and sent later


def test_the_next_run_sends_undelivered_messages_first(robot, tmp_path):
    robot.answers = [500]
    first, second = Message("one", "1"), Message("two", "2")
    send(first, [DingTalk(robot.webhook)], tmp_path)
    robot.answers = ["ok"]
    robot.requests.clear()
    lines = send(second, [DingTalk(robot.webhook)], tmp_path)
    assert lines == ["Notification by dingtalk: sent; 1 kept from earlier runs sent."]
    assert [body["markdown"]["title"] for _, body in robot.requests] == ["one", "two"]
    assert spooled(tmp_path) == []


def test_each_channel_keeps_its_own(robot, certificate, trusted, tmp_path):
    robot.answers = [500]
    with mail_server(certificate, tls=False) as (mailbox, port):
        send(HELLO, [DingTalk(robot.webhook), email(port)], tmp_path)
        robot.answers = ["ok"]
        send(None, [DingTalk(robot.webhook), email(port)], tmp_path)
        assert len(mailbox.mails) == 1
    assert spooled(tmp_path) == []


def test_a_refused_run_does_not_send_kept_messages(robot, tmp_path):
    robot.answers = [500]
    send(HELLO, [DingTalk(robot.webhook)], tmp_path)
    robot.answers = ["ok"]
    robot.requests.clear()
    send(Message("two", "2"), [DingTalk(robot.webhook)], tmp_path, with_older=False)
    assert [body["markdown"]["title"] for _, body in robot.requests] == ["two"]
    assert len(spooled(tmp_path)) == 1


def test_a_rejected_stored_message_does_not_block_the_others(robot, tmp_path):
    robot.answers = [400, "ok"]
    send(HELLO, [DingTalk(robot.webhook)], tmp_path)
    robot.answers = [400, "ok"]
    lines = send(Message("two", "2"), [DingTalk(robot.webhook)], tmp_path)
    assert lines == [
        "Notification by dingtalk: sent; 1 not delivered (HTTP status 400), kept for the next run."
    ]


def test_kept_messages_that_are_old_or_damaged_are_named(robot, tmp_path):
    (tmp_path / "20200101T000000000000-1-dingtalk.json").write_text("{}")
    (tmp_path / "20990101T000000000000-1-dingtalk.json").write_text("{")
    lines = send(HELLO, [DingTalk(robot.webhook)], tmp_path)
    assert lines[0].startswith("Undelivered for 30 days, given up: 20200101")
    assert lines[1].endswith("cannot be read; remove it.")
    assert lines[2] == "Notification by dingtalk: sent."


def test_a_message_without_a_spool_is_not_kept(robot):
    lines = send(HELLO, [DingTalk("http://127.0.0.1:9/?access_token=T")], None)
    (line,) = lines
    assert line.startswith("Notification by dingtalk: 1 not delivered (")
    assert line.endswith("), not kept.")
    assert send(HELLO, [DingTalk(robot.webhook)], None) == ["Notification by dingtalk: sent."]


def test_a_spool_that_cannot_be_written_stops_no_message(robot, tmp_path):
    (tmp_path / "file").write_text("")
    robot.answers = ["ok"]
    lines = send(HELLO, [DingTalk(robot.webhook)], tmp_path / "file")
    assert "cannot be kept" in lines[0]
    assert lines[1] == "Notification by dingtalk: sent."
    robot.answers = [400]
    assert "not kept" in send(HELLO, [DingTalk(robot.webhook)], tmp_path / "file")[1]


def test_the_partial_file_of_a_killed_process_is_removed(robot, tmp_path):
    (tmp_path / ".20990101T000000000000-1-dingtalk.json").write_text('{"chan')
    robot.answers = [500]
    send(HELLO, [DingTalk(robot.webhook)], tmp_path, waits=())
    (kept,) = tmp_path.iterdir()
    assert not kept.name.startswith(".")
    assert kept.stat().st_mode & 0o077 == 0
    (tmp_path / ".20990101T000000000000-1-dingtalk.json").write_text('{"chan')
    # Another run may be writing it: only the one with the lock removes it.
    send(None, [DingTalk(robot.webhook)], tmp_path, waits=(), with_older=False)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_message_kept_by_an_older_version_is_sent(robot, tmp_path):
    content = {"channel": "dingtalk", "title": "old", "text": "x"}
    (tmp_path / "20990101T000000000000-1-dingtalk.json").write_text(json.dumps(content))
    send(None, [DingTalk(robot.webhook)], tmp_path)
    assert titles(robot) == ["old"]


def titles(robot):
    return [body["markdown"]["title"] for _, body in robot.requests]


def test_finally_rejected_messages_do_not_starve_the_others(robot, tmp_path):
    """More messages are rejected than one run sends; a never-rejected one comes first."""
    to = [DingTalk(robot.webhook)]
    robot.answers = [400]
    for number in range(17):
        send(Message(f"refused {number}", ""), to, tmp_path, with_older=False)
    robot.answers = [500]
    send(Message("waiting", ""), to, tmp_path, waits=(), with_older=False)
    for number in range(3):
        robot.requests.clear()
        robot.answers = [*["ok"] * (number == 0), 400, "ok"]
        send(Message(f"new {number}", ""), to, tmp_path)
        # One of the refused ones has its turn, and shows that the others can wait.
        waiting = ["waiting"] if number == 0 else []
        assert titles(robot) == [*waiting, f"refused {number}", f"new {number}"]
    robot.requests.clear()
    robot.answers = ["ok"]
    send(None, to, tmp_path)
    assert len(robot.requests) == 15
    send(None, to, tmp_path)
    assert sorted(titles(robot)) == sorted(f"refused {number}" for number in range(17))
    assert spooled(tmp_path) == []


def test_an_undeliverable_message_does_not_block_the_others(robot, tmp_path):
    to = [DingTalk(robot.webhook)]
    robot.answers = [500]
    for name in ("stuck", "two", "three"):
        send(Message(name, ""), to, tmp_path, waits=(), with_older=False)
    robot.requests.clear()
    robot.answers = [500, "ok"]
    (line,) = send(Message("new", ""), to, tmp_path)
    assert titles(robot) == ["stuck", "two", "three", "new"]
    assert "sent; 2 kept from earlier runs sent; 1 not delivered (HTTP status 500)" in line


def test_older_messages_leave_time_for_the_new_one(robot, tmp_path, monkeypatch):
    to = [DingTalk(robot.webhook)]
    robot.answers = [500]
    send(Message("old", ""), to, tmp_path, waits=())
    robot.requests.clear()
    robot.answers = ["ok"]
    monkeypatch.setattr(delivery, "OLDER_SHARE", 0.0)  # their share of the time is over
    send(HELLO, to, tmp_path)
    assert titles(robot) == [HELLO.title]


# ------------------------------------------------------------- one recipient of several


def test_a_refused_recipient_does_not_send_to_the_others_again(certificate, trusted, tmp_path):
    with mail_server(certificate, tls=False) as (mailbox, port):
        mailbox.refused = {"b@example.com": "550 no such mailbox"}
        for number in range(3):
            lines = send(Message(f"m{number}", "x"), [email(port)], tmp_path)
        assert [recipients for recipients, _ in mailbox.mails] == [["a@example.com"]] * 3
        assert lines == [
            "Notification by email: sent to 1 of 2; 3 not delivered "
            "(b@example.com: refused with 550), kept for the next run."
        ]
        kept = [json.loads(path.read_text()) for path in tmp_path.iterdir()]
        assert [content["recipients"] for content in kept] == [["b@example.com"]] * 3
        mailbox.refused = {}
        mailbox.mails.clear()
        send(None, [email(port)], tmp_path)
        assert [recipients for recipients, _ in mailbox.mails] == [["b@example.com"]] * 3
    assert spooled(tmp_path) == []


def test_a_recipient_refused_for_now_is_tried_again_alone(certificate, trusted, tmp_path):
    with mail_server(certificate, tls=False) as (mailbox, port):
        asked = []

        async def take_the_third_time(server, session, envelope, address, options):
            asked.append(address)
            if address == "a@example.com" and asked.count(address) < 3:
                return "450 greylisted"
            envelope.rcpt_tos.append(address)
            return "250 taken"

        mailbox.handle_RCPT = take_the_third_time
        assert send(HELLO, [email(port)], tmp_path) == ["Notification by email: sent."]
        reached = [recipients for recipients, _ in mailbox.mails]
    assert reached == [["b@example.com"], ["a@example.com"]]
    assert spooled(tmp_path) == []


def test_all_recipients_refused_is_said_with_their_names(certificate, trusted, tmp_path):
    with mail_server(certificate, tls=False) as (mailbox, port):
        mailbox.refused = dict.fromkeys(("a@example.com", "b@example.com"), "550 no")
        (line,) = send(HELLO, [email(port)], tmp_path)
        assert mailbox.mails == []
    assert line == (
        "Notification by email: 1 not delivered (a@example.com: refused with 550, "
        "b@example.com: refused with 550), kept for the next run."
    )


def test_a_recipient_who_is_no_longer_configured_gets_nothing(certificate, trusted, tmp_path):
    with mail_server(certificate, tls=False) as (mailbox, port):
        mailbox.refused = {"b@example.com": "550 no"}
        send(HELLO, [email(port)], tmp_path)
        mailbox.mails.clear()
        lines = send(None, [email(port, recipients=("a@example.com", "c@example.com"))], tmp_path)
        assert mailbox.mails == []
    assert lines[0].startswith("No recipient is configured, given up: ")
    assert spooled(tmp_path) == []


def test_a_failing_quit_does_not_send_the_mail_again(certificate, trusted, tmp_path):
    with mail_server(certificate, tls=False) as (mailbox, port):
        mailbox.farewell = "421 out of order"
        assert send(HELLO, [email(port)], tmp_path) == ["Notification by email: sent."]
        assert len(mailbox.mails) == 1


def test_a_spool_that_cannot_be_updated_is_reported(certificate, trusted, tmp_path, monkeypatch):
    replace, calls = os.replace, []

    def full(*arguments):
        calls.append(arguments)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return replace(*arguments)

    monkeypatch.setattr(os, "replace", full)
    with mail_server(certificate, tls=False) as (mailbox, port):
        mailbox.refused = {"b@example.com": "550 no"}
        lines = send(HELLO, [email(port)], tmp_path)
    assert "cannot be changed (No space left on device): somebody may get it twice." in lines[0]
    assert lines[-1].startswith("Notification by email: sent to 1 of 2")
    assert len(list(tmp_path.iterdir())) == 1


# ------------------------------------------------------------- settings, secrets, texts


def test_a_certificate_that_is_refused_is_not_tried_again(certificate, robot, tmp_path):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    robot.server.socket = context.wrap_socket(
        robot.server.socket, server_side=True, do_handshake_on_connect=False
    )
    accept, connections = robot.server.get_request, []
    robot.server.get_request = lambda: connections.append(1) or accept()
    webhook = robot.webhook.replace("http://", "https://")
    (line,) = send(HELLO, [DingTalk(webhook)], tmp_path)
    assert "1 not delivered (SSLError)" in line
    assert len(connections) == 1


@pytest.mark.parametrize(
    ("webhook", "warns"),
    [
        (f"http://oapi.dingtalk.com/robot/send?access_token={TOKEN}", True),
        (f"HTTP://10.0.0.1/send?access_token={TOKEN}", True),
        (f"https://oapi.dingtalk.com/robot/send?access_token={TOKEN}", False),
        (f"http://127.0.0.1:8080/send?access_token={TOKEN}", False),
        (f"http://[::1]/send?access_token={TOKEN}", False),
        (f"http://localhost/send?access_token={TOKEN}", False),
        (f"not an address {TOKEN}", False),
        (f"http://[bad/{TOKEN}", False),
    ],
)
def test_an_address_without_encryption_is_named(webhook, warns):
    found, lines = channels.configured(environment(DINGTALK_WEBHOOK=webhook))
    assert len(found) == 1
    assert bool(lines) is warns
    assert TOKEN not in "".join(lines)


def environment(**values):
    return channels.take_settings(dict(values))


def test_nothing_configured_is_one_line():
    found, lines = channels.configured(environment())
    assert found == []
    assert len(lines) == 1


def test_settings_leave_the_environment():
    variables = {"DINGTALK_WEBHOOK": "w", "EMAIL_PASSWORD": "p", "HOME": "/"}
    channels.take_settings(variables)
    assert variables == {"HOME": "/"}


def test_both_channels_are_read_from_the_environment():
    found, lines = channels.configured(
        environment(
            DINGTALK_WEBHOOK="https://example.com",
            SMTP_SERVER="smtp.example.com",
            EMAIL_SENDER="a@example.com",
            EMAIL_PASSWORD="x",
            EMAIL_RECIPIENTS="b@example.com; c@example.com,",
        )
    )
    assert [channel.name for channel in found] == ["dingtalk", "email"]
    assert (found[1].port, found[1].recipients) == (587, ("b@example.com", "c@example.com"))
    assert lines == []


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"DINGTALK_SECRET": SECRET}, "DINGTALK_WEBHOOK"),
        ({"SMTP_SERVER": "smtp.example.com"}, "EMAIL_SENDER, EMAIL_RECIPIENTS"),
        (
            {"SMTP_SERVER": "s", "EMAIL_SENDER": "a", "EMAIL_RECIPIENTS": "b", "SMTP_PORT": "x"},
            "SMTP_PORT",
        ),
    ],
)
def test_half_a_configuration_is_named(variables, name):
    found, lines = channels.configured(environment(**variables))
    assert found == []
    assert name in lines[0]
    assert SECRET not in "".join(lines)


def test_no_secret_in_any_line_file_representation_or_exception(
    robot, signed_robot, certificate, tmp_path, request
):
    names = ("trusted", "capfd", "caplog")
    _, capfd, caplog = (request.getfixturevalue(name) for name in names)
    caplog.set_level("DEBUG")
    said = []
    with mail_server(certificate, tls=False) as (mailbox, port):
        mailbox.fault = f"554 {PASSWORD}"
        to = [
            DingTalk(robot.webhook),
            DingTalk(f"no address {TOKEN}"),
            DingTalk(signed_robot.webhook, "x" + SECRET),
            email(port),
            email(port, PASSWORD + "x"),
            email(port, PASSWORD + "é"),
            email(9),
        ]
        for answer in (500, 404, 302, 310000, "drop", "html"):
            robot.answers = [answer]
            said += send(HELLO, to, tmp_path, waits=(0.01,), with_older=False)
        for channel in to:
            said.append(repr(channel))
            try:
                channel.send(HELLO, channel.recipients)
            except DeliveryError:
                said.append(traceback.format_exc())
            except Exception as error:  # tell() gives its type only
                said.append(type(error).__name__)
    said += [path.read_text() for path in tmp_path.glob("*.json")]
    said += [*capfd.readouterr()]
    # The mail server of the test logs what it is told; it is not ours.
    said += [r.getMessage() for r in caplog.records if not r.name.startswith("mail")]
    text = "\n".join(said)
    assert len(text) > 1000
    for secret in SECRETS:
        encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
        for form in (secret, urllib.parse.quote(secret), urllib.parse.quote_plus(secret), encoded):
            assert form not in text


def check(name, status, message, message_zh=None, pool="QDII", **values):
    """A row of the gate, as the database and the checks of the files give it."""
    text = Bilingual(message, message_zh or message)
    title = Bilingual(name, "价格停滞" if name == "stale_prices" else name)
    return export_checks.check_row(pool, name, status, text, title=title, **values)


OUTCOME = Outcome(
    code=0,
    run_id="20260302T180000",
    is_published=True,
    seconds=31.4,
    gate=[
        check("max_drawdown", "warn", "-0.34 is below -0.3", value=-0.34, fail_threshold=-0.3)
        | {"is_alert": True},
        check("sharpe", "warn", "0.3 is below 0.5", value=0.3, fail_threshold=0.5)
        | {"is_alert": True},
        check("stale_prices", "warn", "12 is at least 10: 513100.SH", "12 不低于 10：513100.SH"),
        check("factor_coverage", "pass", "ok"),
    ],
    metrics=[{"pool": "QDII", "last_date": "2026-03-02", "annual_return": 0.1, "sharpe": 0.9}],
    metrics_before=[{"pool": "QDII", "annual_return": 0.08, "sharpe": 1.0}],
    orders=[
        {
            "pool": "QDII",
            "symbol": "513100.SH",
            "name": "纳指ETF",
            "trade_date": "2026-03-03",
            "side": "buy",
            "shares": 12300.0,
            "estimated_value": 12669.0,
            "limit_down": 0.927,
            "limit_up": 1.133,
            "rank": 1,
            "score": 0.9412,
            "reason": "rebalance: enter",
            "reason_zh": "调仓：建仓",
            "is_simulated_pool": False,
        },
        {
            "pool": "OTHER",
            "symbol": "518880.SH",
            "name": "黄金ETF",
            "trade_date": "2026-03-03",
            "side": "sell",
            "shares": 100.0,
            "reason": "rebalance: exit",
            "reason_zh": "调仓：清仓",
            "is_simulated_pool": True,
        },
    ],
    returns=[
        {
            "pool": "QDII",
            "period": "last_session",
            "total_return": 0.0123,
            "benchmark_total_return": -0.005,
        }
    ],
    holdings=[
        {
            "pool": "QDII",
            "symbol": "513500.SH",
            "name": "标普500ETF",
            "weight": 0.3,
            "unrealized_return": 0.0812,
            "is_simulated_pool": False,
        }
    ],
)


@pytest.mark.parametrize(
    ("language", "wanted"),
    [
        (
            "en",
            [
                "published, data to 2026-03-02",
                "Run 20260302T180000 in 31 s",
                "**Gate: 1 passed, 3 warned, 0 failed**",
                "- WARN QDII stale_prices: 12 is at least 10: 513100.SH",
                "**Alert rules broken**",
                "- QDII: max drawdown -34.00% (limit -30.00%), Sharpe 0.30 (limit 0.50)",
                "annual return 10.00% (+2.00%)",
                "- QDII: buy 12,300 × 513100.SH 纳指ETF, 12,700 CNY, limits 0.927 to 1.133 "
                "(rebalance: enter; rank 1, score 0.94)",
                "- QDII: today +1.23% (-0.50%)",
                "- QDII: 513500.SH 标普500ETF 30.0% +8.12%",
            ],
        ),
        (
            "zh",
            [
                "已发布，数据截至 2026-03-02",
                "运行 20260302T180000，用时 31 秒",
                "**门禁：通过 1，警告 3，失败 0**",
                "- 警告 QDII 价格停滞（stale_prices）：12 不低于 10：513100.SH",
                "**触发的告警规则**",
                "- QDII：最大回撤 -34.00%（界限 -30.00%），夏普比率 0.30（界限 0.50）",
                "年化收益 10.00% (+2.00%)",
                "- QDII：买入 513100.SH 纳指ETF 12,300 份，约 1.27 万元，跌停 0.927 涨停 1.133"
                "（调仓：建仓；排名 1，得分 0.94）",
                "- QDII：当日 +1.23%（-0.50%）",
                "- QDII：513500.SH 标普500ETF 30.0% +8.12%",
            ],
        ),
    ],
)
def test_the_summary_holds_gate_alerts_metrics_and_orders(language, wanted):
    message = messages.compose(OUTCOME, language)
    text = f"{message.title}\n{message.text}"
    for part in [*wanted, "0.90 (-0.10)"]:
        assert part in text
    assert text.count("-34.00%") == 1
    assert "518880" not in text  # its pool is only simulated
    assert "\n" not in message.title


def test_the_first_lines_are_what_is_new_the_orders_and_the_result():
    text = messages.compose(OUTCOME, "en").text
    wanted = ("WARN QDII stale_prices", "buy 12,300", "today +1.23%", "max drawdown -34.00%")
    places = [text.index(part) for part in (*wanted, "513500.SH", "annual return 10", "Run 2026")]
    assert places == sorted(places)


def test_the_message_of_an_unpublished_run_contains_no_orders():
    message = messages.compose(replace(OUTCOME, is_published=False), "en")
    assert "not published" in message.title
    assert "buy" not in message.text
    assert "today +1.23%" in message.text


def test_a_robot_with_little_room_cuts_the_metrics_and_never_the_orders():
    order = OUTCOME.orders[0]
    orders = [order | {"symbol": f"51{n:04}.SH"} for n in range(12)]
    metrics = [row | {"pool": f"P{n}"} for n in range(40) for row in OUTCOME.metrics]
    message = messages.compose(replace(OUTCOME, orders=orders, metrics=metrics), "zh")
    (page,) = message.pages(WeCom.size)
    assert all(row["symbol"] in page for row in orders)
    assert "价格停滞" in page and "当日" in page
    assert "P39" not in page


def test_an_alert_that_blocks_or_judged_nothing_is_shown_too():
    alert = OUTCOME.gate[1]
    rows = [alert | {"status": "fail"}, alert | {"pool": "A", "value": None, "message": "no value"}]
    text = messages.compose(Outcome(code=1, gate=rows), "en").text
    assert "**Gate: 0 passed, 1 warned, 1 failed**" in text
    assert "- QDII: Sharpe 0.30 (limit 0.50)" in text
    assert "- WARN A sharpe: no value" in text


STANDING = {"since": "unchanged"}
RESOLVED = [
    {
        "pool": "QDII",
        "check_name": "no_row",
        "title": "Missing rows",
        "title_zh": "基金缺行",
        "source_file": "513100.SH.parquet",
        "symbol": "513100.SH",
        "trade_date": f"2026-01-{day:02}",
        "value": 1.0,
        "detail": "no row",
        "detail_zh": "无数据行",
    }
    for day in range(5, 12)
]


@pytest.mark.parametrize(
    ("language", "shown", "folded", "gone"),
    [
        (
            "en",
            "- WARN A stale_prices: new one",
            "2 warnings are unchanged since the published build: stale_prices QDII; no_row B",
            [
                "**Gone since the published build: 7**",
                "- QDII no_row: 513100.SH 2026-01-05 no row",
                "- and 2 more",
            ],
        ),
        (
            "zh",
            "- 警告 A 价格停滞（stale_prices）：new one",
            "2 项警告与已发布的构建相同：价格停滞 QDII；no_row B",
            [
                "**较已发布的构建已消除：7 项**",
                "- QDII 基金缺行：513100.SH 2026-01-05 无数据行",
                "- 另有 2 项",
            ],
        ),
    ],
)
def test_standing_warnings_are_folded_behind_what_is_new_and_what_has_gone(
    language, shown, folded, gone
):
    gate = [
        check("stale_prices", "warn", "old one") | STANDING,
        check("no_row", "warn", "old too", pool="B") | STANDING,
        check("stale_prices", "warn", "new one", pool="A") | {"since": "new"},
    ]
    outcome = Outcome(code=0, gate=gate, resolved=RESOLVED)
    lines = messages.compose(outcome, language).text.splitlines()
    assert lines.index(shown) < lines.index(folded) < lines.index(gone[0])
    assert set(gone) <= set(lines)
    assert "old" not in "".join(lines)


def test_failures_are_never_folded():
    many = [check("no_row", "fail", f"fault {n}", pool=f"P{n}") | STANDING for n in range(30)]
    warned = [check("no_row", "warn", "warned", pool=f"W{n}") | {"since": "new"} for n in range(3)]
    outcome = Outcome(code=1, gate=[*warned, *many])
    text = messages.compose(outcome, "en").text
    assert all(f"fault {n}" in text for n in range(30))
    assert "- and 3 more" in text
    assert "as in the published build" not in text
    settings = SimpleNamespace(is_synthetic=False, base=Path("/nowhere"), language="en")
    text = summary_text(outcome, settings)
    assert all(f"fault {n}" in text for n in range(30))


def test_unchanged_alerts_are_reported():
    gate = [row | STANDING if row["is_alert"] else row for row in OUTCOME.gate]
    text = messages.compose(Outcome(code=0, gate=gate), "en").text
    assert "- QDII: max drawdown -34.00% (limit -30.00%), Sharpe 0.30 (limit 0.50)" in text
    assert "as in the published build" not in text


def test_an_input_without_comparison_is_reported():
    outcome = Outcome(code=0, gate=OUTCOME.gate, not_compared="x.duckdb: Corrupt database file")
    text = messages.compose(outcome, "en").text
    assert "The input was not compared: x.duckdb: Corrupt database file" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_alert_rule_has_a_short_name_for_the_message(language):
    rules = pd.read_csv(PROJECT / "seeds" / "gate_thresholds.csv")
    alerts = set(rules.loc[rules["is_performance"], "check_name"])
    assert alerts <= texts("message", language).keys()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("code", [1, 2])
def test_a_failure_gives_its_reason_and_shows_no_orders(language, code):
    outcome = Outcome(
        code=code,
        fault="x.parquet: the file has no bytes" if code == 2 else "",
        gate=[check("keys", "fail", "510300.SH twice", pool="A")],
        orders=OUTCOME.orders,
    )
    message = messages.compose(outcome, language)
    wanted = {"en": "FAIL A keys: 510300.SH twice", "zh": "失败 A keys：510300.SH twice"}
    assert wanted[language] in message.text
    assert ("no bytes" in message.text) is (code == 2)
    assert "513100" not in message.text
