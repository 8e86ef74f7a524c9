"""A synthetic sample of daily bars in the raw layout, for trying the project without data.

Nothing here is a market price. Every fund of the seed `etf_pools` gets a file with the layout of
Tushare's `fund_daily`. Its returns add up a market, a pool, a category and a fund of its own, each
with a slow trend (a little momentum, no more) and with calm and stormy spells.

The same arguments and seeds give the same values on every machine: draws are integers of PCG64
seeded with the CRC-32 of a name, arithmetic is limited to operations that IEEE 754 rounds exactly,
and prices are whole ticks of 0.001 CNY. A fund's file depends on no other fund.

Events, at fixed dates (one outside the sessions asked for does not happen):

=====================  =========================  ================================================
event                  who                        when
=====================  =========================  ================================================
late listing           13 funds, `LISTINGS`       2019-07-08 to 2024-11-06, some after rows without
                                                  volume (before the first trade)
delisting              159998.SZ                  last row 2024-03-08, money traded fades before
suspension, null vol   512400.SH                  2021-05-10 to 2021-05-21
suspension, zero vol   510500.SH                  2020-05-20, 2021-03-01, 2023-08-15
suspension, no row     512800.SH                  2022-09-14 to 2022-09-16
suspended a month      159801.SZ                  2021-07-01 to 2021-07-30
split of the seed      `corporate_actions.csv`    on its date, the session before suspended; that
                                                  session's move is in the derived ratio
split, not in a seed   515650.SH, 2 for 1         2022-06-20, consecutive sessions
consolidation          512980.SH, 2 into 1        2023-05-15
cash dividend          `DIVIDENDS`                11 dates, 1% to 4% of the previous close
limit-down open        pools A_SHARE, QDII        2020-02-03, 2022-03-01 (first of a month)
limit-up open          512480.SH, 588000.SH,      2021-06-01, 2024-10-08 (the limit is 20%),
                       159949.SZ                  2024-10-08 (the same)
limit-up, all day      512880.SH                  2020-07-01
limit-down open        513050.SH                  2021-07-27
limit-down, all day    512690.SH                  2021-08-02
thin                   515210.SH, 512720.SH       0.7 and 1 million CNY a day
rather thin            159883.SZ                  2.5 million CNY a day
=====================  =========================  ================================================
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import os
import tempfile
import zlib
from bisect import bisect_left
from math import floor, sqrt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from etf_rotation.errors import InputError
from etf_rotation.raw import MARKER, SYNTHETIC_KEY
from etf_rotation.trading_calendar import sessions_between

VERSION = 1

# symbol: (first trade, rows without volume before it)
LISTINGS = {
    "512690.SH": ("20190708", 0),
    "515210.SH": ("20200302", 3),
    "159992.SZ": ("20200410", 0),
    "518850.SH": ("20200605", 5),
    "159819.SZ": ("20200923", 4),
    "588000.SH": ("20201116", 0),
    "515790.SH": ("20201218", 5),
    "516160.SH": ("20210204", 0),
    "516090.SH": ("20210219", 3),
    "159883.SZ": ("20210430", 0),
    "513130.SH": ("20210601", 5),
    "588200.SH": ("20221026", 4),
    "516520.SH": ("20241106", 2),
}
ENDS = {"159998.SZ": "20240308"}
# symbol: (first, last, what its rows look like)
SUSPENSIONS = {
    "512400.SH": [("20210510", "20210521", "null")],
    "510500.SH": [(day, day, "zero") for day in ("20200520", "20210301", "20230815")],
    "512800.SH": [("20220914", "20220916", "no_row")],
    "159801.SZ": [("20210701", "20210730", "zero")],
}
SPLITS = {("515650.SH", "20220620"): 2.0, ("512980.SH", "20230515"): 0.5}
DIVIDENDS = {  # per cent of the previous close
    ("510050.SH", "20191202"): 2,
    ("510050.SH", "20201130"): 1,
    ("510050.SH", "20231127"): 2,
    ("510300.SH", "20200116"): 1,
    ("510300.SH", "20240118"): 2,
    ("511010.SH", "20221114"): 2,
    ("511260.SH", "20230904"): 3,
    ("512800.SH", "20210716"): 3,
    ("515180.SH", "20201216"): 4,
    ("515180.SH", "20211216"): 4,
    ("515180.SH", "20221216"): 3,
}
# (symbol or pool, session): (direction, whether every trade of the session is at the limit)
LIMIT_OPENS = {
    ("A_SHARE", "20200203"): (-1, False),
    ("QDII", "20220301"): (-1, False),
    ("512480.SH", "20210601"): (1, False),
    ("588000.SH", "20241008"): (1, False),
    ("159949.SZ", "20241008"): (1, False),
    ("512880.SH", "20200701"): (1, True),
    ("513050.SH", "20210727"): (-1, False),
    ("512690.SH", "20210802"): (-1, True),
}
# CNY a day
THIN = {"515210.SH": 700_000, "512720.SH": 1_000_000, "159883.SZ": 2_500_000}
USUAL_MONEY = [8, 20, 40, 60, 90, 150, 250, 400]  # million CNY a day
FADE_SESSIONS = 200

TREND_MEMORY, STORM_MEMORY, VOLUME_MEMORY = 0.98, 0.97, 0.85
# A trend's standard deviation in units of the daily one.
TREND = 0.05

SCHEMA = pa.schema(
    [("ts_code", pa.string()), ("trade_date", pa.string())]
    + [(c, pa.float64()) for c in "pre_close open high low close vol amount".split()]
)


def write_sample(
    folder: Path, *, pools_csv: Path, last_session: str = "2024-12-31", sessions: int = 1500
) -> None:
    """Write the sample, unless `folder` already holds this very one.

    The new folder is built beside the old and renamed, so that nothing is ever half written.

    Parameters
    ----------
    folder : Path
        Gets `ETF/daily/{symbol}_daily_{first}_{last}.parquet`, one file a fund, in raw units (CNY,
        lots of 100 shares, thousand CNY), and a one-line marker file `SYNTHETIC`.
    pools_csv : Path
        The seed `etf_pools`. `price_limits.csv` and `corporate_actions.csv` beside it are read too
        where they exist: limits are obeyed, and the build applies those share ratios to any data.
    last_session : str
        `YYYY-MM-DD`; sessions up to this date.
    sessions : int
        Number of sessions. Prices depend on it, for every path starts at the first one.

    Raises
    ------
    InputError
        If `folder` holds anything but a sample, or the calendar has fewer sessions.
    """
    label = _label(pools_csv, last_session, sessions)
    marker = folder / MARKER
    if marker.is_file() and marker.read_text(encoding="utf-8") == label:
        return
    _refuse_other_data(folder)
    dates = _dates(last_session, sessions)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as beside:
        new = Path(beside) / "new"
        daily = new / "ETF" / "daily"
        daily.mkdir(parents=True)
        for fund in _funds(pools_csv):
            table = _table(fund, dates)
            if table.num_rows:
                first, last = table["trade_date"][0], table["trade_date"][-1]
                name = f"{fund['symbol']}_daily_{first}_{last}.parquet"
                pq.write_table(table, daily / name, compression="zstd")
        (new / MARKER).write_text(label, encoding="utf-8")
        if folder.exists():
            os.replace(folder, Path(beside) / "old")
        os.replace(new, folder)


def _label(pools_csv: Path, last_session: str, sessions: int) -> str:
    seeds = b"".join(path.read_bytes() for path in _seeds(pools_csv) if path.is_file())
    return (
        "Synthetic sample, not market data / 合成样本，并非真实行情: "
        f"version {VERSION}, {sessions} sessions to {last_session}, "
        f"seeds {zlib.crc32(seeds):08x}\n"
    )


def _seeds(pools_csv: Path) -> list[Path]:
    others = ("price_limits.csv", "corporate_actions.csv")
    return [pools_csv, *(pools_csv.with_name(name) for name in others)]


def _refuse_other_data(folder: Path) -> None:
    paths = [path for path in sorted(folder.rglob("*")) if not path.is_dir()]
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name another folder for the sample")
    if paths and not (folder / MARKER).is_file():
        raise InputError(
            f"{folder} is not a sample (it has no file {MARKER}) and is left as it is; "
            "name another folder"
        )
    for path in paths:
        if path != folder / MARKER and not _is_synthetic(path):
            raise InputError(
                f"{folder} also holds {path.relative_to(folder)}, which is not part of a sample, "
                "and is left as it is; move that file, or name another folder"
            )


def _is_synthetic(path: Path) -> bool:
    try:
        return SYNTHETIC_KEY in (pq.read_schema(path).metadata or {})
    except (pa.ArrowException, OSError):
        return False


def _dates(last_session: str, sessions: int) -> list[str]:
    last = dt.date.fromisoformat(last_session)
    days = sessions_between(dt.date.min, last)["trade_date"].to_pylist()
    days = [f"{day:%Y%m%d}" for day in days if day <= last]
    if not 0 < sessions <= len(days):
        raise InputError(f"sessions must be 1 to {len(days)} up to {last}, not {sessions}")
    return days[-sessions:]


def _funds(pools_csv: Path) -> list[dict]:
    """Read the funds, each with its `limits` (date, per cent) and its `seed_splits` by date."""
    funds, limits, actions = (_rows(path) for path in _seeds(pools_csv))
    for fund in funds:
        fund["limits"] = sorted(
            (row["valid_from"].replace("-", ""), round(100 * float(row["price_limit"])))
            for row in limits
            if row["symbol"] == fund["symbol"]
        )
        fund["seed_splits"] = {
            row["trade_date"].replace("-", ""): float(row["share_ratio"])
            for row in actions
            if row["symbol"] == fund["symbol"]
        }
    return funds


def _rows(path: Path) -> list[dict]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _normals(name: str, rows: int, columns: int) -> np.ndarray:
    # A sum of twelve integers is as good as normal here, and needs neither a logarithm, whose
    # last bit varies between machines, nor numpy's own method, which may change between versions.
    raw = np.random.PCG64(zlib.crc32(name.encode())).random_raw(rows * columns * 3)
    parts = raw.reshape(rows, columns, 3).view(np.uint16)
    return (parts.sum(axis=2, dtype=np.int64) - 12 * 32767.5) / 65536


def _persistent(draws: np.ndarray, memory: float) -> np.ndarray:
    level, levels = 0.0, []
    for draw in draws.tolist():
        level = memory * level + sqrt(1 - memory * memory) * draw
        levels.append(level)
    return np.array(levels)


def _source(name: str, volatility: float, sessions: int) -> np.ndarray:
    draws = _normals(name, sessions, 3)
    storm = np.clip(1 + 0.3 * _persistent(draws[:, 2], STORM_MEMORY), 0.4, 2.0)
    return volatility * (storm * draws[:, 0] + TREND * _persistent(draws[:, 1], TREND_MEMORY))


def _returns(fund: dict, sessions: int) -> tuple[np.ndarray, float]:
    """Return the fund's daily returns (one a session) and their rough standard deviation."""
    mixes = {  # daily volatility of market, pool, category, fund; mean
        "equity": (0.0060, 0.0035, 0.0065, 0.0035, 0.00025),
        "bond": (0.0, 0.0, 0.0015, 0.0012, 0.00010),
        "commodity": (0.0, 0.0, 0.0090, 0.0006, 0.00020),
    }
    market, pool, category, own, mean = mixes.get(fund["asset_class"], mixes["equity"])
    if fund["pool"] == "QDII":
        market, pool = pool, market
    # Some categories are livelier than others.
    category *= (0.7, 1.0, 1.4)[zlib.crc32(fund["category"].encode()) % 3]
    parts = {
        "market": market,
        f"pool {fund['pool']}": pool,
        f"category {fund['category']}": category,
    }
    parts[f"fund {fund['symbol']}"] = own
    returns = np.full(sessions, mean)
    for name, volatility in parts.items():
        returns = returns + _source(name, volatility, sessions)
    return returns, sqrt(sum(volatility * volatility for volatility in parts.values()))


