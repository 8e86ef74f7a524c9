"""The prices of a synthetic sample of daily bars.

Nothing here is a market price. Every fund of the seed `etf_pools` gets a file with the
layout of Tushare's `fund_daily`. Its return is the sum of four parts: market, pool,
category and the fund itself. Each part has a slow trend (slight momentum) and clustered
volatility.

The same arguments and seeds give the same values on every machine: draws are integers
of PCG64 seeded with the CRC-32 of a name, arithmetic is limited to operations that IEEE
754 rounds exactly, and prices are whole ticks of 0.001 CNY. A fund's file depends on no
other fund.

The table `EVENTS` lists events by fund, date and value:

================  ======================================================================
listed            Only these dates; value: rows without volume before the first trade.
                  Trading in a fund fades before the fund ends.
null, zero        Suspended: rows whose volume is null, or zero.
no_row            Suspended: no rows.
split             Value: new shares per old share. The seed `corporate_actions` does not
                  list it, so the build warns; the previous session is an ordinary one.
dividend          Value: percent of the previous close.
up_open           Opens at limit-up, closes lower. down_open: the mirror image. Happens to
                  a whole pool on the first session of a month, when strategies trade.
up_day, down_day  Every trade of the session is at the limit.
money             Value: million CNY per day, for funds with little trading.
================  ======================================================================

The splits of the seed `corporate_actions` happen too, because the build applies those
ratios to any data. Each happens on its date, after a suspended session whose return is
part of the ex-rights `pre_close`.
"""

from __future__ import annotations

import csv
import zlib
from bisect import bisect_left, bisect_right
from functools import lru_cache
from math import floor, sqrt
from pathlib import Path

import numpy as np
import pyarrow as pa

from etf_rotation.staging.raw_files import SYNTHETIC_KEY

EVENTS = """
listed     512690.SH  20190708-99991231                    0
listed     515210.SH  20200302-99991231                    3
listed     159992.SZ  20200410-99991231                    0
listed     518850.SH  20200605-99991231                    5
listed     159819.SZ  20200923-99991231                    4
listed     588000.SH  20201116-99991231                    0
listed     515790.SH  20201218-99991231                    5
listed     516160.SH  20210204-99991231                    0
listed     516090.SH  20210219-99991231                    3
listed     159883.SZ  20210430-99991231                    0
listed     513130.SH  20210601-99991231                    5
listed     588200.SH  20221026-99991231                    4
listed     516520.SH  20241106-99991231                    2
listed     159998.SZ  00010101-20240308                    0
null       512400.SH  20210510-20210521                    0
zero       510500.SH  20200520,20210301,20230815           0
zero       159801.SZ  20210701-20210730                    0
no_row     512800.SH  20220914-20220916                    0
split      515650.SH  20220620                             2
split      512980.SH  20230515                             0.5
dividend   510050.SH  20191202,20201130,20231127           2
dividend   510300.SH  20200116,20240118                    1
dividend   511010.SH  20221114                             2
dividend   511260.SH  20230904                             3
dividend   512800.SH  20210716                             3
dividend   515180.SH  20201216,20211216,20221216           4
down_open  A_SHARE    20200203                             0
down_open  QDII       20220301                             0
down_open  513050.SH  20210727                             0
down_day   512690.SH  20210802                             0
up_open    512480.SH  20210601                             0
up_open    588000.SH  20241008                             0
up_open    159949.SZ  20241008                             0
up_day     512880.SH  20200701                             0
money      515210.SH  00010101-99991231                    0.7
money      512720.SH  00010101-99991231                    1
money      159883.SZ  00010101-99991231                    2.5
"""

USUAL_MONEY = (15, 30, 50, 80, 120, 200, 300, 450)  # million CNY per day
FADE_SESSIONS = 200
TREND_MEMORY, STORM_MEMORY, VOLUME_MEMORY = 0.98, 0.97, 0.85
TREND = 0.05  # standard deviation of a trend, as a fraction of the daily one
# Daily standard deviations of market, pool, category and fund, then the mean return.
MIXES = {
    "equity": (0.0060, 0.0035, 0.0065, 0.0035, 0.00025),
    "bond": (0.0, 0.0, 0.0020, 0.0012, 0.00010),
    "commodity": (0.0, 0.0, 0.0100, 0.0006, 0.00020),
}
USUAL_TICKS = (800, 5000)

PRICES = ("pre_close", "open", "high", "low", "close")
SCHEMA = pa.schema(
    [("ts_code", pa.string()), ("trade_date", pa.string())]
    + [(name, pa.float64()) for name in (*PRICES, "vol", "amount")],
    metadata={SYNTHETIC_KEY: b"true"},
)


