"""Convert sheets to bars: symbols, dates, numbers, units and the previous close."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from etf_rotation.fetch.bars import CNY_PER_UNIT, LARGE_RATIO, PRICES, SHARES_PER_LOT, UNIT_MEDIAN
from etf_rotation.fetch.store import complete
from etf_rotation.fetch.texts import RefusedError
from etf_rotation.importing.reading import Sheet

CODE = re.compile(r"(?<!\d)([15]\d{5})(?!\d)")
NUMBER_COLUMNS = (*PRICES, "pre_close", "vol", "amount", "adj_factor", "adj_close")
DATE = re.compile(
    r"(\d{4})(?:(\d{2})(\d{2})|[-/.年](\d{1,2})[-/.月](\d{1,2})日?)"
    r"(?:[ T]00:00(?::00(?:\.0+)?)?|\.0)?"  # midnight counts as no time of day
)
ADJUSTED_TITLE = ("前复权", "后复权", "等比复权")
UNADJUSTED_FLAG = "3"
# Shares or CNY per unit of a file's numbers. The usual one comes first if amount /
# (volume * close) cannot distinguish two combinations.
VOLUME_UNITS = {1.0: "unit_share", 100.0: "unit_lot", 10_000.0: "unit_10000_shares"}
AMOUNT_UNITS = {1.0: "unit_cny", 1000.0: "unit_1000_cny", 10_000.0: "unit_10000_cny"}
# Allowed relative difference of pre_close and adj_factor; more for a split over a
# suspended session.
SAME_LINK, SAME_SPLIT = 0.01, 0.10


@dataclass
class Fund:
    """Rows of a fund in one file, in lots and thousand CNY.

    `numbers` maps a column to an array, NaN for an empty cell. `lines` are line numbers
    in the file. `volume_unit` and `amount_unit` are keys of texts.
    """

    symbol: str
    file: str
    dates: list[dt.date]
    lines: list[int]
    numbers: dict[str, np.ndarray]
    headings: dict[str, str]
    volume_unit: str
    amount_unit: str
    notes: list[tuple[str, dict]] = field(default_factory=list)


def convert(sheet: Sheet) -> list[Fund]:
    """Return the funds of a sheet.

    Raises
    ------
    RefusedError
        The message names file, line and column of the first unusable cell.
    """
    _refuse_adjusted(sheet)
    symbols = _symbols(sheet)
    dates = [_date(sheet, row, value) for row, value in enumerate(sheet.columns["trade_date"])]
    numbers = {name: _numbers(sheet, name) for name in NUMBER_COLUMNS if name in sheet.columns}
    shares, cny = _units(sheet, numbers)
    numbers["vol"] = numbers["vol"] * (shares / SHARES_PER_LOT)
    numbers["amount"] = numbers["amount"] * (cny / CNY_PER_UNIT)
    funds = []
    for symbol in dict.fromkeys(symbols):
        rows = [row for row, own in enumerate(symbols) if own == symbol]
        rows.sort(key=lambda row: dates[row])
        fund = Fund(
            symbol,
            sheet.file,
            [dates[row] for row in rows],
            [sheet.lines[row] for row in rows],
            {name: values[rows] for name, values in numbers.items()},
            sheet.headings,
            VOLUME_UNITS[shares],
            AMOUNT_UNITS[cny],
        )
        _settle_adjustment(fund)
        funds.append(fund)
    funds[0].notes += [("import_note", {"note": note}) for note in sheet.notes]
    return funds


def _refuse(sheet: Sheet, row: int, column: str, key: str, **facts: object) -> RefusedError:
    return RefusedError(
        "import_cell",
        file=sheet.file,
        line=sheet.lines[row],
        column=sheet.headings.get(column, column),
        reason=RefusedError(key, **facts),
    )


def _refuse_adjusted(sheet: Sheet) -> None:
    word = next((word for word in ADJUSTED_TITLE if word in sheet.title), None)
    if word:
        raise RefusedError("import_adjusted_title", file=sheet.file, line=1, word=word)
    for row, flag in enumerate(sheet.columns.get("adjustflag", [])):
        if str(flag) != UNADJUSTED_FLAG:
            raise _refuse(sheet, row, "adjustflag", "import_adjusted_flag", value=flag)


def _symbols(sheet: Sheet) -> list[str]:
    """Return each row's symbol, from the column, else from the file's name or title."""
    named = set(CODE.findall(sheet.file)) or set(CODE.findall(sheet.title))
    own = next(iter(named)) if len(named) == 1 else None
    if "ts_code" not in sheet.columns:
        if own is None:
            raise RefusedError("import_no_code", file=sheet.file)
        return [_complete(own)] * len(sheet.lines)
    known: dict[object, str] = {}
    for row, value in enumerate(sheet.columns["ts_code"]):
        if value in known:
            continue
        codes = CODE.findall(str(value))
        exchange = re.search("SH|SZ", str(value).upper())
        if len(codes) != 1 or (exchange and exchange[0] != _complete(codes[0])[-2:]):
            raise _refuse(sheet, row, "ts_code", "import_no_fund", value=value)
        if own is not None and codes[0] != own:
            raise _refuse(sheet, row, "ts_code", "import_other_code", value=value, name=own)
        known[value] = _complete(codes[0])
    return [known[value] for value in sheet.columns["ts_code"]]


def _complete(code: str) -> str:
    symbol = complete(code)
    assert symbol is not None, "CODE finds digits of exchange funds only"
    return symbol


def _date(sheet: Sheet, row: int, value: object) -> dt.date:
    if isinstance(value, dt.datetime):
        if value.time() == dt.time.min and value.tzinfo is None:
            return value.date()
    elif isinstance(value, dt.date):
        return value
    found = DATE.fullmatch(str(value).strip())
    try:
        year, *rest = found.groups() if found else ()
        month, day = (part for part in rest if part is not None)
        return dt.date(int(year), int(month), int(day))
    except ValueError:
        raise _refuse(sheet, row, "trade_date", "no_date", value=str(value)[:30]) from None


def _numbers(sheet: Sheet, name: str) -> np.ndarray:
    cells = sheet.columns[name]
    texts = [cell.replace(",", "") if isinstance(cell, str) else cell for cell in cells]
    try:
        array = pa.array(texts).cast(pa.float64())
    except (pa.ArrowException, TypeError):
        row = next(row for row, cell in enumerate(texts) if not _is_number(cell))
        raise _refuse(sheet, row, name, "import_no_number", value=str(cells[row])[:30]) from None
    return array.to_numpy(zero_copy_only=False).astype(float)


def _is_number(cell: Any) -> bool:
    try:
        return cell is None or float(cell) is not None
    except (TypeError, ValueError):
        return False


def _units(sheet: Sheet, numbers: dict[str, np.ndarray]) -> tuple[float, float]:
    """Return the file's volume unit in shares, and its amount unit in CNY.

    In the right units amount / (volume * close) is about 1. Two pairs of units give the
    same ratio: shares with CNY, and 10,000 shares with 10,000 CNY. The headings then
    decide; without units in them, whole volumes are shares.
    """
    traded = (numbers["vol"] > 0) & (numbers["close"] > 0) & (numbers["amount"] > 0)
    if not traded.any():
        raise _refuse(sheet, 0, "vol", "import_nothing_traded")
    vol, amount = numbers["vol"][traded], numbers["amount"][traded]
    ratio = float(np.median(amount / (vol * numbers["close"][traded])))
    low, high = UNIT_MEDIAN
    fitting = [
        (shares, cny)
        for shares in VOLUME_UNITS
        for cny in AMOUNT_UNITS
        if low <= ratio * cny / shares <= high
        and sheet.units.get("vol", shares) == shares
        and sheet.units.get("amount", cny) == cny
    ]
    if len(fitting) > 1 and (vol == np.round(vol)).all():
        fitting = [pair for pair in fitting if pair == (1.0, 1.0)]
    if len(fitting) != 1:
        key = "import_units_unclear" if fitting else "import_units"
        row = int(np.argmax(traded))
        raise _refuse(sheet, row, "amount", key, ratio=f"{ratio:.4g}")
    return fitting[0]


def _settle_adjustment(fund: Fund) -> None:
    """Make `pre_close` the only source of adjustments, if need be from `adj_factor`."""
    numbers = fund.numbers
    factor, adjusted = numbers.pop("adj_factor", None), numbers.pop("adj_close", None)
    has_pre_close = "pre_close" in numbers and not np.isnan(numbers["pre_close"][1:]).all()
    if not has_pre_close:
        numbers.pop("pre_close", None)
    if factor is not None and not np.isnan(factor).all():
        _use_factor(fund, factor, has_pre_close=has_pre_close)
    elif adjusted is not None and not np.isnan(adjusted).all():
        if not has_pre_close:
            raise RefusedError(
                "import_cell",
                file=fund.file,
                line=fund.lines[0],
                column=fund.headings["adj_close"],
                reason=RefusedError("import_adj_close"),
            )
        fund.notes.append(("import_left_out", {"column": fund.headings["adj_close"]}))


def _use_factor(fund: Fund, factor: np.ndarray, *, has_pre_close: bool) -> None:
    wrong = ~(factor > 0) & (fund.numbers["vol"] > 0)
    close = fund.numbers["close"]
    traded = np.flatnonzero(~wrong & (close > 0))
    row = int(np.argmax(wrong)) if wrong.any() else None
    derived = np.full(len(close), np.nan)
    before, here = traded[:-1], traded[1:]
    link = factor[here] / factor[before]
    derived[here] = np.where(link == 1, close[before], close[before] / link)
    reason = RefusedError("import_factor_missing")
    if row is None and has_pre_close:
        given = fund.numbers["pre_close"]
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.abs(derived / given - 1)
            is_split = np.abs(close[np.maximum(np.arange(len(close)) - 1, 0)] / given - 1)
        limit = np.where(is_split > LARGE_RATIO, SAME_SPLIT, SAME_LINK)
        differs = ratio > limit
        if differs.any():
            row = int(np.argmax(differs))
            reason = RefusedError(
                "import_two_adjustments", given=f"{given[row]:.4g}", derived=f"{derived[row]:.4g}"
            )
    if row is not None:
        raise RefusedError(
            "import_cell",
            file=fund.file,
            line=fund.lines[row],
            column=fund.headings["adj_factor"],
            reason=reason,
        )
    if has_pre_close:
        fund.notes.append(("import_left_out", {"column": fund.headings["adj_factor"]}))
        return
    fund.numbers["pre_close"] = derived
    fund.notes.append(("import_from_factor", {"column": fund.headings["adj_factor"]}))