def _table(fund: dict, dates: list[str]) -> pa.Table:
    rows = _bars(fund, dates)
    days, pre, open_, high, low, close, shares, money = (
        zip(*rows, strict=True) if rows else [()] * 8
    )
    columns = {"ts_code": [fund["symbol"]] * len(days), "trade_date": days}
    prices = {"pre_close": pre, "open": open_, "high": high, "low": low, "close": close}
    columns |= {name: _divided(ticks, 1000) for name, ticks in prices.items()}
    columns |= {"vol": _divided(shares, 100), "amount": _divided(money, 1000)}
    return pa.table(columns, schema=SCHEMA.with_metadata({SYNTHETIC_KEY: b"true"}))


def _divided(integers: tuple, by: int) -> list[float | None]:
    return [None if value is None else value / by for value in integers]


def _bars(fund: dict, dates: list[str]) -> list[tuple]:
    """Return rows of date, five prices in ticks, shares and CNY, all whole numbers."""
    symbol = fund["symbol"]
    returns, volatility = _returns(fund, len(dates))
    draws = _normals(f"bars {symbol}", len(dates), 3).tolist()
    money = _money(symbol, returns / volatility)
    first, quiet, last = _life(symbol, dates)
    halts = _halts(fund, dates)
    close = _start(fund, dates[first:])
    rows = [(dates[i], *_no_trade(close, "zero")) for i in range(first - quiet, first)]
    for i in range(first, last):
        kind = halts.get(dates[i])
        if kind:
            rows += [(dates[i], *_no_trade(close, kind))] if kind != "no_row" else []
            continue
        suspended = halts.get(dates[i - 1]) if i > first else None
        pre = _ex_rights(fund, dates[i], close, returns[i - 1] if suspended else 0.0)
        prices = _prices(fund, dates[i], pre, float(returns[i]), volatility, draws[i])
        close = prices[-1]
        fade = min(1.0, (last - i) / FADE_SESSIONS) if symbol in ENDS else 1.0
        rows.append((dates[i], pre, *prices, *_traded(money[i] * fade, prices)))
    return rows


