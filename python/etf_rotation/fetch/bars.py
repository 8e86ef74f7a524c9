"""Daily bars in the raw layout, and the checks of a vendor's response."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etf_rotation.fetch.ex_rights import UNKNOWN
from etf_rotation.fetch.texts import RefusedError

PRICES = ("open", "high", "low", "close")
NUMBERS = (*PRICES, "pre_close", "vol", "amount")
# CNY per share, unadjusted; vol in lots of 100 shares, amount in thousand CNY.
SCHEMA = pa.schema(
    [("ts_code", pa.string()), ("trade_date", pa.date32())]
    + [(name, pa.float64()) for name in NUMBERS]
)
SHARES_PER_LOT, CNY_PER_UNIT = 100.0, 1000.0

# amount / (volume * close). A wrong unit is a factor of 10 or more. All 694,968 bars of
# the market to 2023-06 lie within 0.71 to 1.53, and each fund's median within 1% of 1.
UNIT_BAR, UNIT_MEDIAN = (0.4, 2.5), (0.9, 1.1)
# Allowed deviation from 1 of the median of amount / (volume * mean price), by number of
# bars. Measured on the market to 2023-06: 0.991 to 1.008 for 60 bars, 0.980 to 1.016
# for 20, 0.951 to 1.038 for 5.
BASIS_BOUNDS = ((60, 0.01), (20, 0.03), (5, 0.07))
# Eastmoney rounds to whole lots. With fewer lots the volume is too coarse for the
# comparison.
FEWEST_LOTS = 100
# The longest gap in the rows of a real fund is 20 sessions.
LONGEST_GAP = 60
MOST_ADJUSTMENTS, ADJUSTMENT_BARS = 15, 250
EX_DAY = 0.0005  # CNY by which pre_close differs from the previous close
LARGE_RATIO = 0.15  # a ratio further from 1 may be a split
SANE_RATIO = (0.01, 100.0)


@dataclass(frozen=True)
class Action:
    """A corporate action: its kind, if the source reveals it, and a split's ratio."""

    kind: str = UNKNOWN
    share_ratio: float | None = None


@dataclass(frozen=True)
class Answer:
    """A vendor's bars of one fund.

    Attributes
    ----------
    bars : pa.Table
        `SCHEMA`, by date; no row after the last requested session.
    later : tuple of date
        Dates of later rows, which are left out.
    tolerance : np.ndarray or None
        Per row, the allowed difference of another answer's `pre_close`, CNY. None: no
        difference is allowed.
    actions : dict
        Corporate actions that the source reveals, by date.
    is_end_empty : bool
        Whether the newest of several pages has no row, although older ones do.
    """

    bars: pa.Table
    later: tuple[dt.date, ...] = ()
    tolerance: np.ndarray | None = None
    actions: Mapping[dt.date, Action] = field(default_factory=dict)
    is_end_empty: bool = False


@dataclass(frozen=True)
class ExDay:
    """An ex-date in the bars: previous close and ex-rights price, CNY."""

    date: dt.date
    previous_close: float
    pre_close: float

    @property
    def ratio(self) -> float:
        """Old price per new price."""
        return self.previous_close / self.pre_close

    @property
    def is_large(self) -> bool:
        """Whether it may be a split."""
        return abs(self.ratio - 1) > LARGE_RATIO


def table(symbol: str, dates: Sequence[dt.date], numbers: Mapping[str, np.ndarray]) -> pa.Table:
    """Return bars by date; NaN becomes null, and a missing column is null.

    Vendors write 0 where a fund has no previous close: that is null too.
    """
    if "pre_close" in numbers:
        before = numbers["pre_close"]
        numbers = {**numbers, "pre_close": np.where(before == 0, np.nan, before)}
    columns = {
        name: pa.array(numbers[name], pa.float64(), from_pandas=True)
        if name in numbers
        else pa.nulls(len(dates), pa.float64())
        for name in NUMBERS
    }
    rows = pa.table(
        {"ts_code": [symbol] * len(dates), "trade_date": list(dates), **columns}, schema=SCHEMA
    )
    return rows.sort_by("trade_date")


def numbers(bars: pa.Table, name: str) -> np.ndarray:
    """Return a column as doubles, NaN where it is null."""
    return bars[name].to_numpy().astype(float)


