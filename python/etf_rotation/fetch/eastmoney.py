"""Eastmoney's daily lines, unadjusted and forward-adjusted, give the previous close.

The addresses are those of its public chart pages. They have no documentation or
license. Each line is date, open, close, high, low, volume in whole lots, amount in CNY:
the close comes second.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from etf_rotation.fetch.bars import (
    CNY_PER_UNIT,
    PRICES,
    Action,
    Answer,
    dates,
    split_at,
    table,
)
from etf_rotation.fetch.ex_rights import ContradictionError, previous_closes
from etf_rotation.fetch.sources import Request, Source
from etf_rotation.fetch.texts import RefusedError

PATH = "/api/qt/stock/kline/get"
COLUMNS = ("open", "close", "high", "low", "vol", "amount")
MARKETS = {"SH": 1, "SZ": 0}
UNADJUSTED, FORWARD_ADJUSTED = "0", "1"
# Both series are equal on the newest bar, so every request includes it.
# The key that its chart pages send for every visitor.
PUBLIC_KEY = "fa5fd1943c7b386f172d6893dbfba10b"
OPEN_END = "20500101"


def requests(url: str, symbol: str, first: dt.date, last: dt.date) -> list[Request]:
    """Return the requests for unadjusted and for forward-adjusted prices."""
    code, exchange = symbol.split(".")
    return [
        Request(
            source=SOURCE.name,
            url=url + PATH,
            params={
                "secid": f"{MARKETS[exchange]}.{code}",
                "klt": "101",
                "fqt": adjustment,
                "beg": f"{first:%Y%m%d}",
                "end": OPEN_END,
                "ut": PUBLIC_KEY,
                "fields1": "f1,f2,f3,f4,f5,f6",
                "fields2": "f51,f52,f53,f54,f55,f56,f57,f58,f59,f60,f61",
            },
        )
        for adjustment in (UNADJUSTED, FORWARD_ADJUSTED)
    ]


def answer(symbol: str, payloads: Sequence[object], last: dt.date) -> Answer:
    """Return the bars in lots and thousand CNY, with the derived `pre_close`.

    The first row has no `pre_close`. Rows after `last` are dropped first: today's row
    changes between the two requests until the session is over.

    Raises
    ------
    RefusedError
        The answer is invalid, belongs to another fund, or its two series contradict
        each other.
    """
    raw, adjusted = (_lines(symbol, payload) for payload in payloads)
    if [day for day in raw if day <= last] != [day for day in adjusted if day <= last]:
        odd = sorted(day for day in raw.keys() ^ adjusted.keys() if day <= last)
        raise RefusedError("pair_dates", date=odd[0] if odd else min(raw))
    values = np.array(list(raw.values())).reshape(-1, len(COLUMNS))
    columns = dict(zip(COLUMNS, values.T, strict=True))
    bars, later = split_at(
        table(symbol, list(raw), columns | {"amount": columns["amount"] / CNY_PER_UNIT}), last
    )
    if not bars.num_rows:
        return Answer(bars, later)
    close = COLUMNS.index("close")
    adjusted_close = np.array([adjusted[day][close] for day in dates(bars)])
    return _with_previous_close(bars, adjusted_close, later)


def _with_previous_close(
    bars: pa.Table, adjusted: np.ndarray, later: tuple[dt.date, ...]
) -> Answer:
    days = dates(bars)
    raw = {name: bars[name].to_numpy() for name in (*PRICES, "vol", "amount")}
    if not (raw["close"] > 0).all():
        row = int(np.argmin(raw["close"] > 0))
        raise RefusedError("wrong_value", date=days[row], column="close", value=raw["close"][row])
    try:
        pre_close, tolerance, events = previous_closes(
            raw["close"], adjusted, is_anchored=not later
        )
    except ContradictionError as error:
        raise RefusedError(
            "pair_contradicts",
            date=days[error.row],
            raw=f"{raw['close'][error.row]:.3f}",
            adjusted=f"{adjusted[error.row]:.3f}",
        ) from None
    symbol = bars["ts_code"][0].as_py()
    actions = {days[event.row]: Action(event.kind, event.share_ratio) for event in events}
    return Answer(table(symbol, days, raw | {"pre_close": pre_close}), later, tolerance, actions)


def _lines(symbol: str, payload: object) -> dict[dt.date, list[float]]:
    if not isinstance(payload, Mapping) or "data" not in payload:
        raise RefusedError("not_the_vendors", source=SOURCE.name)
    if payload.get("rc", 0) != 0:
        raise RefusedError("vendor_code", code=payload["rc"], message="")
    data = payload["data"]
    if data is None:
        raise RefusedError("symbol_unknown")
    if not isinstance(data, Mapping) or not isinstance(data.get("klines"), list):
        raise RefusedError("not_the_vendors", source=SOURCE.name)
    code, exchange = symbol.split(".")
    if str(data.get("code")) != code or data.get("market", MARKETS[exchange]) != MARKETS[exchange]:
        raise RefusedError("other_symbol", other=f"{data.get('market')}.{data.get('code')}")
    found: dict[dt.date, list[float]] = {}
    for line in data["klines"]:
        day, values = _line(line)
        if day in found:
            raise RefusedError("date_twice", date=day)
        found[day] = values
    return dict(sorted(found.items()))


def _line(line: object) -> tuple[dt.date, list[float]]:
    parts = str(line).split(",")
    try:
        return dt.date.fromisoformat(parts[0]), [
            float(part) for part in parts[1 : len(COLUMNS) + 1]
        ]
    except (ValueError, IndexError):
        raise RefusedError(
            "no_number", date=parts[0][:20], column="klines", value=str(line)[:60]
        ) from (None)


SOURCE = Source(
    name="eastmoney",
    setting="ETF_EASTMONEY_URL",
    url="https://push2his.eastmoney.com",
    spacing=1.5,
    requests=requests,
    answer=answer,
    # The pair implies no previous close for its first row.
    context_rows=1,
)
