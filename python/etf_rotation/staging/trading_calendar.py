"""Sessions of the Shanghai exchange, from exchange-calendars."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from itertools import groupby

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
        ("session_of_month", pa.int32()),
        ("sessions_in_month", pa.int32()),
        ("session_of_week", pa.int32()),
        ("sessions_in_week", pa.int32()),
    ]
)

# The calendar must contain every tranche's next rebalance: at the latest the last
# session of the next month.
DAYS_PAST_THE_DATA = 70
# Numbering sessions needs the whole month and week of the last session.
DAYS_PAST_THE_END = 40
SATURDAY = 5
# Holidays on fixed dates, (month, day). No others are known after the library's last
# session.
FIXED_HOLIDAYS = {(1, 1), (5, 1), (10, 1), (10, 2), (10, 3)}


@lru_cache(maxsize=1)
def _library_sessions() -> list[dt.date]:
    # Without start= the calendar begins twenty years before today.
    calendar = exchange_calendars.get_calendar("XSHG", start=XSHGExchangeCalendar.bound_min())
    return [session.date() for session in calendar.sessions]


def sessions_between(first: dt.date, last: dt.date, today: dt.date = dt.date.min) -> pa.Table:
    """Return the sessions from `first` to `DAYS_PAST_THE_DATA` days after `last`.

    Parameters
    ----------
    first, last : datetime.date
        First and last date of the data. No session precedes the library's first
        session.
    today : datetime.date
        Sessions up to this date are returned too, even if it is far after `last`.

    Returns
    -------
    pa.Table
        `SCHEMA`. `session_number` counts from the library's first session and so does
        not depend on the data. After the library's last session every weekday that is
        no fixed holiday is a session and `is_official` is false. `is_in_calendar` is
        false for sessions that only `today` adds. `session_of_month` and
        `session_of_week` count from 0 in the exchange's month and week, whose lengths
        are `sessions_in_month` and `sessions_in_week`.
    """
    official = _library_sessions()
    calendar_end = last + dt.timedelta(days=DAYS_PAST_THE_DATA)
    end = max(calendar_end, today)
    days = official + _weekdays(official[-1], end + dt.timedelta(days=DAYS_PAST_THE_END))
    months = _numbered([(day.year, day.month) for day in days])
    weeks = _numbered([day.isocalendar()[:2] for day in days])
    rows = [
        (day, number, days[number - 2] if number > 1 else None, days[number], *month, *week)
        for number, (day, month, week) in enumerate(
            zip(days[:-1], months, weeks, strict=False), start=1
        )
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
            "session_of_month": [row[4] for row in rows],
            "sessions_in_month": [row[5] for row in rows],
            "session_of_week": [row[6] for row in rows],
            "sessions_in_week": [row[7] for row in rows],
        },
        schema=SCHEMA,
    )


def _weekdays(after: dt.date, end: dt.date) -> list[dt.date]:
    count = max((end - after).days, 0)
    days = (after + dt.timedelta(days=offset) for offset in range(1, count + 1))
    return [
        day
        for day in days
        if day.weekday() < SATURDAY and (day.month, day.day) not in FIXED_HOLIDAYS
    ]


def _numbered(periods: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return each session's number in its period, from 0, and the period's length."""
    numbered = []
    for _, group in groupby(periods):
        length = len(list(group))
        numbered += [(number, length) for number in range(length)]
    return numbered
