"""Sessions of the exchange: numbering, the library's end, independence of the data."""

import datetime as dt

from etf_rotation.staging.trading_calendar import (
    DAYS_PAST_THE_DATA,
    SCHEMA,
    _library_sessions,
    sessions_between,
)


def day(text):
    return dt.date.fromisoformat(text)


def sessions(first, last):
    table = sessions_between(day(first), day(last))
    assert table.schema == SCHEMA
    return table.to_pylist()


def test_a_week_of_national_holidays_has_no_session():
    dates = [row["trade_date"] for row in sessions("2020-09-29", "2020-10-12")]
    assert dates[:4] == [day("2020-09-29"), day("2020-09-30"), day("2020-10-09"), day("2020-10-12")]


def test_previous_and_next_session_cross_the_holidays():
    row = sessions("2020-10-09", "2020-10-09")[0]
    assert row["previous_trade_date"] == day("2020-09-30")
    assert row["next_trade_date"] == day("2020-10-12")


def test_session_numbers_do_not_depend_on_the_data():
    long = {row["trade_date"]: row for row in sessions("2010-01-04", "2021-06-30")}
    short = sessions("2021-01-04", "2021-01-08")
    for row in short:
        assert row == long[row["trade_date"]]
    assert [row["session_number"] for row in short] == list(
        range(short[0]["session_number"], short[0]["session_number"] + len(short))
    )


def test_numbers_count_from_the_librarys_first_session():
    first = _library_sessions()[0]
    row = sessions_between(dt.date.min, first).to_pylist()[0]
    assert row["trade_date"] == first
    assert row["session_number"] == 1
    assert row["previous_trade_date"] is None


def test_the_calendar_reaches_the_last_session_of_the_next_month():
    for last, end_of_next in (
        ("2020-12-31", "2021-01-29"),
        ("2021-01-04", "2021-02-26"),
        ("2021-09-30", "2021-10-29"),
        ("2022-01-28", "2022-02-28"),
    ):
        (row,) = [r for r in sessions("2020-12-01", last) if r["trade_date"] == day(end_of_next)]
        assert row["session_of_month"] == row["sessions_in_month"] - 1


def test_sessions_are_counted_within_the_exchanges_months_and_weeks():
    rows = {row["trade_date"]: row for row in sessions("2020-09-28", "2020-10-30")}

    def numbers(text, period):
        row = rows[day(text)]
        return row[f"session_of_{period}"], row[f"sessions_in_{period}"]

    # The national holidays leave three sessions of one week and one of the next.
    assert numbers("2020-09-30", "week") == (2, 3)
    assert numbers("2020-10-09", "week") == (0, 1)
    assert numbers("2020-10-12", "week") == (0, 5)
    # October has 1 + 3 * 5 sessions.
    assert numbers("2020-09-30", "month") == (21, 22)
    assert numbers("2020-10-09", "month") == (0, 16)
    assert numbers("2020-10-30", "month") == (15, 16)


def test_every_weekday_but_fixed_holidays_is_a_session_after_the_library_ends():
    end = _library_sessions()[-1]
    rows = sessions_between(end, end + dt.timedelta(days=20)).to_pylist()
    assert rows[0]["trade_date"] == end
    assert rows[0]["is_official"]
    beyond = rows[1:]
    assert not any(row["is_official"] for row in beyond)
    days = [end + dt.timedelta(days=n) for n in range(1, 20 + DAYS_PAST_THE_DATA + 1)]
    new_year = dt.date(end.year + 1, 1, 1)
    assert new_year in days
    expected = [d for d in days if d.weekday() < 5 and d != new_year]
    assert [row["trade_date"] for row in beyond] == expected
    assert beyond[0]["session_number"] == rows[0]["session_number"] + 1
    assert all(row["next_trade_date"] > row["trade_date"] for row in rows)


def test_sessions_up_to_today_are_listed_however_long_ago_the_data_ends():
    data = sessions_between(day("2023-01-03"), day("2023-06-08"))
    table = sessions_between(day("2023-01-03"), day("2023-06-08"), day("2026-11-27"))
    rows = table.to_pylist()
    assert rows[-1]["trade_date"] == day("2026-11-27")
    # What belongs to the data does not depend on today.
    assert [row for row in rows if row["is_in_calendar"]] == data.to_pylist()
    assert all(row["is_in_calendar"] for row in data.to_pylist())
    missed = [row for row in rows if day("2023-06-08") < row["trade_date"] <= day("2026-11-27")]
    assert len(missed) > 800


def test_a_today_before_the_data_ends_adds_nothing():
    span = day("2023-01-03"), day("2023-06-08")
    assert sessions_between(*span, day("2023-02-01")) == sessions_between(*span)