def seeds(pools_csv: Path) -> list[Path]:
    """Return the seeds that decide on prices; all but the first may be missing."""
    others = ("price_limits.csv", "corporate_actions.csv")
    return [pools_csv, *(pools_csv.with_name(name) for name in others)]


def read_funds(pools_csv: Path, dates: list[str]) -> list[dict]:
    """Read the seed's funds with `limits` (from, percent); `events` and `halts` by date.

    Parameters
    ----------
    pools_csv : Path
        The seed `etf_pools`.
    dates : list of str
        Sessions, `YYYYMMDD`, in order.
    """
    funds, limits, actions = (_rows(path) for path in seeds(pools_csv))
    for fund in funds:
        own_limits = [row for row in limits if row["symbol"] == fund["symbol"]]
        fund["limits"] = sorted(
            (row["valid_from"].replace("-", ""), round(100 * float(row["price_limit"])))
            for row in own_limits
        )
        events = _events((fund["symbol"], fund["pool"]), dates)
        halts = {day: kind for kind in ("null", "zero", "no_row") for day in events.get(kind, {})}
        for row in actions:
            day = row["trade_date"].replace("-", "")
            if row["symbol"] == fund["symbol"] and day in dates[1:]:
                events.setdefault("split", {})[day] = float(row["share_ratio"])
                halts[dates[dates.index(day) - 1]] = "zero"
        fund |= {"events": events, "halts": halts}
    return funds


def _rows(path: Path) -> list[dict]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _events(names: tuple[str, ...], dates: list[str]) -> dict[str, dict[str, float]]:
    """Return, per kind of event, its value by session."""
    events: dict[str, dict[str, float]] = {}
    for line in EVENTS.strip().splitlines():
        kind, name, when, value = line.split()
        if name in names:
            days = events.setdefault(kind, {})
            for span in when.split(","):
                start, end = bisect_left(dates, span[:8]), bisect_right(dates, span[-8:])
                days |= dict.fromkeys(dates[start:end], float(value))
    return events


def _normals(name: str, rows: int, columns: int) -> np.ndarray:
    # A sum of twelve integers is close enough to normal. A logarithm's last bit varies
    # between machines, and numpy's own method may change between versions.
    raw = np.random.PCG64(zlib.crc32(name.encode())).random_raw(rows * columns * 3)
    parts = raw.reshape(rows, columns, 3).view(np.uint16)
    return (parts.sum(axis=2, dtype=np.int64) - 12 * 32767.5) / 65536


def _persistent(draws: np.ndarray, memory: float) -> np.ndarray:
    level, levels = 0.0, []
    for draw in draws.tolist():
        level = memory * level + sqrt(1 - memory * memory) * draw
        levels.append(level)
    return np.array(levels)


@lru_cache
def _source(name: str, sessions: int) -> np.ndarray:
    draws = _normals(name, sessions, 3)
    storm = np.clip(1 + 0.3 * _persistent(draws[:, 2], STORM_MEMORY), 0.4, 2.0)
    return storm * draws[:, 0] + TREND * _persistent(draws[:, 1], TREND_MEMORY)


def _returns(fund: dict, sessions: int) -> tuple[np.ndarray, float]:
    """Return the fund's daily returns and their approximate standard deviation."""
    asset_class, category = fund["asset_class"], fund["category"]
    *deviations, mean = MIXES.get(asset_class, MIXES["equity"])
    if fund["pool"] == "QDII":
        deviations[:2] = deviations[1::-1]
    if asset_class == "equity":
        # Categories differ in volatility.
        deviations[2] *= (0.7, 1.0, 1.4)[zlib.crc32(category.encode()) % 3]
    names = ("market", f"pool {fund['pool']}", f"category {category}", f"fund {fund['symbol']}")
    returns = np.full(sessions, mean)
    for name, deviation in zip(names, deviations, strict=True):
        returns = returns + deviation * _source(name, sessions)
    return returns, sqrt(sum(deviation * deviation for deviation in deviations))


def table_of(fund: dict, dates: list[str]) -> pa.Table:
    """Return a fund's rows in raw units, of type `SCHEMA`; no row if it is not listed."""
    columns = list(zip(*_bars(fund, dates), strict=True)) or [()] * 8
    units = {**dict.fromkeys(PRICES, 1000), "vol": 100, "amount": 1000}
    numbers = {
        name: [None if value is None else value / unit for value in values]
        for (name, unit), values in zip(units.items(), columns[1:], strict=True)
    }
    codes = [fund["symbol"]] * len(columns[0])
    return pa.table({"ts_code": codes, "trade_date": columns[0], **numbers}, schema=SCHEMA)


