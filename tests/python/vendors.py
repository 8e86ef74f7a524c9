"""A server on loopback that plays every vendor from one table of market facts.

The facts belong to the test. Each vendor tells them in its own shape and units, with
the faults that the test asks for.
"""

import datetime as dt
import json
import math
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from etf_rotation.staging.trading_calendar import sessions_between

TOKEN = "token-7f3a91c2e5"


@dataclass(frozen=True)
class Bar:
    """A session of a fund: prices in CNY, shares, money in CNY."""

    date: dt.date
    open: float
    high: float
    low: float
    close: float
    pre_close: float | None
    shares: int
    money: float


@dataclass
class Market:
    """Market facts: bars by symbol, corporate actions (ratio or cash) by (symbol, date).

    `splits` holds new shares for one old, `dividends` CNY per share,
    `unknown_to_eastmoney` the actions that its adjusted prices do not hold yet.
    """

    bars: dict[str, list[Bar]] = field(default_factory=dict)
    splits: dict = field(default_factory=dict)
    dividends: dict = field(default_factory=dict)
    unknown_to_eastmoney: set = field(default_factory=set)

    def change(self, symbol, date, **values):
        """Restate a bar."""
        bars = self.bars[symbol]
        (row,) = [row for row, bar in enumerate(bars) if bar.date == date]
        bars[row] = replace(bars[row], **values)

    def forward_adjusted(self, symbol, bars=None):
        """Return (slope, offset) by bar: how Eastmoney adjusts its prices."""
        lines, slope, offset = [], 1.0, 0.0
        for bar in reversed(self.bars[symbol] if bars is None else bars):
            lines.append((slope, offset))
            key = (symbol, bar.date)
            if key in self.unknown_to_eastmoney:
                continue
            if key in self.dividends:
                offset -= slope * self.dividends[key]
            if key in self.splits:
                slope /= self.splits[key]
        return lines[::-1]


def rounded(value, digits=3):
    """Round half up, as vendors do."""
    scale = 10**digits
    return math.floor(value * scale + 0.5 + 1e-9) / scale


def sessions(last, count):
    """Return the last `count` sessions up to a date."""
    days = sessions_between(dt.date(2004, 1, 1), last)["trade_date"].to_pylist()
    return [day for day in days if day <= last][-count:]


def make_market(symbols, days, *, splits=None, dividends=None):
    """Return made-up bars of funds: small moves, and the given actions on their dates."""
    market = Market(splits=dict(splits or {}), dividends=dict(dividends or {}))
    for place, symbol in enumerate(symbols):
        close, bars = 1.5 + 0.1 * (place % 7), []
        for row, day in enumerate(days):
            key = (symbol, day)
            reference = close
            if key in market.dividends:
                reference = rounded(close - market.dividends[key])
            if key in market.splits:
                reference = rounded(close / market.splits[key])
            move = 0.006 * math.sin(0.7 * row + place) + 0.003 * math.cos(0.13 * row * (place + 1))
            new = rounded(max(reference * (1 + move), 0.05))
            shares = 1_000_000 + 100 * ((row * 7919 + place * 104729) % 50_000) + row % 100
            low, high = min(reference, new) - 0.001, max(reference, new) + 0.001
            bars.append(
                Bar(
                    day,
                    rounded(reference),
                    rounded(high),
                    rounded(low),
                    new,
                    None if row == 0 else rounded(reference),
                    shares,
                    rounded(shares * (reference + new) / 2, 2),
                )
            )
            close = new
        market.bars[symbol] = bars
    return market


@dataclass
class Call:
    """A request that the server saw."""

    at: float
    vendor: str
    symbol: str
    details: dict