def _life(symbol: str, dates: list[str]) -> tuple[int, int, int]:
    """Return the index of the first trade, the number of rows before it, and the end."""
    listed, quiet = LISTINGS.get(symbol, (dates[0], 0))
    end = ENDS.get(symbol, dates[-1])
    first = bisect_left(dates, listed)
    return first, min(quiet, first) if first < len(dates) else 0, bisect_left(dates, end + "~")


def _halts(fund: dict, dates: list[str]) -> dict[str, str]:
    halts = {
        day: kind
        for first, last, kind in SUSPENSIONS.get(fund["symbol"], [])
        for day in dates[bisect_left(dates, first) : bisect_left(dates, last + "~")]
    }
    for day in set(fund["seed_splits"]) & set(dates[1:]):
        halts[dates[dates.index(day) - 1]] = "zero"
    return halts


def _start(fund: dict, dates: list[str]) -> int:
    """Return the price before the first trade, such that splits leave a usual price behind."""
    if fund["symbol"] in LISTINGS and dates and dates[0] == LISTINGS[fund["symbol"]][0]:
        start = 1000.0
    elif fund["asset_class"] == "bond":
        start = 4000.0
    else:
        start = 1100.0 + zlib.crc32(fund["symbol"].encode()) % 1200
    for ratio in (_split(fund, day) for day in dates):
        start *= ratio
    return floor(min(start, 4800.0))


