"""The robots of WeCom and Feishu, and how a long message is cut, through a server over HTTP."""

import base64
import hashlib
import hmac
import json
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from etf_rotation.notification import channels
from etf_rotation.notification.channel import DeliveryError
from etf_rotation.notification.delivery import tell
from etf_rotation.notification.message import CUT, Message, Part
from etf_rotation.notification.robots import DingTalk, Feishu, WeCom

TOKEN, SECRET = "token-4c1d90aa", "SEC-55e0ab31"
PATHS = {WeCom: f"/cgi-bin/webhook/send?key={TOKEN}", Feishu: f"/open-apis/bot/v2/hook/{TOKEN}"}
HELLO = Message("ETF 轮动：已发布", "**委托**\n- 买入 510300.SH")
FAST = (0.01, 0.01, 0.01)


class Group:
    """A group chat with a robot, which answers as WeCom and Feishu do."""

    def __init__(self):
        self.answers, self.secret, self.requests = [0], "", []
        group = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802
                body = self.rfile.read(int(self.headers["Content-Length"]))
                group.requests.append((self.path, body))
                code = group.answers.pop(0) if len(group.answers) > 1 else group.answers[0]
                if group.secret and not group.is_signed(json.loads(body)):
                    code = 19021
                text = f"refused {self.path}"
                answer = {"errcode": code, "errmsg": text, "code": code, "msg": text}
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def robot(self, kind, *secrets):
        return kind(f"http://127.0.0.1:{self.server.server_port}{PATHS[kind]}", *secrets)

    def is_signed(self, body):
        key = f"{body.get('timestamp')}\n{self.secret}".encode()
        sign = base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()
        is_recent = abs(time.time() - int(body.get("timestamp", 0))) < 3600
        return is_recent and body.get("sign") == sign

    def texts(self):
        bodies = [json.loads(body) for _, body in self.requests]
        return [
            body["markdown"]["content"]
            if "markdown" in body
            else body["card"]["elements"][0]["content"]
            for body in bodies
        ]


@pytest.fixture
def group():
    group = Group()
    yield group
    group.server.shutdown()


def send(message, robot, spool):
    (line,) = tell(message, [robot], spool, waits=FAST, time_limit=20).lines
    return line


@pytest.mark.parametrize("kind", [WeCom, Feishu])
def test_a_group_gets_title_and_text(group, tmp_path, kind):
    assert send(HELLO, group.robot(kind), tmp_path) == f"Notification by {kind.name}: sent."
    path, body = group.requests[0]
    assert path == PATHS[kind]
    assert "ETF 轮动：已发布" in body.decode("utf-8")
    assert group.texts()[0].endswith(HELLO.text)
    assert list(tmp_path.iterdir()) == []


def test_feishu_accepts_the_signature_and_refuses_a_wrong_one(group, tmp_path):
    group.secret = SECRET
    assert send(HELLO, group.robot(Feishu, SECRET), tmp_path) == "Notification by feishu: sent."
    for secret in ("", "wrong"):
        group.requests.clear()
        line = send(HELLO, group.robot(Feishu, secret), None)
        assert "code 19021: the signature does not match: correct FEISHU_SECRET" in line
        assert len(group.requests) == 1


@pytest.mark.parametrize(("kind", "code"), [(WeCom, 45009), (WeCom, -1), (Feishu, 11232)])
def test_a_robot_that_is_busy_is_tried_again(group, tmp_path, kind, code):
    group.answers = [code, code, 0]
    assert send(HELLO, group.robot(kind), tmp_path) == f"Notification by {kind.name}: sent."
    assert len(group.requests) == 3


@pytest.mark.parametrize(
    ("kind", "code", "hint"),
    [
        (WeCom, 93000, "correct WECOM_WEBHOOK"),
        (WeCom, 40058, "errcode 40058"),
        (Feishu, 19001, "correct FEISHU_WEBHOOK"),
        (Feishu, 19024, "give it the keyword ETF"),
        (Feishu, 9499, "code 9499"),
    ],
)
def test_a_refusal_says_what_to_do_and_is_kept(group, tmp_path, kind, code, hint):
    group.answers = [code]
    line = send(HELLO, group.robot(kind), tmp_path)
    assert hint in line
    assert "kept for the next run" in line
    assert len(group.requests) == 1
    (kept,) = tmp_path.iterdir()
    group.answers = [0]
    assert "1 kept from earlier runs sent" in send(HELLO, group.robot(kind), tmp_path)
    assert not kept.exists()


