"""The vendor's client library on the same server: both must read the same rows."""

import datetime as dt

import pandas as pd
import pytest
from fetching import DAYS, column, place
from vendors import TOKEN

tushare = pytest.importorskip("tushare", reason="tushare is not installed: make test installs it")
__all__ = ["place"]


@pytest.mark.parametrize("symbol", ["510300.SH", "159915.SZ", "513100.SH"])
def test_the_client_library_sees_the_rows_that_fetch_wrote(place, symbol):
    assert place.fetch(token=TOKEN)[0] == 0
    client = tushare.pro_api(TOKEN)
    client._DataApi__http_url = place.urls["ETF_TUSHARE_URL"]
    frame = client.fund_daily(
        ts_code=symbol, start_date=f"{DAYS[0]:%Y%m%d}", end_date=f"{DAYS[-1]:%Y%m%d}"
    ).sort_values("trade_date")
    days = [dt.datetime.strptime(day, "%Y%m%d").date() for day in frame["trade_date"]]
    assert days == DAYS
    for name in ("open", "high", "low", "close", "pre_close", "vol", "amount"):
        seen = [None if pd.isna(value) else value for value in frame[name]]
        assert dict(zip(days, seen, strict=True)) == column(place, symbol, name), name


@pytest.mark.parametrize("status", [403, 500])
def test_fetch_rejects_answers_that_the_client_library_turns_into_empty_tables(place, status):
    """Its silent errors are the reason why fetch does not use it."""
    place.faults["tushare", "510300.SH"] = status
    client = tushare.pro_api(TOKEN)
    client._DataApi__http_url = place.urls["ETF_TUSHARE_URL"]
    assert client.fund_daily(ts_code="510300.SH").empty
    code, said = place.fetch(token=TOKEN, symbols="510300.SH")
    assert code == 1
    assert f"HTTP status {status}" in said
