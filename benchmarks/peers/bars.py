"""Raw daily bars to clean, adjusted arrays: what every peer starts from."""

import argparse
import csv
import json
import resource
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

PRICES = ("open", "high", "low", "close")
SHARES_A_LOT, CNY_A_THOUSAND = 100, 1000
EVENT = 1e-9  # relative difference of pre_close from the close before


SERIES = ("date", *PRICES, "volume", "amount")


class Bars:
    """All funds' bars, one after the other, sorted by symbol and date.

    Attributes
    ----------
    symbols : list of str
    starts : int array (funds + 1,)
        Rows of fund i are starts[i] to starts[i + 1].
    date : int array (rows,)
        YYYYMMDD.
    open, high, low, close, volume, amount : float arrays (rows,)
        Adjusted prices, adjusted shares, CNY.
    """

    def __init__(self, funds):
        self.symbols = [symbol for symbol, _ in funds]
        lengths = [len(columns["date"]) for _, columns in funds]
        self.starts = np.r_[0, np.cumsum(lengths)]
        for name in SERIES:
            setattr(self, name, np.concatenate([columns[name] for _, columns in funds]))

    def slices(self):
        return [slice(*ends) for ends in zip(self.starts, self.starts[1:], strict=False)]


def read(raw_root, seeds):
    """Read every file below `raw_root`, drop what is no trade, and adjust backward."""
    share_ratios = {
        (row["symbol"], int(row["trade_date"].replace("-", ""))): float(row["share_ratio"])
        for row in _rows(Path(seeds, "corporate_actions.csv"))
    }
    names = ["ts_code", "trade_date", "pre_close", *PRICES, "vol", "amount"]
    funds = []
    for path in sorted(Path(raw_root, "ETF", "daily").glob("*.parquet")):
        table = pq.read_table(path, columns=names, partitioning=None)
        symbol = table["ts_code"][0].as_py()
        columns = {name: table[name].to_numpy() for name in names[2:]}
        columns["date"] = pc.cast(table["trade_date"], "int32").to_numpy()
        fund = _adjusted(symbol, columns, share_ratios)
        if len(fund["date"]):
            funds.append((symbol, fund))
    return Bars(sorted(funds, key=lambda fund: fund[0]))


def only(b, symbols):
    """Return the bars of some funds."""
    return Bars(
        [
            (symbol, {name: getattr(b, name)[rows] for name in SERIES})
            for symbol, rows in zip(b.symbols, b.slices(), strict=True)
            if symbol in symbols
        ]
    )


def pools(seeds):
    """Return pool by symbol."""
    return {row["symbol"]: row["pool"] for row in _rows(Path(seeds, "etf_pools.csv"))}


def panel_arguments(description):
    """Return the parser of a peer's command that writes a panel."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("raw_root")
    parser.add_argument("seeds")
    parser.add_argument("parquet", help="the file to write")
    return parser


def panel_writer(path, schema):
    """Open a peer's panel for writing, without what would only cost it time."""
    return pq.ParquetWriter(
        path, schema, compression="none", use_dictionary=False, write_statistics=False
    )


def _rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _adjusted(symbol, raw, share_ratios):
    traded = np.nan_to_num(raw["vol"]) > 0
    rows = np.flatnonzero(traded)[np.argsort(raw["date"][traded], kind="stable")]
    raw = {name: values[rows] for name, values in raw.items()}
    close, pre_close, date = raw["close"], raw["pre_close"], raw["date"]
    link = np.ones(len(date))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = close[:-1] / pre_close[1:]
    event = np.isfinite(ratio) & (np.abs(ratio - 1) > EVENT)
    link[1:][event] = ratio[event]
    for i in range(1, len(date)):
        if (symbol, int(date[i])) in share_ratios:
            link[i] = share_ratios[symbol, int(date[i])]
    adj = np.cumprod(link)
    return {
        "date": date,
        **{name: _half_up(raw[name] * adj * 1e8) / 1e8 for name in PRICES},
        "volume": _half_up(_half_up(raw["vol"] * SHARES_A_LOT) / adj),
        "amount": raw["amount"] * CNY_A_THOUSAND,
    }


def _half_up(x):
    return np.floor(x + 0.5)


class Stopwatch:
    """Seconds of named stages, and what the harness wants to know beside them."""

    def __init__(self):
        self.seconds = {}
        self._last = time.perf_counter()

    def lap(self, stage):
        now = time.perf_counter()
        self.seconds[stage] = now - self._last
        self._last = now

    def report(self, packages, **facts):
        """Print one line of JSON, the last of the peer's output."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        versions = {name: version(name) for name in packages}
        print(json.dumps({"seconds": self.seconds, "peak": peak, "versions": versions} | facts))
