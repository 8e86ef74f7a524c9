"""Previous closes from a pair of price series, one unadjusted and one forward-adjusted.

Eastmoney subtracts a dividend from all earlier prices, divides them by the ratio of a
split, and rounds to three decimals. Between two corporate actions the adjusted price is
therefore linear in the unadjusted one: adjusted = slope * raw + offset. After the last
action both are equal. A dividend changes the offset, a split the slope. The line from
an ex-day on, applied to the adjusted close of the day before, gives the exchange's
ex-rights previous close.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HALF_TICK = 0.0005
FLOAT_NOISE = 1e-6
# A single row that deviates by one tick is a rounding error and not a corporate action.
ROUNDING = 0.0015
SANE_RATIO = (0.01, 100.0)
# More actions than any fund has: the two series belong to different funds
# (docs/data.md).
MOST_EVENTS, EVENT_ROWS = 15, 250
# Ratios of issuers: new shares per old share, or old shares per new share.
COMMON_RATIOS = np.array([*range(2, 21), *(1 / n for n in range(2, 21))])
DIVIDEND, SPLIT, UNKNOWN = "dividend", "split", "unknown"


class ContradictionError(Exception):
    """The two series cannot belong to one fund; `row` is where they contradict."""

    def __init__(self, row: int):
        super().__init__(row)
        self.row = row


@dataclass(frozen=True)
class Event:
    """A corporate action with `row` as its ex-day.

    `share_ratio` is the number of new shares per old share of a split. `kind` is
    unknown if the rows before the ex-day fit both a dividend and a split.
    """

    row: int
    kind: str
    share_ratio: float | None = None


@dataclass(frozen=True)
class _Line:
    """adjusted = slope * raw + offset, to within `error`."""

    slope: float = 1.0
    offset: float = 0.0
    error: float = 0.0

    def distance(self, raw: np.ndarray, adjusted: np.ndarray) -> np.ndarray:
        return np.abs(adjusted - (self.slope * raw + self.offset))

    @property
    def tolerance(self) -> float:
        """Maximum difference of two estimates of one previous close, CNY."""
        return (HALF_TICK + self.error) / self.slope + FLOAT_NOISE


def previous_closes(
    raw: np.ndarray, adjusted: np.ndarray, *, is_anchored: bool = True
) -> tuple[np.ndarray, np.ndarray, list[Event]]:
    """Derive the ex-rights previous close of every row.

    Parameters
    ----------
    raw, adjusted : np.ndarray
        Closes in CNY by session, oldest first, of the same sessions.
    is_anchored : bool
        Whether the last row is the vendor's newest, on which both prices are equal.
        Otherwise a corporate action may follow the last row.

    Returns
    -------
    pre_close : np.ndarray
        CNY. The previous row's raw close; on an ex-day the derived price, rounded to
        0.001. The first value is NaN.
    tolerance : np.ndarray
        Per row, the allowed difference of another estimate of the same price, CNY.
    events : list of Event
        Oldest first.

    Raises
    ------
    ContradictionError
        If the series do not fit together.
    """
    count = len(raw)
    pre_close = np.concatenate([[np.nan], raw[:-1]])
    tolerance = np.zeros(count)
    events: list[Event] = []
    line = _Line()
    departed = _last_departure(line, raw, adjusted)
    if departed == count - 1:
        if is_anchored:
            raise ContradictionError(departed)
        line, _, _ = _line_before(line, raw, adjusted)
        departed = _last_departure(line, raw, adjusted)
    end = count
    while departed >= 0:
        tolerance[departed + 1 : end] = line.tolerance
        before = (adjusted[departed] - line.offset) / line.slope
        low, high = SANE_RATIO
        if not low <= before / raw[departed] <= high:
            raise ContradictionError(departed)
        pre_close[departed + 1] = round(before, 3)
        end = departed + 1
        line, kind, ratio = _line_before(line, raw[:end], adjusted[:end])
        events.append(Event(end, kind, ratio))
        if len(events) > MOST_EVENTS and events[-MOST_EVENTS - 1].row - end < EVENT_ROWS:
            raise ContradictionError(end)
        departed = _last_departure(line, raw[:end], adjusted[:end])
    tolerance[:end] = line.tolerance
    return pre_close, tolerance, events[::-1]


def _last_departure(line: _Line, raw: np.ndarray, adjusted: np.ndarray) -> int:
    """Return the last row off the line, -1 if there is none."""
    distance = line.distance(raw, adjusted)
    is_off = distance > HALF_TICK + line.error + 2 * FLOAT_NOISE
    # Actions accumulate and never cancel. If the line continues before the row, the row
    # is noise.
    is_alone = is_off[1:] & ~is_off[:-1]
    noise = is_alone & (distance[1:] <= ROUNDING + line.error)
    is_off[1:] &= ~noise
    rows = np.flatnonzero(is_off)
    if not len(rows):
        return -1
    last = int(rows[-1])
    if last > 0 and is_alone[last - 1]:
        raise ContradictionError(last)
    return last


def _line_before(
    after: _Line, raw: np.ndarray, adjusted: np.ndarray
) -> tuple[_Line, str, float | None]:
    """Return the line up to the last row, the kind of its change, and a split's ratio.

    A dividend and a split are both tried. The one that explains more rows is chosen.
    """
    by_dividend, dividend_rows = _shifted(after, raw, adjusted)
    by_split, split_rows = _tilted(after, raw, adjusted)
    ratio = after.slope / by_split.slope
    if split_rows > dividend_rows:
        return by_split, SPLIT, ratio
    if dividend_rows > split_rows:
        return by_dividend, DIVIDEND, None
    return by_dividend, UNKNOWN, None


def _shifted(after: _Line, raw: np.ndarray, adjusted: np.ndarray) -> tuple[_Line, int]:
    offsets = adjusted[::-1] - after.slope * raw[::-1]
    offset, error, rows = _common(offsets, np.full(len(offsets), HALF_TICK + FLOAT_NOISE))
    return _Line(after.slope, offset, error), rows


def _tilted(after: _Line, raw: np.ndarray, adjusted: np.ndarray) -> tuple[_Line, int]:
    slopes = (adjusted[::-1] - after.offset) / raw[::-1]
    slope, error, rows = _common(slopes, (HALF_TICK + after.error + FLOAT_NOISE) / raw[::-1])
    if slope <= 0:
        return after, 0
    nearest = COMMON_RATIOS[np.argmin(np.abs(np.log(COMMON_RATIOS * slope / after.slope)))]
    if abs(after.slope / nearest - slope) <= error:
        return _Line(after.slope / nearest, after.offset, after.error), rows
    return _Line(slope, after.offset, after.error + error * float(raw[-rows:].max())), rows


def _common(values: np.ndarray, errors: np.ndarray) -> tuple[float, float, int]:
    """Intersect the leading intervals; return center, half-width and their number."""
    low = np.maximum.accumulate(values - errors)
    high = np.minimum.accumulate(values + errors)
    is_empty = low > high
    rows = int(np.argmax(is_empty)) if is_empty.any() else len(values)
    bottom, top = low[rows - 1], high[rows - 1]
    return float(bottom + top) / 2, float(top - bottom) / 2, rows
