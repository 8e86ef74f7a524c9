"""Parse cells of a broker's file. All functions raise ValueError for a bad cell."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
FEN = Decimal("0.01")
EMPTY = ("", "-", "--", "---")
# Spreadsheets write ="510300" to keep leading zeros, and '510300 to mark text.
_QUOTED = re.compile(r'="(.*)"|\'(.*)')
_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")
_DAY = re.compile(r"(\d{4})(\d{2})(\d{2})|(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?")
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\.\d+)?")
_CODE = re.compile(r"(?:(SH|SZ)[.]?)?(\d{1,6})(?:[.](SH|SS|SZ|XSHG|XSHE))?", re.IGNORECASE)
_MARKETS = {"SH": "SH", "SS": "SH", "XSHG": "SH", "SZ": "SZ", "XSHE": "SZ"}
_EPOCH_SECONDS, _EPOCH_MILLISECONDS, _COMPACT = 10, 13, 14


def clean(cell: str) -> str:
    """Return a cell without outer blanks, full-width characters and quoting."""
    text = unicodedata.normalize("NFKC", cell).strip()
    quoted = _QUOTED.fullmatch(text)
    if quoted:
        text = (quoted[1] if quoted[1] is not None else quoted[2]).strip()
    return text


def number(text: str) -> Decimal | None:
    """Return the number in a cell, None if the cell is empty.

    Raises
    ------
    ValueError
        Anything else, such as a comma that does not separate thousands, or an infinity.
    """
    if text in EMPTY:
        return None
    if "," in text:
        if not _GROUPED.fullmatch(text):
            raise ValueError(text)
        text = text.replace(",", "")
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(text) from None
    if not value.is_finite():
        raise ValueError(text)
    return value


def fen(value: Decimal) -> Decimal:
    """Return CNY rounded to the fen, half away from zero."""
    return value.quantize(FEN, ROUND_HALF_UP)


def money(text: str) -> Decimal:
    """Return an amount of CNY with at most two decimals.

    Raises
    ------
    ValueError
        Not a number, or more than two decimals.
    """
    value = number(clean(text))
    if value is None or value != fen(value):
        raise ValueError(text)
    return fen(value)


def moment(text: str) -> tuple[dt.date | None, str | None]:
    """Return date and time of day (`HH:MM:SS`) in a cell; a missing part is None.

    Reads dates (20230601, 2023-06-01, 2023/6/1), times (09:30:00, 93000), both
    together, and seconds or milliseconds since 1970, which are read in Shanghai's time.

    Raises
    ------
    ValueError
        None of these formats.
    """
    if text in EMPTY:
        return None, None
    if text.isdigit() and len(text) in (_EPOCH_SECONDS, _EPOCH_MILLISECONDS):
        seconds = int(text) / (1000 if len(text) == _EPOCH_MILLISECONDS else 1)
        then = dt.datetime.fromtimestamp(seconds, SHANGHAI)
        return then.date(), f"{then:%H:%M:%S}"
    if text.isdigit() and len(text) == _COMPACT:
        return day(text[:8]), _time(text[8:])
    head, _, tail = text.replace("T", " ").partition(" ")
    if _DAY.fullmatch(head):
        return day(head), _time(tail.strip()) if tail.strip() else None
    return None, _time(text)


def day(text: str) -> dt.date:
    """Return the date in a text.

    Raises
    ------
    ValueError
        Not a date.
    """
    match = _DAY.fullmatch(text)
    if not match:
        raise ValueError(text)
    year, month, day_of_month = (int(part) for part in match.groups() if part is not None)
    return dt.date(year, month, day_of_month)


def _time(text: str) -> str:
    match = _TIME.fullmatch(text)
    if match:
        hour, minute, second = (int(part or 0) for part in match.groups())
    elif text.isdigit() and len(text) in (5, 6):
        digits = text.zfill(6)
        hour, minute, second = (int(digits[place : place + 2]) for place in (0, 2, 4))
    else:
        raise ValueError(text)
    return dt.time(hour, minute, second).isoformat()


def symbol(text: str, symbol_of_code: Mapping[str, str]) -> str | None:
    """Return a code as `NNNNNN.SH` or `NNNNNN.SZ`, None if the cell is empty.

    Parameters
    ----------
    text : str
        Six digits with an optional exchange before or after them. Lost leading zeros
        are restored; no fund is affected, because fund codes begin with 1 or 5.
    symbol_of_code : mapping
        The funds of the pools, by their six digits.

    Raises
    ------
    ValueError
        Not a code.
    """
    if text in EMPTY:
        return None
    match = _CODE.fullmatch(text)
    if not match or (match[1] and match[3]):
        raise ValueError(text)
    code, market = match[2].zfill(6), _MARKETS.get((match[1] or match[3] or "").upper())
    if market is None and code in symbol_of_code:
        return symbol_of_code[code]
    # Shanghai repos begin with 204; for all other codes the first digit decides.
    is_shanghai = code[0] in "569" or code.startswith("204")
    return f"{code}.{market or ('SH' if is_shanghai else 'SZ')}"


def masked(text: str, digits: int = 5) -> str:
    """Mask runs of at least so many digits, which may be an account number."""
    return re.sub(rf"\d{{{digits},}}", "*", text)