def _split(fund: dict, day: str) -> float:
    return fund["seed_splits"].get(day, SPLITS.get((fund["symbol"], day), 1.0))


def _ex_rights(fund: dict, day: str, close: int, missed_return: float) -> int:
    ratio = _split(fund, day)
    if ratio != 1:
        return max(1, floor(close * (1 + missed_return) / ratio + 0.5))
    percent = DIVIDENDS.get((fund["symbol"], day), 0)
    return close - (close * percent + 50) // 100


def _no_trade(close: int, kind: str) -> tuple:
    if kind == "null":
        return close, None, None, None, close, None, None
    return close, close, close, close, close, 0, 0


def _prices(
    fund: dict, day: str, pre: int, change: float, volatility: float, draw: list[float]
) -> tuple[int, int, int, int]:
    """Return open, high, low, close in ticks, within the price limits."""
    percent = next((p for since, p in reversed(fund["limits"]) if since <= day), 10)
    up, down = (pre * (100 + percent) + 50) // 100, (pre * (100 - percent) + 50) // 100
    open_, close = pre * (1 + 0.4 * change + 0.3 * volatility * draw[0]), pre * (1 + change)
    direction, sealed = LIMIT_OPENS.get(
        (fund["symbol"], day), LIMIT_OPENS.get((fund["pool"], day), (0, False))
    )
    if direction:
        open_ = up if direction > 0 else down
        close = open_ if sealed else close + 0.4 * (open_ - pre)
    if sealed:
        return (open_,) * 4
    high = max(open_, close) + pre * 0.4 * volatility * abs(draw[1])
    low = min(open_, close) - pre * 0.4 * volatility * abs(draw[2])
    return tuple(min(max(floor(price + 0.5), down), up) for price in (open_, high, low, close))


