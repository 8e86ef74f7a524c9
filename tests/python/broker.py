"""A broker for the tests: raw bars, statements, and the command that reads them."""

import csv
import datetime as dt
import io
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
from etf_rotation.production.settings import PROJECT
from etf_rotation.reconcile.aliases import read_seeds
from etf_rotation.reconcile.cells import SHANGHAI
from etf_rotation.reconcile.command import reconcile
from etf_rotation.reconcile.inputs import Given
from etf_rotation.reconcile.storage import Store

SEEDS = read_seeds(PROJECT / "seeds")
THEN = dt.datetime(2023, 6, 8, 20, 0, tzinfo=SHANGHAI)
MON, TUE, WED = (dt.date(2023, 6, day) for day in (5, 6, 7))
# Headers of an ordinary broker's 交割单 (statement of fills).
SLIP = (
    "成交日期",
    "成交时间",
    "证券代码",
    "证券名称",
    "买卖标志",
    "成交价格",
    "成交数量",
    "成交金额",
    "发生金额",
    "佣金",
    "印花税",
    "过户费",
    "其他费",
    "成交编号",
    "股东代码",
    "备注",
)
ACCOUNT_NUMBER = "A880123456"


def write_bars(root, bars):
    """Write raw files: `bars` gives (date, open, close) or (date, open, close, pre_close)."""
    daily = root / "ETF" / "daily"
    daily.mkdir(parents=True, exist_ok=True)
    for symbol, rows in bars.items():
        before = None
        table = []
        for date, opened, closed, *given in rows:
            table.append(
                {
                    "ts_code": symbol,
                    "trade_date": f"{date:%Y%m%d}",
                    "open": opened,
                    "high": max(opened, closed),
                    "low": min(opened, closed),
                    "close": closed,
                    "pre_close": given[0] if given else before or opened,
                    "vol": 10_000.0,
                    "amount": 10_000.0 * 100 * closed / 1000,
                }
            )
            before = closed
        pq.write_table(pa.Table.from_pylist(table), daily / f"{symbol[:6]}_daily.parquet")


def slip(*rows, encoding="gb18030", separator="\t", header=SLIP):
    """Return a 交割单 (statement of fills); rows give their columns by name."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=separator, lineterminator="\r\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([row.get(name, "") for name in header])
    return file.getvalue().encode(encoding)


def trade(code, word, price, shares, *, date=TUE, fees="5.00", **more):
    """Return a row of a 交割单, with computed value and cash moved."""
    value = round(price * abs(shares) + 1e-9, 2)
    cash = -value - float(fees) if "买" in word else value - float(fees)
    return {
        "成交日期": f"{date:%Y%m%d}",
        "成交时间": "09:30:05",
        "证券代码": code,
        "买卖标志": word,
        "成交价格": f"{price:.3f}",
        "成交数量": str(shares),
        "成交金额": f"{value:.2f}",
        "发生金额": f"{cash:.2f}",
        "佣金": fees,
        "成交编号": "0",
        "股东代码": ACCOUNT_NUMBER,
        **more,
    }


def business(word, cash, *, date=TUE, code="", **more):
    """Return a row of a 交割单 that is no trade."""
    return {
        "成交日期": f"{date:%Y%m%d}",
        "证券代码": code,
        "买卖标志": word,
        "发生金额": f"{cash:.2f}",
        **more,
    }


class Account:
    """A folder with raw data and statements, in which the command is run."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.raw = folder / "raw"
        self.root = folder / "output" / "etf"
        self.store = Store(self.root.parent)
        folder.mkdir(exist_ok=True)

    def file(self, name, content):
        """Write a file and return its path."""
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def opening(self, *lines):
        """Write an opening in the layout of ETF_HOLDINGS_FILE."""
        return self.file("opening.csv", "\n".join(["pool,symbol,shares", *lines]) + "\n")

    def positions(self, **shares):
        """Write positions; names such as `f510300` are codes."""
        rows = [f"{name[1:]},{count}" for name, count in shares.items()]
        return self.file("positions.csv", "\n".join(["证券代码,股份余额", *rows]) + "\n")

    def orders(self, *orders):
        """Write an orders file from (date, symbol, side, shares)."""
        lines = ["order_id,batch,code,side,shares"]
        for date, symbol, side, shares in orders:
            pool = SEEDS.pool_of[symbol]
            order_id = f"{date:%Y%m%d}-{pool}-{symbol[:6]}-{side.upper()}"
            lines.append(f"{order_id},1,{symbol},{side},{shares}")
        return self.file("orders.csv", "\n".join(lines) + "\n")

    def reconcile(self, fills, *, language="en", now=THEN, **options):
        """Run the command; return its code, and what it said."""
        if isinstance(fills, bytes):
            fills = self.file("fills.txt", fills)
        said = []
        code = reconcile(
            Given(fills=fills, **options),
            raw_root=str(self.raw),
            root=str(self.root),
            environment={"ETF_LANGUAGE": language},
            say=said.append,
            clock=lambda: now,
        )
        return SimpleNamespace(code=code, text="\n".join(said))

    def day(self, session):
        """Return the stored content of a session."""
        return self.store.read_day(session)

    def kept(self):
        """Return every file of the output folder with its bytes, without locks."""
        paths = [path for path in self.root.parent.rglob("*") if path.is_file()]
        return {path: path.read_bytes() for path in paths if path.name != ".lock"}


def keys(day, *, breaks=False):
    """Return the keys of a kept session's findings."""
    return [f["key"] for f in day["findings"] if f["is_break"] or not breaks]