@pytest.mark.parametrize("kind", [WeCom, Feishu])
def test_no_secret_in_a_line_a_file_or_an_error(group, tmp_path, kind, caplog):
    caplog.set_level("DEBUG")
    secrets = (SECRET,) * (len(kind.SETTINGS) - 1)
    said = []
    for address in (group.robot(kind).webhook, f"no address {TOKEN}", f"http://[bad/{TOKEN}"):
        robot = kind(address, *secrets)
        group.answers = [93000]
        said += [repr(robot), send(HELLO, robot, tmp_path)]
        try:
            robot.send(HELLO, robot.recipients)
        except DeliveryError:
            said.append(traceback.format_exc())
    said += [path.read_text() for path in tmp_path.iterdir()]
    said += [record.getMessage() for record in caplog.records]
    assert len(said) > 9
    assert not [text for text in said for secret in (TOKEN, SECRET) if secret in text]


def test_all_channels_are_read_from_the_environment():
    variables = {
        "DINGTALK_WEBHOOK": "https://example.com/d",
        "WECOM_WEBHOOK": "https://example.com/w",
        "FEISHU_WEBHOOK": "https://example.com/f",
        "FEISHU_SECRET": SECRET,
        "HOME": "/",
    }
    found, lines = channels.configured(channels.take_settings(variables))
    assert [channel.name for channel in found] == ["dingtalk", "wecom", "feishu"]
    assert (found[2].secret, lines, variables) == (SECRET, [], {"HOME": "/"})


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"FEISHU_SECRET": SECRET}, "FEISHU_SECRET is set without FEISHU_WEBHOOK"),
        ({"WECOM_WEBHOOK": f"http://example.com/{TOKEN}"}, "WECOM_WEBHOOK begins with http://"),
    ],
)
def test_half_a_configuration_is_named(variables, said):
    _, lines = channels.configured(channels.take_settings(variables))
    assert said in lines[0]
    assert not [line for line in lines if TOKEN in line or SECRET in line]


# -- long messages ---------------------------------------------------------------------

ORDERS = Part("\n".join(f"- 买入 51{n:04}.SH 1,000 份" for n in range(60)), rank=0)
FINDINGS = Part("\n".join(f"- 警告 {n} " + "很长的说明" * 10 for n in range(20)), rank=1)
DETAILS = Part("\n".join(f"- 指标 {n}" for n in range(400)), rank=2)


def test_a_long_message_loses_the_end_of_its_least_important_part(group, tmp_path):
    message = Message.of("ETF", [FINDINGS, ORDERS, DETAILS])
    send(message, group.robot(WeCom), tmp_path)
    (text,) = group.texts()
    assert len(text.encode()) <= 4096
    assert ORDERS.text in text
    assert "警告 0" in text
    assert "警告 19" not in text
    assert "指标 0" not in text
    assert CUT in text


def test_orders_that_no_message_holds_go_into_several(group, tmp_path):
    orders = Part("\n".join(f"- 卖出 15{n:04}.SZ 1,000 份" for n in range(200)), rank=0)
    assert "sent" in send(Message.of("ETF", [FINDINGS, orders]), group.robot(WeCom), tmp_path)
    texts = group.texts()
    assert len(texts) == 2
    assert all(len(text.encode()) <= 4096 for text in texts)
    assert all(line in "\n".join(texts) for line in orders.text.split("\n"))


@pytest.mark.parametrize("size", [40, 400, 4_000, 40_000])
def test_pages_fit_and_hold_every_order(size):
    message = Message.of("ETF", [FINDINGS, ORDERS, DETAILS])
    pages = message.pages(size)
    assert all(len(page.encode()) <= size for page in pages)
    assert all(line in "\n".join(pages) for line in ORDERS.text.split("\n"))
    assert (pages == [message.text]) is (size == 40_000)


def test_a_kept_message_is_cut_like_a_new_one(group, tmp_path):
    group.answers = [93000]
    send(Message.of("ETF", [FINDINGS, ORDERS, DETAILS]), group.robot(WeCom), tmp_path)
    group.answers = [0]
    group.requests.clear()
    tell(None, [group.robot(WeCom)], tmp_path, waits=FAST)
    assert ORDERS.text in group.texts()[0]


def test_each_robot_leaves_room_for_what_is_sent_around_the_text(group):
    long = Message("标" * 100, "轮" * 20_000)
    for kind, most in ((WeCom, 4096), (DingTalk, 20_000), (Feishu, 20 * 1024)):
        (page,) = long.pages(kind.size - len(long.title.encode()))
        body = kind("https://example.com").content(long.title, page)
        limited = body["markdown"]["content"] if kind is WeCom else json.dumps(body, ensure_ascii=0)
        assert len(limited.encode()) <= most
