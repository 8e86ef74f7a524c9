"""Tushare Pro, interface `fund_daily`: bars with the ex-rights previous close.

Documentation: https://tushare.pro/document/2?doc_id=127. The client library is not
used: it turns HTTP 403 and 500 into an empty table, and sends the token over plain
http.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import numpy as np

from etf_rotation.fetch.bars import NUMBERS, Answer, split_at, table
from etf_rotation.fetch.sources import Request, Source
from etf_rotation.fetch.texts import RefusedError

FIELDS = ("ts_code", "trade_date", *NUMBERS)
# Some accounts get at most 2,000 rows per call. Five years have about 1,220 sessions.
MOST_ROWS = 2000
YEARS = 5


def requests(url: str, symbol: str, first: dt.date, last: dt.date) -> list[Request]:
    """Return one request per span of five years, oldest first."""
    spans, end = [], last
    while end >= first:
        start = max(first, end.replace(year=end.year - YEARS, day=1))
        spans.append((start, end))
        end = start - dt.timedelta(days=1)
    return [
        Request(
            source=SOURCE.name,
            url=url,
            body={
                "api_name": "fund_daily",
                "params": {
                    "ts_code": symbol,
                    "start_date": f"{start:%Y%m%d}",
                    "end_date": f"{end:%Y%m%d}",
                },
                "fields": ",".join(FIELDS),
            },
            needs_token=True,
        )
        for start, end in reversed(spans)
    ]


def answer(symbol: str, payloads: Sequence[object], last: dt.date) -> Answer:
    """Return the bars; Tushare sends lots and thousand CNY.

    Raises
    ------
    RefusedError
        `code` is not 0, a field is missing, a page is full, a row belongs to another
        fund, or a value is no number.
    """
    pages = [_rows(symbol, payload) for payload in payloads]
    rows = [row for page in pages for row in page]
    days = [_date(row["trade_date"]) for row in rows]
    columns = {name: _numbers(name, rows, days) for name in NUMBERS}
    bars, later = split_at(table(symbol, days, columns), last)
    return Answer(bars, later, is_end_empty=bool(rows) and not pages[-1])


def _rows(symbol: str, payload: object) -> list[dict]:
    if not isinstance(payload, Mapping) or "code" not in payload:
        raise RefusedError("not_the_vendors", source=SOURCE.name)
    if payload["code"] != 0:
        raise RefusedError("vendor_code", code=payload["code"], message=payload.get("msg") or "")
    data = payload.get("data")
    if not isinstance(data, Mapping) or not isinstance(data.get("items"), list):
        raise RefusedError("not_the_vendors", source=SOURCE.name)
    names, items = data.get("fields") or [], data["items"]
    missing = [name for name in FIELDS if name not in names]
    if missing and (items or names):
        raise RefusedError("field_missing", column=", ".join(missing))
    if len(items) >= MOST_ROWS or data.get("has_more") is True:
        raise RefusedError("page_cut", rows=len(items))
    if any(not isinstance(item, list) or len(item) != len(names) for item in items):
        raise RefusedError("not_the_vendors", source=SOURCE.name)
    rows = [dict(zip(names, item, strict=True)) for item in items]
    other = next((row["ts_code"] for row in rows if row["ts_code"] != symbol), None)
    if other is not None:
        raise RefusedError("other_symbol", other=other)
    return rows


def _date(value: object) -> dt.date:
    try:
        return dt.datetime.strptime(str(value), "%Y%m%d").date()
    except ValueError:
        raise RefusedError("no_date", value=str(value)[:20]) from None


def _numbers(name: str, rows: list[dict], days: list[dt.date]) -> np.ndarray:
    values = np.empty(len(rows))
    for place, row in enumerate(rows):
        value = row[name]
        try:
            values[place] = np.nan if value is None else float(value)
        except (TypeError, ValueError):
            raise RefusedError(
                "no_number", date=days[place], column=name, value=str(value)[:20]
            ) from None
    return values


SOURCE = Source(
    name="tushare",
    setting="ETF_TUSHARE_URL",
    url="https://api.tushare.pro",
    spacing=0.3,
    requests=requests,
    answer=answer,
    needs_token=True,
)