def _money(symbol: str, surprise: np.ndarray) -> list[float]:
    """Return the CNY to trade on each session: clustered, and more on days of large moves."""
    usual = 1_000_000 * USUAL_MONEY[zlib.crc32(symbol.encode()) % len(USUAL_MONEY)]
    spells = _persistent(_normals(f"money {symbol}", len(surprise), 1)[:, 0], VOLUME_MEMORY)
    level = np.clip(0.4 * spells + 0.2 * (np.abs(surprise) - 0.8), -2.0, 2.0)
    # Close to exp(level), from exact operations alone.
    factor = 1 + level / 8
    for _ in range(3):
        factor = factor * factor
    return (THIN.get(symbol, usual) * factor).tolist()


def _traded(money: float, prices: tuple[int, int, int, int]) -> tuple[int, int]:
    """Return shares and CNY; the average price is the mean of the four, so between low and high."""
    ticks = sum(prices)
    shares = max(100, floor(money * 4000 / ticks))
    return shares, (shares * ticks + 2000) // 4000


def main() -> None:
    """Write the sample from the command line and print what the folder holds."""
    events, pools_csv = __doc__ or "", Path(__file__).parents[2] / "seeds" / "etf_pools.csv"
    parser = argparse.ArgumentParser(
        prog="python -m etf_rotation.sample",
        description=events,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="where to write; an older sample is replaced")
    parser.add_argument("--pools-csv", type=Path, default=pools_csv, help="the seed etf_pools")
    parser.add_argument("--last-session", default="2024-12-31", help="YYYY-MM-DD (2024-12-31)")
    parser.add_argument("--sessions", type=int, default=1500, help="number of sessions (1500)")
    given = parser.parse_args()
    try:
        write_sample(
            given.folder,
            pools_csv=given.pools_csv,
            last_session=given.last_session,
            sessions=given.sessions,
        )
    except (InputError, OSError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    print(_summary(given.folder))


def _summary(folder: Path) -> str:
    files = sorted((folder / "ETF" / "daily").glob("*.parquet"))
    dates = [
        pq.read_table(path, columns=["trade_date"])["trade_date"].to_pylist() for path in files
    ]
    first, last = min(map(min, dates)), max(map(max, dates))
    rows = sum(map(len, dates))
    return f"{len(files)} funds, {rows} rows, {first} to {last}, synthetic, in {folder}"


if __name__ == "__main__":
    main()