def dates(bars: pa.Table) -> list[dt.date]:
    """Return the dates of the rows."""
    # numpy, because it is 20 times faster than pyarrow here.
    return bars["trade_date"].to_numpy().tolist()


def split_at(bars: pa.Table, last: dt.date) -> tuple[pa.Table, tuple[dt.date, ...]]:
    """Return the bars up to `last`, and the dates of the rest."""
    is_wanted = pc.less_equal(bars["trade_date"], pa.scalar(last, pa.date32()))
    return bars.filter(is_wanted), tuple(dates(bars.filter(pc.invert(is_wanted))))


def judge_dates(
    answer: Answer, *, first: dt.date, today: dt.date, is_session: Callable[[dt.date], bool]
) -> None:
    """Reject duplicate, unrequested and future rows, and rows outside sessions.

    Raises
    ------
    RefusedError
    """
    days = [*dates(answer.bars), *answer.later]
    if not days:
        raise RefusedError("empty_answer")
    twice = next((day for day, after in zip(days, days[1:], strict=False) if day == after), None)
    if twice:
        raise RefusedError("date_twice", date=twice)
    if max(days) > today:
        raise RefusedError("row_of_tomorrow", date=max(days), today=today)
    if min(days) < first:
        raise RefusedError("row_not_asked", date=min(days), first=first)
    closed = next((day for day in days if not is_session(day)), None)
    if closed:
        raise RefusedError("no_session", date=closed)


def judge_values(bars: pa.Table) -> None:
    """Reject bars with contradictory values, wrong units or adjusted prices.

    Rows without volume are suspensions; their prices are not checked.

    Raises
    ------
    RefusedError
    """
    days = dates(bars)
    columns = {name: numbers(bars, name) for name in NUMBERS}
    _refuse_values(days, columns)
    traded = columns["vol"] > 0
    days = [day for day, is_traded in zip(days, traded, strict=True) if is_traded]
    columns = {name: values[traded] for name, values in columns.items()}
    if days:
        _refuse_prices(days, columns)
        _refuse_units(days, columns)
        _refuse_basis(days, columns)


def _refuse_values(days: list[dt.date], columns: Mapping[str, np.ndarray]) -> None:
    vol, amount = columns["vol"], columns["amount"]
    is_bar = vol > 0
    for name in ("vol", "amount"):
        values = columns[name]
        wrong = np.isinf(values) | (values < 0)
        if name == "amount":
            wrong |= is_bar & ~(amount > 0)
        _refuse_first(wrong, days, values, name)
    for name in (*PRICES, "pre_close"):
        values = columns[name]
        wrong = is_bar & ~(values > 0) | np.isinf(values)
        if name == "pre_close":
            wrong = (values <= 0) | np.isinf(values)
        _refuse_first(wrong, days, values, name)


def _refuse_first(wrong: np.ndarray, days: list[dt.date], values: np.ndarray, name: str) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        raise RefusedError("wrong_value", date=days[row], column=name, value=_shown(values[row]))


def _refuse_prices(days: list[dt.date], columns: Mapping[str, np.ndarray]) -> None:
    low, high = columns["low"], columns["high"]
    for name in ("open", "close"):
        outside = (columns[name] > high) | (columns[name] < low)
        if outside.any():
            row = int(np.argmax(outside))
            raise RefusedError(
                "price_outside_range",
                date=days[row],
                column=name,
                value=_shown(columns[name][row]),
                low=_shown(low[row]),
                high=_shown(high[row]),
            )
    # high < low is checked above; pre_close belongs to the previous day.
    before = columns["pre_close"]
    ratio = columns["close"] / np.where(before > 0, before, columns["close"])
    wild = (ratio < SANE_RATIO[0]) | (ratio > SANE_RATIO[1])
    _refuse_first(wild, days, before, "pre_close")


def _refuse_units(days: list[dt.date], columns: Mapping[str, np.ndarray]) -> None:
    money = columns["vol"] * SHARES_PER_LOT * columns["close"]
    ratio = columns["amount"] * CNY_PER_UNIT / money
    median = float(np.median(ratio))
    low, high = UNIT_MEDIAN
    if not low <= median <= high:
        raise RefusedError("units", ratio=f"{median:.4g}")
    low, high = UNIT_BAR
    wrong = (ratio < low) | (ratio > high)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise RefusedError("unit_of_bar", date=days[row], ratio=f"{ratio[row]:.4g}")


