"""Daily bars of the two exchanges, for comparison with another source.

Shanghai returns the last n sessions of a fund in shares and CNY, without a previous
close. Shenzhen returns at most five days per query, as text, in 10,000 shares and
10,000 CNY, with the previous close. Their terms allow reading for non-commercial use
and no redistribution (docs/data.md).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from etf_rotation.fetch.bars import (
    CNY_PER_UNIT,
    LARGE_RATIO,
    PRICES,
    SHARES_PER_LOT,
    Answer,
    split_at,
    table,
)
from etf_rotation.fetch.bars import numbers as column
from etf_rotation.fetch.sources import Request, Source
from etf_rotation.fetch.texts import RefusedError

SSE_COLUMNS = ("date", "open", "high", "low", "close", "volume", "amount")
# More sessions than compared, in case the vendor's newest session is older.
SSE_MARGIN = 15
SZSE_DAYS = 5
SZSE_NUMBERS = {
    "ks": ("open", 1.0),
    "zg": ("high", 1.0),
    "zd": ("low", 1.0),
    "ss": ("close", 1.0),
    "qss": ("pre_close", 1.0),
    "cjgs": ("vol", 10_000 / SHARES_PER_LOT),
    "cjje": ("amount", 10_000 / CNY_PER_UNIT),
}

PRICE_TOLERANCE = 0.0005
# A previous close derived from rounded prices is off by at most one tick.
PRE_CLOSE_TOLERANCE = 0.0015
VOL_TOLERANCE = (1.0, 1e-5)  # lots, and relative
AMOUNT_TOLERANCE = (1.0, 1e-4)  # thousand CNY, and relative


def sse_requests(url: str, symbol: str, first: dt.date, last: dt.date) -> list[Request]:
    """Return one request for the newest sessions; Shanghai takes no dates."""
    sessions = (last - first).days + SSE_MARGIN
    return [
        Request(
            source=SSE.name,
            url=f"{url}/v1/sh1/dayk/{symbol[:6]}",
            params={"select": ",".join(SSE_COLUMNS), "begin": str(-sessions), "end": "-1"},
            headers={"Referer": "https://www.sse.com.cn/"},
        )
    ]


def sse_answer(symbol: str, payloads: Sequence[object], last: dt.date) -> Answer:
    """Return Shanghai's bars."""
    (payload,) = payloads
    if not isinstance(payload, Mapping) or not isinstance(payload.get("kline"), list):
        raise RefusedError("not_the_vendors", source=SSE.name)
    if str(payload.get("code")) != symbol[:6]:
        raise RefusedError("other_symbol", other=payload.get("code"))
    rows = payload["kline"]
    try:
        days = [dt.datetime.strptime(str(row[0]), "%Y%m%d").date() for row in rows]
        values = np.array([[float(value) for value in row[1:7]] for row in rows]).reshape(-1, 6)
    except (TypeError, ValueError, IndexError):
        raise RefusedError("not_the_vendors", source=SSE.name) from None
    columns = dict(zip(SSE_COLUMNS[1:], values.T, strict=True))
    columns["vol"] = columns.pop("volume") / SHARES_PER_LOT
    columns["amount"] = columns["amount"] / CNY_PER_UNIT
    return Answer(*split_at(table(symbol, days, columns), last))


def szse_requests(url: str, symbol: str, first: dt.date, last: dt.date) -> list[Request]:
    """Return one request per five days."""
    days = range(0, (last - first).days + 1, SZSE_DAYS)
    starts = [first + dt.timedelta(days=day) for day in days]
    return [
        Request(
            source=SZSE.name,
            url=f"{url}/api/report/ShowReport/data",
            params={
                "SHOWTYPE": "JSON",
                "CATALOGID": "1815_stock_snapshot",
                "TABKEY": "tab2",
                "txtDMorJC": symbol[:6],
                "txtBeginDate": start.isoformat(),
                "txtEndDate": min(last, start + dt.timedelta(days=SZSE_DAYS - 1)).isoformat(),
                "PAGENO": "1",
            },
            headers={"Referer": "https://www.szse.cn/"},
        )
        for start in starts
    ]


def szse_answer(symbol: str, payloads: Sequence[object], last: dt.date) -> Answer:
    """Return Shenzhen's bars."""
    rows = [row for payload in payloads for row in _szse_rows(payload)]
    other = next((row.get("zqdm") for row in rows if str(row.get("zqdm")) != symbol[:6]), None)
    if other is not None:
        raise RefusedError("other_symbol", other=other)
    try:
        days = [dt.date.fromisoformat(row["jyrq"]) for row in rows]
        columns = {
            name: np.array([float(str(row[key]).replace(",", "")) * unit for row in rows])
            for key, (name, unit) in SZSE_NUMBERS.items()
        }
    except (KeyError, TypeError, ValueError):
        raise RefusedError("not_the_vendors", source=SZSE.name) from None
    return Answer(*split_at(table(symbol, days, columns), last))


def _szse_rows(payload: object) -> list[dict]:
    tabs = payload if isinstance(payload, list) else [payload]
    if not all(isinstance(tab, Mapping) for tab in tabs):
        raise RefusedError("not_the_vendors", source=SZSE.name)
    # A rejected query has status 200 and a message in this field.
    error = next((tab["error"] for tab in tabs if tab.get("error")), None)
    if error:
        raise RefusedError("vendor_code", code="error", message=error)
    return [row for tab in tabs for row in tab.get("data") or []]


def differences(bars: pa.Table, official: pa.Table) -> list[tuple[dt.date, str, float, float]]:
    """Compare bars with an exchange's, on the exchange's sessions with trades.

    Returns
    -------
    list of (date, column, value, official value)
        A session that only the exchange has stands with the column `row`.
    """
    place = {day: row for row, day in enumerate(bars["trade_date"].to_pylist())}
    mine = {name: column(bars, name) for name in (*PRICES, "pre_close", "vol", "amount")}
    theirs = {name: column(official, name) for name in mine}
    found = []
    for row, day in enumerate(official["trade_date"].to_pylist()):
        if not theirs["vol"][row] > 0:
            continue
        if day not in place:
            found.append((day, "row", np.nan, theirs["close"][row]))
            continue
        here = place[day]
        previous_close = float(mine["close"][here - 1]) if here else np.nan
        for name, values in mine.items():
            value, other = float(values[here]), float(theirs[name][row])
            if not _agree(name, value, other, previous_close):
                found.append((day, name, value, other))
    return found


def _agree(name: str, value: float, other: float, previous_close: float) -> bool:
    if name == "pre_close":
        is_split = value and abs(previous_close / value - 1) > LARGE_RATIO
        if np.isnan(value) or np.isnan(other) or is_split:
            return True
        return abs(value - other) <= PRE_CLOSE_TOLERANCE
    absolute, relative = {"vol": VOL_TOLERANCE, "amount": AMOUNT_TOLERANCE}.get(
        name, (PRICE_TOLERANCE, 0.0)
    )
    return abs(value - other) <= absolute + relative * abs(other)


SSE = Source(
    name="sse",
    setting="ETF_SSE_URL",
    url="https://yunhq.sse.com.cn:32042",
    spacing=1.0,
    requests=sse_requests,
    answer=sse_answer,
)
SZSE = Source(
    name="szse",
    setting="ETF_SZSE_URL",
    url="https://www.szse.cn",
    spacing=1.0,
    requests=szse_requests,
    answer=szse_answer,
)
BY_SUFFIX = {"SH": SSE, "SZ": SZSE}