class Vendors:
    """The server and what it is told to do wrong.

    `faults` maps (vendor, symbol) or (vendor, "all") to the name of a fault, or to a
    list of names of which each answer uses up one; None in such a list is a sound
    answer.
    """

    def __init__(self, market):
        self.market = market
        self.faults = {}
        self.calls = []
        self.limit = 2000
        self.today = dt.date.max  # later bars do not exist yet
        self.token = TOKEN
        self.retry_after = "3"

    def fault(self, vendor, symbol):
        for key in ((vendor, symbol), (vendor, "all")):
            fault = self.faults.get(key)
            if isinstance(fault, list):
                fault = fault.pop(0) if fault else None
            if fault:
                return fault
        return None

    def known(self, symbol):
        """Return the bars so far."""
        return [bar for bar in self.market.bars.get(symbol, []) if bar.date <= self.today]

    @contextmanager
    def serve(self):
        """Serve until the end of the block; yield the settings that point to this server."""
        handler = type("Handler", (_Handler,), {"vendors": self})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield {f"ETF_{name}_URL": self.url for name in ("TUSHARE", "EASTMONEY", "SSE", "SZSE")}
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    # -- answers -----------------------------------------------------------------------

    def tushare(self, body, fault):
        """Answer fund_daily: rows newest first, lots and thousand CNY."""
        if body.get("token") != self.token:
            return {
                "code": 40101,
                "msg": f"您的token不对，请确认。{body.get('token')}",
                "data": None,
            }
        params = body.get("params") or {}
        symbol = params.get("ts_code", "")
        if fault == "code":
            return {"code": 2002, "msg": "抱歉，您没有访问该接口的权限", "data": None}
        if fault == "minute":
            return {"code": 40203, "msg": "抱歉，您每分钟最多访问该接口80次", "data": None}
        start, end = params.get("start_date") or "0", params.get("end_date") or "9"
        end = "9" if fault == "no_end" else end
        rows = [
            bar for bar in self.market.bars.get(symbol, []) if start <= f"{bar.date:%Y%m%d}" <= end
        ]
        rows = [] if fault == "empty" else self.distort(rows, fault)
        names = [
            "ts_code",
            "trade_date",
            "open",
            "high",
            "low",
            "close",
            "pre_close",
            "vol",
            "amount",
        ]
        items = [
            [
                "000001.SZ" if fault == "other" else symbol,
                f"{bar.date:%Y%m%d}",
                bar.open,
                bar.high,
                bar.low,
                bar.close,
                bar.pre_close,
                bar.shares if fault == "shares" else bar.shares / 100,
                bar.money / 1000,
            ]
            for bar in reversed(rows)
        ]
        if fault == "full":
            items = (items * self.limit)[: self.limit]
        if fault == "text" and items:
            items[0][5] = "--"
        if fault == "shuffled":
            order = [8, 3, 0, 6, 1, 7, 2, 5, 4]
            names = [names[place] for place in order]
            items = [[item[place] for place in order] for item in items]
        if fault == "fewer":
            names, items = names[:-3], [item[:-3] for item in items]
        data = {"fields": names, "items": items[: self.limit], "has_more": fault == "more"}
        return {"request_id": "1", "code": 0, "msg": "", "data": data}

    def eastmoney(self, query, fault):
        """Answer a kline query: date, open, close, high, low, whole lots, CNY."""
        code = query["secid"].split(".")[1]
        market_id = query["secid"].split(".")[0]
        symbol = f"{code}.{'SH' if market_id == '1' else 'SZ'}"
        if symbol not in self.market.bars or fault == "null":
            return {"rc": 0, "rt": 17, "data": None}
        if fault == "rc":
            return {"rc": 102, "data": None}
        known = self.known(symbol)
        pairs = list(zip(known, self.market.forward_adjusted(symbol, known), strict=True))
        pairs = [
            (bar, line)
            for bar, line in pairs
            if query["beg"] <= f"{bar.date:%Y%m%d}" <= query["end"]
        ]
        if fault == "unlike" and query["fqt"] == "1":
            del pairs[len(pairs) // 2]
        bars = self.distort([bar for bar, _ in pairs], fault)
        lines = [line for _, line in pairs]
        lines = (lines + [(1.0, 0.0)] * len(bars))[: len(bars)]
        klines = []
        for bar, (slope, offset) in zip(bars, lines, strict=True):
            prices = [bar.open, bar.close, bar.high, bar.low]
            if fault == "swapped":
                prices = [bar.open, bar.high, bar.low, bar.close]
            if query["fqt"] == "1":
                prices = [rounded(slope * price + offset) for price in prices]
            if fault == "noise" and query["fqt"] == "1" and bar is bars[len(bars) // 2]:
                prices[1] = rounded(prices[1] + 0.2)
            lots = bar.shares if fault == "shares" else round(bar.shares / 100)
            text = ",".join(f"{price:.3f}" for price in prices)
            klines.append(f"{bar.date},{text},{lots},{bar.money:.2f},1.02,-0.68,-0.002,0.98")
        if fault == "empty":
            klines = []
        data = {"code": "999999" if fault == "other" else code, "market": int(market_id)}
        return {"rc": 0, "data": data | {"name": "", "decimal": 3, "klines": klines}}

    def sse(self, code, query, fault):
        """Answer with the last sessions: shares, CNY."""
        bars = self.distort(self.known(f"{code}.SH"), fault)
        bars = bars[int(query["begin"]) :]
        kline = [
            [int(f"{b.date:%Y%m%d}"), b.open, b.high, b.low, b.close, b.shares, round(b.money)]
            for b in bars
        ]
        return {"code": code, "total": len(bars), "begin": 0, "end": 0, "kline": kline}

    def szse(self, query, fault):
        """Answer with at most five days, as text in 10,000 shares and 10,000 CNY."""
        first, last = (dt.date.fromisoformat(query[f"txt{n}Date"]) for n in ("Begin", "End"))
        other_tab = {"metadata": {"tabkey": "tab1"}, "data": [], "error": None}
        if (last - first).days >= 5:
            error = "查询日期区间不能超过5天"
            return [other_tab, {"metadata": {"tabkey": "tab2"}, "data": [], "error": error}]
        code = query["txtDMorJC"]
        bars = [b for b in self.known(f"{code}.SZ") if first <= b.date <= last]
        rows = [
            {
                "zqdm": code,
                "zqjc": "",
                "jyrq": str(b.date),
                "qss": f"{b.pre_close or 0:.3f}",
                "ks": f"{b.open:.3f}",
                "zg": f"{b.high:.3f}",
                "zd": f"{b.low:.3f}",
                "ss": f"{b.close:.3f}",
                "sdf": "0.00",
                "cjgs": f"{b.shares / 1e4:,.2f}",
                "cjje": f"{b.money / 1e4:,.2f}",
            }
            for b in self.distort(bars, fault)
        ]
        return [other_tab, {"metadata": {"tabkey": "tab2"}, "data": rows, "error": None}]

    @staticmethod
    def distort(bars, fault):
        """Return the bars with a fault of the data in them."""
        bars = list(bars)
        if not bars:
            return bars
        last = bars[-1]
        if fault == "tomorrow":
            bars.append(replace(last, date=last.date + dt.timedelta(days=366)))
        elif fault == "twice":
            bars.insert(0, bars[0])
        elif fault == "gone":
            del bars[-3]
        elif fault == "no_today":
            del bars[-1]
        elif fault == "holiday":
            bars.insert(1, replace(bars[0], date=dt.date(2024, 1, 1)))
        elif fault == "high":
            bars[-1] = replace(last, high=last.close - 0.001)
        elif fault == "close":
            bars[-1] = replace(last, close=rounded(last.close + 0.001), high=last.high + 0.001)
        elif fault == "negative":
            bars[-1] = replace(last, money=-1.0)
        elif fault == "unit_of_today":
            bars[-1] = replace(last, shares=last.shares * 100)
        return bars


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    vendors: Vendors

    def do_POST(self):  # noqa: N802
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        symbol = (body.get("params") or {}).get("ts_code", "")
        self.respond("tushare", symbol, body, lambda fault: self.vendors.tushare(body, fault))

    def do_GET(self):  # noqa: N802
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/api/qt/stock/kline/get":
            market_id, code = query["secid"].split(".")
            symbol = f"{code}.{'SH' if market_id == '1' else 'SZ'}"
            made = lambda fault: self.vendors.eastmoney(query, fault)  # noqa: E731
            self.respond("eastmoney", symbol, query, made)
        elif parts.path.startswith("/v1/sh1/dayk/"):
            code = parts.path.rpartition("/")[2]
            made = lambda fault: self.vendors.sse(code, query, fault)  # noqa: E731
            self.respond("sse", f"{code}.SH", query, made)
        elif parts.path == "/api/report/ShowReport/data":
            made = lambda fault: self.vendors.szse(query, fault)  # noqa: E731
            self.respond("szse", f"{query['txtDMorJC']}.SZ", query, made)
        else:
            self.answer(404, b"not here")

    def respond(self, vendor, symbol, details, made):
        call = Call(time.monotonic(), vendor, symbol, details | {"headers": dict(self.headers)})
        self.vendors.calls.append(call)
        fault = self.vendors.fault(vendor, symbol)
        if fault == "closed":
            self.close_connection = True
            self.connection.close()
            return
        if fault == "slow":
            time.sleep(1.0)
        if fault == "redirect":
            self.answer(302, b"", {"Location": "http://127.0.0.1:9/elsewhere"})
            return
        if fault == "html":
            self.answer(200, b"<html><body>Access denied</body></html>", kind="text/html")
            return
        if isinstance(fault, int):
            wait = {"Retry-After": self.vendors.retry_after} if fault == 429 else {}
            self.answer(fault, b"<html>no</html>", wait, kind="text/html")
            return
        content = json.dumps(made(fault), ensure_ascii=False).encode()
        if fault == "half":
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.close_connection = True
            return
        if fault == "broken":
            content = content[:-20]
        self.answer(200, content)

    def answer(self, status, content, headers=None, *, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, *arguments):
        pass
