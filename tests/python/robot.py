"""A local DingTalk robot."""

import base64
import hashlib
import hmac
import json
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "token-1f9c7e5a"


class Robot:
    """A DingTalk robot: one answer per request, the last one for all further requests."""

    def __init__(self, secret=""):
        self.secret = secret
        self.errmsg = ""
        self.limit = 0
        self.answers = ["ok"]
        self.requests = []
        robot = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802
                body = self.rfile.read(int(self.headers["Content-Length"]))
                robot.requests.append((self.path, json.loads(body)))
                robot.answer(self)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.webhook = f"http://127.0.0.1:{self.server.server_port}/robot/send?access_token={TOKEN}"

    def answer(self, handler):
        kind = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if kind == "hang":
            time.sleep(30)
            return
        if kind == "drop":
            handler.connection.close()
            return
        if isinstance(kind, int) and 300 <= kind < 600:
            handler.send_response(kind)
            handler.send_header("Location", "http://127.0.0.1:1/elsewhere")
            handler.end_headers()
            return
        code, text = {"ok": 0}.get(kind, kind), f"{handler.path} {self.errmsg}"
        if self.limit and len(self.requests) > self.limit:
            code, text = 130101, "send too fast, exceed 20 times per minute"
        if self.secret and not self.is_signed(handler.path):
            code, text = 310000, "sign not match"
        text = "<html>" if kind == "html" else json.dumps({"errcode": code, "errmsg": text})
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(text.encode())

    def is_signed(self, path):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(path).query))
        text = f"{query.get('timestamp')}\n{self.secret}".encode()
        digest = hmac.new(self.secret.encode(), text, hashlib.sha256).digest()
        is_recent = abs(time.time() * 1000 - int(query.get("timestamp", 0))) < 3_600_000
        return is_recent and query.get("sign") == base64.b64encode(digest).decode()
