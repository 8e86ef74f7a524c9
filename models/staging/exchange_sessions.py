from etf_rotation.errors import InputError
from etf_rotation.staging import trading_calendar


def model(dbt, session):
    """List the exchange's sessions over the dates of the raw rows and up to today."""
    dbt.config(materialized="table")
    today = dbt.ref("run_settings").project("today").fetchall()[0][0]
    dates = dbt.ref("raw_rows").filter(f"trade_date <= '{today}'")
    first, last = dates.aggregate("min(trade_date), max(trade_date)").fetchall()[0]
    if first is None:
        raise InputError(f"no raw row is dated up to today, {today}; is the clock right?")
    return trading_calendar.sessions_between(first, last, today)
