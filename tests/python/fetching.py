"""The fixture for tests of fetch: a raw root, vendors, and the command in-process."""

import datetime as dt
import hashlib
import io
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from etf_rotation.console import Progress
from etf_rotation.fetch import command, store
from etf_rotation.fetch.command import SHANGHAI, Wish
from etf_rotation.fetch.http import Client
from etf_rotation.fetch.texts import Texts
from vendors import Vendors, make_market, sessions

LAST = dt.date(2024, 6, 28)
DAYS = sessions(LAST, 160)
FUNDS = ["510300.SH", "159915.SZ", "513100.SH"]
SPLIT_DAY, DIVIDEND_DAY = DAYS[120], DAYS[130]


@pytest.fixture
def place(tmp_path):
    """A raw root and vendors with three funds; `fetch(...)` runs the command in this process."""
    market = make_market(
        FUNDS,
        DAYS,
        splits={("513100.SH", SPLIT_DAY): 5},
        dividends={("510300.SH", DIVIDEND_DAY): 0.05},
    )
    vendors = Vendors(market)
    root = tmp_path / "raw"
    slept = []

    def fetch(*, token="", now="2024-06-28T18:00", settings=None, spacing=0.0, **wish):
        stream = io.StringIO()
        lines = []
        vendors.today = dt.datetime.fromisoformat(now).date()

        def say(key, **facts):
            lines.append(Texts("en").text(key, **facts))

        client = Client(token=token, spacing=spacing, timeout=0.5, say=say, sleep=slept.append)
        code = command.fetch(
            Wish(**({"symbols": ",".join(FUNDS)} | wish)),
            {"ETF_RAW_ROOT": str(root), **urls, **(settings or {})},
            token,
            progress=Progress(stream),
            clock=lambda: dt.datetime.fromisoformat(now).replace(tzinfo=SHANGHAI),
            client=client,
        )
        return code, "\n".join([stream.getvalue(), *lines])

    with vendors.serve() as urls:
        yield SimpleNamespace(
            root=root,
            market=market,
            vendors=vendors,
            fetch=fetch,
            faults=vendors.faults,
            slept=slept,
            urls=urls,
        )


def rows(place, symbol):
    (path,) = store.daily(place.root).glob(f"{symbol}*.parquet")
    return pq.read_table(path).to_pylist()


def column(place, symbol, name):
    return {row["trade_date"]: row[name] for row in rows(place, symbol)}


def digests(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
