"""Sessions of the Shanghai exchange, from exchange-calendars."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

import exchange_calendars
import pyarrow as pa
from exchange_calendars.exchange_calendar_xshg import XSHGExchangeCalendar

SCHEMA = pa.schema(
    [
        ("trade_date", pa.date32()),
        ("session_number", pa.int32()),
        ("previous_trade_date", pa.date32()),
        ("next_trade_date", pa.date32()),
        ("is_official", pa.bool_()),
        ("is_in_calendar", pa.bool_()),
    ]
)

# The next rebalance session, the first of the next month, must lie inside.
DAYS_PAST_THE_DATA = 45


@lru_cache(maxsize=1)
def _library_sessions() -> list[dt.date]:
    # Without start= the calendar begins twenty years before today.
    calendar = exchange_calendars.get_calendar("XSHG", start=XSHGExchangeCalendar.bound_min())
    return [session.date() for session in calendar.sessions]


def sessions_between(first: dt.date, last: dt.date, today: dt.date = dt.date.min) -> pa.Table:
    """Return the exchange's sessions from `first` to `DAYS_PAST_THE_DATA` days after `last`.

    Parameters
    ----------
    first, last : datetime.date
        The first and last date of the data. Nothing is returned before the library's first
        session.
    today : datetime.date
        Sessions up to it are returned too, however long after `last` it is.

    Returns
    -------
    pa.Table
        `SCHEMA`. `session_number` counts from the library's first session, so that it does not
        depend on the data. After the library's last session every weekday is a session and
        `is_official` is false. `is_in_calendar` is false for sessions that only `today` adds.
    """
    official = _library_sessions()
    calendar_end = last + dt.timedelta(days=DAYS_PAST_THE_DATA)
    end = max(calendar_end, today)
    # A week more gives the last row its next session.
    days = official + _weekdays(official[-1], end + dt.timedelta(days=7))
    rows = [
        (day, number, days[number - 2] if number > 1 else None, days[number])
        for number, day in enumerate(days[:-1], start=1)
        if first <= day <= end
    ]
    return pa.table(
        {
            "trade_date": [row[0] for row in rows],
            "session_number": [row[1] for row in rows],
            "previous_trade_date": [row[2] for row in rows],
            "next_trade_date": [row[3] for row in rows],
            "is_official": [row[0] <= official[-1] for row in rows],
            "is_in_calendar": [row[0] <= calendar_end for row in rows],
        },
        schema=SCHEMA,
    )


def _weekdays(after: dt.date, end: dt.date) -> list[dt.date]:
    count = max((end - after).days, 0)
    days = (after + dt.timedelta(days=offset) for offset in range(1, count + 1))
    saturday = 5
    return [day for day in days if day.weekday() < saturday]