def _refuse_basis(days: list[dt.date], columns: Mapping[str, np.ndarray]) -> None:
    block = adjusted_block(columns)
    if block:
        first, last, ratio = block
        raise RefusedError("price_basis", first=days[first], last=days[last], ratio=f"{ratio:.4f}")


def adjusted_block(columns: Mapping[str, np.ndarray]) -> tuple[int, int, float] | None:
    """Return first row, last row and median ratio of bars with adjusted prices.

    Parameters
    ----------
    columns : mapping
        open, high, low, close in CNY, vol in lots, amount in thousand CNY, of traded
        sessions.

    Returns
    -------
    tuple or None
        The block whose median of amount / (volume * mean price) is furthest from 1.
        None if all blocks are within the bounds for their length, or if there are too
        few bars.
    """
    rows = np.flatnonzero(columns["vol"] >= FEWEST_LOTS)
    mean = sum(columns[name] for name in PRICES) / len(PRICES)
    ratio = (columns["amount"] * CNY_PER_UNIT / (columns["vol"] * SHARES_PER_LOT * mean))[rows]
    bound = next((pair for pair in BASIS_BOUNDS if len(ratio) >= pair[0]), None)
    if bound is None:
        return None
    length = bound[0] if bound == BASIS_BOUNDS[0] else len(ratio)
    medians = np.median(np.lib.stride_tricks.sliding_window_view(ratio, length), axis=1)
    worst = int(np.argmax(np.abs(medians - 1)))
    if abs(medians[worst] - 1) <= bound[1]:
        return None
    return int(rows[worst]), int(rows[worst + length - 1]), float(medians[worst])


def judge_history(bars: pa.Table, sessions: Sequence[dt.date]) -> None:
    """Reject a whole history with missing rows in the middle: a page was cut.

    Parameters
    ----------
    bars : pa.Table
        All rows of the future file, by date.
    sessions : sequence of date
        The exchange's sessions over the same years.

    Raises
    ------
    RefusedError
    """
    days = dates(bars)
    number = {day: place for place, day in enumerate(sessions)}
    for before, day in zip(days, days[1:], strict=False):
        if number.get(day, 0) - number.get(before, 0) > LONGEST_GAP:
            raise RefusedError("hole", first=before, last=day)


def judge_adjustment(bars: pa.Table) -> None:
    """Reject a `pre_close` that is missing on some bars or inconsistent with prices.

    Raises
    ------
    RefusedError
    """
    days = dates(bars)
    traded = np.flatnonzero(numbers(bars, "vol") > 0)[1:]
    missing = traded[np.isnan(numbers(bars, "pre_close")[traded])]
    if len(missing):
        raise RefusedError("pre_close_missing", date=days[missing[0]])
    place = {day: row for row, day in enumerate(days)}
    rows = [place[day.date] for day in ex_days(bars)]
    for start, end in zip(rows, rows[MOST_ADJUSTMENTS:], strict=False):
        if end - start < ADJUSTMENT_BARS:
            raise RefusedError("adjustment_count", first=days[start], last=days[end])


def ex_days(bars: pa.Table) -> list[ExDay]:
    """Return the rows whose `pre_close` differs from the previous row's close."""
    close, before = numbers(bars, "close"), numbers(bars, "pre_close")
    known = np.flatnonzero(~np.isnan(close))
    if not len(known):
        return []
    # The close of a suspended session may be null, so use the last known one.
    rows = np.arange(len(close))
    last_known = np.searchsorted(known, rows, side="right") - 1
    filled = np.where(last_known >= 0, close[known[np.maximum(last_known, 0)]], np.nan)
    previous = np.concatenate([[np.nan], filled[:-1]])
    with np.errstate(invalid="ignore"):
        found = np.flatnonzero(np.abs(before - previous) > EX_DAY)
    days = dates(bars)
    return [ExDay(days[row], float(previous[row]), float(before[row])) for row in found]


def _shown(value: float) -> str:
    return "null" if np.isnan(value) else f"{value:.10g}"