def _bars(fund: dict, dates: list[str]) -> list[tuple]:
    """Return rows of date, five prices in ticks, shares and CNY, all whole numbers."""
    listed = fund["events"].get("listed", dict.fromkeys(dates, 0.0))
    if not listed:
        return []
    first = dates.index(min(listed))
    end = first + len(listed)
    returns, deviation = _returns(fund, len(dates))
    draws = _normals(f"bars {fund['symbol']}", len(dates), 3).tolist()
    money = _money(fund, returns / deviation, end)
    close = _start(fund, is_new=first > 0)
    quiet = range(max(0, first - int(listed[dates[first]])), first)
    rows = [(dates[i], *_no_trade(close, "zero")) for i in quiet]
    for i in range(first, end):
        kind = fund["halts"].get(dates[i])
        if kind == "no_row":
            continue
        if kind:
            rows.append((dates[i], *_no_trade(close, kind)))
            continue
        was_halted = i > first and dates[i - 1] in fund["halts"]
        pre = _ex_rights(fund, dates[i], close, float(returns[i - 1]) if was_halted else 0.0)
        moves = [float(returns[i]), *(0.4 * deviation * draw for draw in draws[i])]
        prices = _prices(fund, dates[i], pre, moves)
        close = prices[-1]
        rows.append((dates[i], pre, *prices, *_traded(money[i], prices)))
    return rows


def _start(fund: dict, *, is_new: bool) -> int:
    """Return the price before the first trade; splits then lead to a usual price."""
    usual = 3000 if fund["asset_class"] == "bond" else 1100
    start = 1000.0 if is_new else usual + zlib.crc32(fund["symbol"].encode()) % 1000
    for ratio in fund["events"].get("split", {}).values():
        start *= ratio
    return floor(min(start, 4200.0))


def _ex_rights(fund: dict, day: str, close: int, missed_return: float) -> int:
    ratio = fund["events"].get("split", {}).get(day)
    if ratio:
        return max(1, floor(close * (1 + missed_return) / ratio + 0.5))
    percent = int(fund["events"].get("dividend", {}).get(day, 0))
    return close - (close * percent + 50) // 100


def _no_trade(close: int, kind: str) -> tuple:
    if kind == "null":
        return close, None, None, None, close, None, None
    return close, close, close, close, close, 0, 0


def _prices(fund: dict, day: str, pre: int, moves: list[float]) -> tuple[int, int, int, int]:
    """Return open, high, low, close in ticks, within the price limits."""
    percent = next((limit for since, limit in reversed(fund["limits"]) if since <= day), 10)
    up, down = (pre * (100 + percent) + 50) // 100, (pre * (100 - percent) + 50) // 100
    change, open_move, above, below = moves
    # Pulls prices back into a range where one tick is neither coarse nor negligible.
    change += 0.0015 * ((pre < USUAL_TICKS[0]) - (pre > USUAL_TICKS[1]))
    open_, close = pre * (1 + 0.4 * change + open_move), pre * (1 + change)
    for name, limit in (("up", up), ("down", down)):
        if day in fund["events"].get(f"{name}_day", {}):
            return limit, limit, limit, limit
        if day in fund["events"].get(f"{name}_open", {}):
            open_, close = limit, close + 0.4 * (limit - pre)
    high, low = max(open_, close) + pre * abs(above), min(open_, close) - pre * abs(below)
    open_, high, low, close = (
        min(max(floor(price + 0.5), down), up) for price in (open_, high, low, close)
    )
    return open_, high, low, close


def _money(fund: dict, surprise: np.ndarray, end: int) -> list[float]:
    """Return the CNY traded per session: clustered, and higher with large moves."""
    usual = USUAL_MONEY[zlib.crc32(fund["symbol"].encode()) % len(USUAL_MONEY)]
    usual = max(fund["events"].get("money", {}).values(), default=usual)
    spells = _persistent(_normals(f"money {fund['symbol']}", len(surprise), 1)[:, 0], VOLUME_MEMORY)
    level = np.clip(0.4 * spells + 0.2 * (np.abs(surprise) - 0.8), -2.0, 2.0)
    # Approximates exp(level) with exact operations only.
    factor = 1 + level / 8
    for _ in range(3):
        factor = factor * factor
    if end < len(surprise):
        factor = factor * np.clip((end - np.arange(len(surprise))) / FADE_SESSIONS, 0, 1)
    return (1e6 * usual * factor).tolist()


def _traded(money: float, prices: tuple[int, int, int, int]) -> tuple[int, int]:
    """Return shares and CNY; the average price is the mean of the four prices."""
    ticks = sum(prices)
    shares = max(100, floor(money * 4000 / ticks))
    return shares, (shares * ticks + 2000) // 4000
