"""Fetching from vendors on a loopback server: files, errors and messages."""

import datetime as dt
import json
import string

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from etf_rotation.fetch import command, store
from etf_rotation.fetch.bars import SCHEMA
from etf_rotation.fetch.texts import TEXTS, sentences
from etf_rotation.staging.raw_files import MARKER
from fetching import DAYS, DIVIDEND_DAY, FUNDS, LAST, SPLIT_DAY, column, digests, place, rows
from vendors import TOKEN, make_market, rounded, sessions

__all__ = ["place"]


# -- what is written -------------------------------------------------------------------


@pytest.mark.parametrize(("token", "source"), [("", "eastmoney"), (TOKEN, "tushare")])
def test_a_first_fetch_writes_one_file_per_fund_in_the_raw_layout(place, token, source):
    code, said = place.fetch(token=token)
    assert code == 0, said
    names = sorted(path.name for path in store.daily(place.root).iterdir())
    assert names == sorted(f"{symbol}_daily.parquet" for symbol in FUNDS)
    table = pq.read_table(store.daily(place.root) / "510300.SH_daily.parquet")
    assert table.schema.remove_metadata() == SCHEMA
    facts = place.market.bars["510300.SH"]
    assert table["trade_date"].to_pylist() == [bar.date for bar in facts]
    for name in ("open", "high", "low", "close"):
        assert table[name].to_pylist() == [getattr(bar, name) for bar in facts]
    assert table["amount"].to_pylist() == pytest.approx([bar.money / 1000 for bar in facts])
    lots = table["vol"].to_pylist()
    if source == "eastmoney":
        assert lots == [round(bar.shares / 100) for bar in facts]
    else:
        assert lots == pytest.approx([bar.shares / 100 for bar in facts])
    assert table["pre_close"].to_pylist()[1:] == [bar.pre_close for bar in facts[1:]]
    described = store.read(store.daily(place.root) / "510300.SH_daily.parquet").description
    assert described["source"] == source
    assert (described["first_date"], described["last_date"]) == (str(DAYS[0]), str(LAST))
    assert described["fetched_at"].endswith("Z")
    assert described["version"].startswith("etf_rotation ")
    assert f"gained (3): rows {3 * len(DAYS)}" in said
    assert "Next: bin/etf-rotation run" in said


@pytest.mark.parametrize("token", ["", TOKEN])
def test_fetching_twice_changes_no_byte(place, token):
    place.fetch(token=token)
    before = digests(place.root)
    code, said = place.fetch(token=token)
    assert (code, digests(place.root)) == (0, before)
    assert "up to date (3)" in said
    assert place.fetch(token=token, full=True)[0] == 0
    assert digests(place.root) == before


@pytest.mark.parametrize("token", ["", TOKEN])
def test_the_next_days_fetch_adds_one_session_to_each_file(place, token):
    assert place.fetch(token=token, now=f"{DAYS[-2]}T18:00")[0] == 0
    first_call = len(place.vendors.calls)
    code, said = place.fetch(token=token)
    assert code == 0, said
    assert "gained (3): rows 3" in said
    assert all(len(rows(place, symbol)) == len(DAYS) for symbol in FUNDS)
    # The last thirty sessions were requested again, and one more for their previous
    # close.
    details = place.vendors.calls[first_call].details
    asked = details["params"]["start_date"] if token else details["beg"]
    assert asked == f"{DAYS[-31 if token else -32]:%Y%m%d}"


def test_a_fund_keeps_the_name_of_its_file(place):
    place.fetch(symbols="510300.SH", now=f"{DAYS[-2]}T18:00")
    (path,) = store.daily(place.root).glob("*.parquet")
    path.rename(path.with_name("510300.SH_daily_20231101_20240627.parquet"))
    place.fetch(symbols="510300")
    (path,) = store.daily(place.root).glob("*.parquet")
    assert path.name == "510300.SH_daily_20231101_20240627.parquet"
    assert len(rows(place, "510300.SH")) == len(DAYS)


def test_a_file_of_another_program_is_continued_where_both_agree(place):
    """A common layout: text dates, a name column, noise in the last bit."""
    daily = store.daily(place.root)
    daily.mkdir(parents=True)
    facts = place.market.bars["510300.SH"][:-3]
    table = pa.table(
        {
            "ts_code": ["510300.SH"] * len(facts),
            "trade_date": [f"{bar.date:%Y%m%d}" for bar in facts],
            "name": ["300ETF"] * len(facts),
            **{n: [getattr(b, n) for b in facts] for n in ("open", "high", "low", "pre_close")},
            "close": [bar.close * (1 + 2e-16) for bar in facts],
            "vol": [bar.shares / 100 for bar in facts],
            "amount": [bar.money / 1000 for bar in facts],
        }
    )
    pq.write_table(table, daily / "510300.SH_daily_20230601_20240625.parquet")
    code, said = place.fetch(symbols="510300.SH", token=TOKEN)
    assert code == 0, said
    stored = store.read(next(daily.glob("*.parquet")))
    assert stored.rows.num_rows == len(DAYS)
    assert stored.rows["name"].to_pylist()[-4:] == ["300ETF", None, None, None]
    assert stored.source == "tushare"
    assert stored.description["earlier"] == f"another program to {facts[-1].date}"


def test_a_file_without_pre_close_gets_none_in_its_middle(place):
    place.fetch(symbols="510300.SH", token=TOKEN, now=f"{DAYS[-2]}T18:00")
    (path,) = store.daily(place.root).glob("*.parquet")
    stored = store.read(path)
    empty = stored.rows.set_column(6, "pre_close", pa.nulls(stored.rows.num_rows, pa.float64()))
    store.write(path, empty, {"source": "tushare"})
    code, said = place.fetch(symbols="510300.SH", token=TOKEN)
    assert code == 1
    assert "the file has no pre_close on" in said
    accept = {"full": True, "accept_restatement": "510300.SH"}
    assert place.fetch(symbols="510300.SH", token=TOKEN, **accept)[0] == 0
    assert None not in list(column(place, "510300.SH", "pre_close").values())[1:]


def test_prices_are_never_adjusted(place):
    place.fetch()
    facts = {bar.date: bar for bar in place.market.bars["513100.SH"]}
    close, before = (column(place, "513100.SH", name) for name in ("close", "pre_close"))
    assert close == {day: bar.close for day, bar in facts.items()}
    assert before[SPLIT_DAY] == pytest.approx(facts[DAYS[119]].close / 5, abs=0.0005)


def test_a_dry_run_writes_nothing(place):
    code, said = place.fetch(dry_run=True)
    assert code == 0
    assert "Dry run, nothing was written" in said
    assert not place.root.exists()
    place.fetch(now=f"{DAYS[-2]}T18:00")
    before = digests(place.root)
    assert "rows 3" in place.fetch(dry_run=True)[1]
    assert digests(place.root) == before


# -- which sessions --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "setting", "last"),
    [
        ("2024-06-28T17:29", "", DAYS[-2]),
        ("2024-06-28T17:30", "", LAST),
        ("2024-06-28T16:00", "15:30", LAST),
        ("2024-06-29T09:00", "", LAST),  # a Saturday
    ],
)
@pytest.mark.parametrize("token", ["", TOKEN])
def test_todays_row_is_stored_only_after_the_session_is_complete(place, now, setting, last, token):
    code, said = place.fetch(now=now, settings={"ETF_FETCH_AFTER": setting}, token=token)
    assert code == 0, said
    assert max(column(place, "510300.SH", "close")) == last
    if not token:
        assert ("left out (3): the row of 2024-06-28" in said) is (last != LAST)


def test_an_unrequested_row_of_today_is_dropped(place):
    place.faults["tushare", "510300.SH"] = [None, None, None, "no_end"]
    code, said = place.fetch(now="2024-06-28T12:00", token=TOKEN)
    assert code == 0, said
    assert max(column(place, "510300.SH", "close")) == DAYS[-2]
    assert "left out (1): the row of 2024-06-28, an unfinished session" in said


@pytest.mark.parametrize("value", ["14:59", "soon", "25:00"])
def test_a_cut_off_within_the_session_is_refused(place, value):
    code, said = place.fetch(settings={"ETF_FETCH_AFTER": value})
    assert code == 2
    assert "ETF_FETCH_AFTER" in said


def test_half_a_day_on_an_ex_day_leaves_the_history_right(place):
    """Eastmoney's adjusted prices contain today's dividend before today's row is stored."""
    place.market.dividends[("510300.SH", LAST)] = 0.03
    code, said = place.fetch(now="2024-06-28T11:00", symbols="510300.SH")
    assert code == 0, said
    assert (
        column(place, "510300.SH", "pre_close")[DAYS[-2]]
        == place.market.bars["510300.SH"][-3].close
    )


def test_no_row_after_the_requested_session_is_stored(place):
    assert place.fetch(to=str(DAYS[100]))[0] == 0
    assert max(column(place, "510300.SH", "close")) == DAYS[100]
    place.fetch()
    assert place.fetch(to=str(DAYS[100]))[0] == 0
    assert max(column(place, "510300.SH", "close")) == LAST
    code, said = place.fetch(to="2030-01-01")
    assert code == 0
    assert "2030-01-01 is not over: fetching up to 2024-06-28." in said
    assert place.fetch(to="tomorrow")[0] == 2


def test_a_late_row_is_reported_and_fetched_the_next_time(place):
    place.faults["eastmoney", "159915.SZ"] = "no_today"
    code, said = place.fetch()
    assert code == 1
    assert f"late (1): 159915.SZ (last row {DAYS[-2]})" in said
    place.faults.clear()
    code, said = place.fetch()
    assert (code, "gained (1): rows 1" in said) == (0, True)


def test_a_day_missing_at_the_vendor_is_reported_once(place):
    place.faults["eastmoney", "all"] = "no_today"
    code, said = place.fetch()
    assert code == 1
    assert "The vendor does not have 2024-06-28 yet: try again later." in said


def test_a_session_without_a_row_is_named(place):
    place.faults["tushare", "159915.SZ"] = "gone"
    code, said = place.fetch(token=TOKEN)
    assert code == 0
    assert f"159915.SZ: no row on 1 sessions: {DAYS[-3]}" in said
    place.faults.clear()
    assert "gained (1): rows 1" in place.fetch(token=TOKEN)[1]


def test_an_ended_fund_is_reported_and_requested_rarely(place):
    place.market.bars["159915.SZ"] = place.market.bars["159915.SZ"][:90]
    code, said = place.fetch()
    assert code == 0, said
    assert f"ended (1): 159915.SZ (last row {DAYS[89]})" in said
    everything = {"symbols": None}

    def asked():
        return [call for call in place.vendors.calls if call.symbol == "159915.SZ"]

    count = len(asked())
    code, said = place.fetch(**everything)
    assert len(asked()) == count
    assert "ended (1): 159915.SZ" in said
    assert place.fetch(symbols="159915.SZ")[0] == 0
    assert len(asked()) > count


def test_an_ended_fund_of_another_program_is_found_behind_its_empty_rows(place):
    """Such files go on with rows without prices or volume."""
    place.fetch(token=TOKEN)
    path = store.daily(place.root) / "159915.SZ_daily.parquet"
    rows = pq.read_table(path)
    empty = pa.table(
        {
            name: rows[name].combine_chunks().take(pa.array(range(90, 160)))
            if name in ("ts_code", "trade_date")
            else pa.nulls(70, pa.float64())
            for name in SCHEMA.names
        }
    )
    pq.write_table(pa.concat_tables([rows.slice(0, 90).replace_schema_metadata(), empty]), path)
    place.market.bars["159915.SZ"] = place.market.bars["159915.SZ"][:90]
    code, said = place.fetch(token=TOKEN)
    assert (code, "up to date (3)" in said) == (0, True)


def test_thin_volumes_in_whole_lots_are_no_adjusted_prices(place):
    for bar in place.market.bars["159915.SZ"]:
        place.market.change("159915.SZ", bar.date, shares=149, money=149 * bar.close)
    code, said = place.fetch()
    assert code == 1, said
    assert "159915.SZ not written: amount / (volume × close) has the median 1.49" in said
    for bar in place.market.bars["159915.SZ"]:
        place.market.change("159915.SZ", bar.date, shares=1049, money=1049 * bar.close)
    assert place.fetch()[0] == 0


def test_a_fund_is_no_ended_one_while_the_others_have_no_rows_either(place):
    for symbol in FUNDS:
        place.market.bars[symbol] = place.market.bars[symbol][:90]
    code, said = place.fetch()
    assert code == 1
    assert "late (3)" in said


def test_a_new_fund_whose_newest_page_is_empty_is_late_before_it_is_ended(place):
    """An empty page alone is no proof: the vendor may have failed silently."""
    old = make_market(["159915.SZ"], sessions(dt.date(2017, 6, 30), 100))
    place.market.bars.update(old.bars)
    code, said = place.fetch(token=TOKEN)
    assert (code, "late (1): 159915.SZ (last row 2017-06-30)" in said) == (1, True)
    code, said = place.fetch(token=TOKEN)
    assert (code, "ended (1): 159915.SZ (last row 2017-06-30)" in said) == (0, True)


# -- restatement -----------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", TOKEN])
def test_a_restated_bar_is_refused_then_accepted(place, token):
    place.fetch(token=token)
    before = digests(place.root)
    day, old = DAYS[-5], place.market.bars["159915.SZ"][-5]
    place.market.change("159915.SZ", day, close=rounded(old.close + 0.001), high=old.high + 0.001)
    code, said = place.fetch(token=token)
    assert code == 1
    assert f"159915.SZ {day} close: {old.close} → {rounded(old.close + 0.001)}" in said
    assert f"restated, not written (1): 159915.SZ (from {day}, rows " in said
    assert "--accept-restatement 159915.SZ" in said
    unchanged = digests(place.root)
    assert {name: value for name, value in unchanged.items() if "state" not in name} == {
        name: value for name, value in before.items() if "state" not in name
    }
    # Accepting another fund's restatement does not accept this one.
    assert place.fetch(token=token, accept_restatement="510300.SH")[0] == 1
    code, said = place.fetch(token=token, accept_restatement="159915.SZ")
    assert code == 0, said
    assert column(place, "159915.SZ", "close")[day] == rounded(old.close + 0.001)
    assert place.fetch(token=token)[0] == 0


def test_a_restatement_that_may_reach_further_back_says_so(place):
    place.fetch()
    for bar in place.market.bars["510300.SH"]:
        place.market.change("510300.SH", bar.date, low=rounded(bar.low - 0.001))
    _, said = place.fetch()
    first = DAYS[-31]
    assert f"510300.SH (from {first} or earlier, rows 31: compare the whole history" in said
    assert f"510300.SH (from {DAYS[0]}, rows {len(DAYS)})" in place.fetch(full=True)[1]


def test_a_vanished_row_is_a_restatement(place):
    place.fetch()
    place.faults["eastmoney", "510300.SH"] = "gone"
    code, said = place.fetch()
    assert code == 1
    assert f"510300.SH {DAYS[-3]}: the vendor no longer has this row" in said
    assert DAYS[-3] in column(place, "510300.SH", "close")
    assert place.fetch(accept_restatement="all")[0] == 0
    assert DAYS[-3] not in column(place, "510300.SH", "close")


def test_a_change_far_back_shows_with_the_whole_history(place):
    place.fetch()
    day, old = DAYS[10], place.market.bars["510300.SH"][10]
    place.market.change("510300.SH", day, low=rounded(old.low - 0.002))
    assert place.fetch()[0] == 0
    code, said = place.fetch(full=True)
    assert code == 1
    assert f"510300.SH {day} low: {old.low} → {rounded(old.low - 0.002)}" in said
    assert "bin/etf-rotation fetch --full --accept-restatement 510300.SH" in said


def test_an_ex_day_that_the_vendor_learns_late_is_a_restatement(place):
    place.market.dividends[("159915.SZ", LAST)] = 0.04
    place.market.unknown_to_eastmoney.add(("159915.SZ", LAST))
    assert place.fetch()[0] == 0
    before = column(place, "159915.SZ", "pre_close")[LAST]
    place.market.unknown_to_eastmoney.clear()
    code, said = place.fetch()
    assert code == 1
    assert f"159915.SZ {LAST} pre_close: {before} → {rounded(before - 0.04)}" in said


def test_a_derived_price_stays_while_it_is_within_its_rounding(place):
    """After a later split, the same previous close is derived from coarser prices."""
    place.market.dividends[("159915.SZ", DAYS[-12])] = 0.0333
    assert place.fetch(now=f"{DAYS[-2]}T18:00")[0] == 0
    stored = column(place, "159915.SZ", "pre_close")
    place.market.splits[("159915.SZ", LAST)] = 5
    last = place.market.bars["159915.SZ"][-1]
    fifth = {name: rounded(getattr(last, name) / 5) for name in ("open", "high", "low", "close")}
    place.market.change("159915.SZ", LAST, shares=last.shares * 5, **fifth)
    code, said = place.fetch()
    assert code == 0, said
    after = column(place, "159915.SZ", "pre_close")
    assert {day: after[day] for day in stored} == stored
    assert after[LAST] == pytest.approx(place.market.bars["159915.SZ"][-2].close / 5, abs=0.0005)


def test_another_source_must_be_requested_explicitly(place):
    place.fetch()
    code, said = place.fetch(token=TOKEN, source="tushare")
    assert code == 1
    assert "510300.SH not written: its file comes from eastmoney, not from tushare" in said
    assert place.fetch(token=TOKEN)[0] == 0, "without --source a file keeps its own"
    usual = {"ETF_FETCH_SOURCE": "tushare"}
    assert place.fetch(token=TOKEN, settings=usual)[0] == 0, "the setting is for new files"
    code, said = place.fetch(
        token=TOKEN, source="tushare", full=True, accept_restatement="510300.SH"
    )
    assert code == 1
    sources = {
        symbol: store.read(store.daily(place.root) / f"{symbol}_daily.parquet").source
        for symbol in FUNDS
    }
    assert sources == {"510300.SH": "tushare", "159915.SZ": "eastmoney", "513100.SH": "eastmoney"}


def test_the_setting_names_the_source_of_new_files(place):
    assert place.fetch(token=TOKEN, settings={"ETF_FETCH_SOURCE": "eastmoney"})[0] == 0
    assert {call.vendor for call in place.vendors.calls} == {"eastmoney"}
    code, said = place.fetch(settings={"ETF_FETCH_SOURCE": "sina"})
    assert code == 2
    assert "ETF_FETCH_SOURCE is sina, which must be one of: tushare, eastmoney" in said
    assert place.fetch(settings={"ETF_FETCH_CHECK": "twice"})[0] == 2


# -- corporate actions -----------------------------------------------------------------


def test_ex_days_are_printed_and_a_split_is_proposed(place):
    _, said = place.fetch()
    assert f"513100.SH {SPLIT_DAY} split: " in said
    assert f'513100.SH,{SPLIT_DAY},5,"proposed: Eastmoney pair"' in said
    assert f"510300.SH {DIVIDEND_DAY} ex-dividend: " in said
    assert said.count("proposed") == 1
    assert "split" not in place.fetch()[1]


def test_a_dividend_however_large_is_no_split(place):
    place.market = make_market(["512690.SH"], DAYS, dividends={("512690.SH", DAYS[100]): 0.4})
    place.vendors.market = place.market
    _, said = place.fetch(symbols="512690.SH")
    assert f"512690.SH {DAYS[100]} ex-dividend: " in said
    assert "proposed" not in said


def test_a_source_that_cannot_tell_says_so(place):
    _, said = place.fetch(token=TOKEN)
    assert f"513100.SH {SPLIT_DAY} ex-day: " in said
    assert "does not separate splits from dividends" in said
    assert "proposed" not in said


def test_a_split_in_the_seed_is_not_proposed_again(place):
    day = dt.date(2022, 1, 14)  # 5 for 1, as the seed corporate_actions has it
    days = sessions(dt.date(2022, 3, 31), 160)
    place.vendors.market = make_market(["513100.SH"], days, splits={("513100.SH", day): 5})
    code, said = place.fetch(symbols="513100.SH", now="2022-03-31T18:00")
    assert code == 0, said
    assert f"513100.SH {day} split: " in said
    assert "proposed" not in said


def test_a_split_that_the_vendor_does_not_know_yet_is_not_taken_for_a_fall(place):
    place.market.splits[("159915.SZ", LAST)] = 2
    place.market.unknown_to_eastmoney.add(("159915.SZ", LAST))
    last = place.market.bars["159915.SZ"][-1]
    half = {name: rounded(getattr(last, name) / 2) for name in ("open", "high", "low", "close")}
    place.market.change("159915.SZ", LAST, shares=last.shares * 2, **half)
    code, said = place.fetch()
    assert code == 1
    assert "the vendor does not know the split yet; the row is left out" in said
    assert "late (1): 159915.SZ" in said
    place.market.unknown_to_eastmoney.clear()
    assert place.fetch()[0] == 0


# -- the second source -----------------------------------------------------------------


@pytest.mark.parametrize("token", ["", TOKEN])
def test_bars_that_the_exchanges_confirm_are_written(place, token):
    code, said = place.fetch(token=token, check="exchange")
    assert code == 0, said
    assert "Warning" not in said
    seen = {(call.vendor, call.symbol) for call in place.vendors.calls}
    assert {("sse", "510300.SH"), ("szse", "159915.SZ")} <= seen
    refused = [call for call in place.vendors.calls if call.vendor == "szse"]
    spans = [
        dt.date.fromisoformat(call.details["txtEndDate"])
        - dt.date.fromisoformat(call.details["txtBeginDate"])
        for call in refused
    ]
    assert max(spans) < dt.timedelta(days=5)
    assert refused[0].details["headers"]["Referer"] == "https://www.szse.cn/"


@pytest.mark.parametrize(("exchange", "symbol"), [("sse", "510300.SH"), ("szse", "159915.SZ")])
def test_a_bar_that_contradicts_the_exchange_is_not_written(place, exchange, symbol):
    place.fetch(now=f"{DAYS[-2]}T18:00")
    close = place.market.bars[symbol][-1].close
    place.faults[exchange, symbol] = "close"
    code, said = place.fetch(check="exchange")
    assert code == 1
    assert f"{symbol} {LAST} close: source {close}, exchange {rounded(close + 0.001)}" in said
    assert f"different from the exchange, not written (1): {symbol}" in said
    assert max(column(place, symbol, "close")) == DAYS[-2]
    assert max(column(place, "513100.SH", "close")) == LAST


def test_a_bar_that_only_the_exchange_has_is_a_disagreement(place):
    place.faults["eastmoney", "510300.SH"] = "gone"
    code, said = place.fetch(check="exchange", symbols="510300.SH")
    assert code == 1
    assert f"510300.SH {DAYS[-3]} row: source -" in said


def test_the_exchanges_previous_close_is_compared(place):
    """Shenzhen's has today's dividend although Eastmoney's adjusted prices do not yet."""
    place.fetch(now=f"{DAYS[-2]}T18:00")
    place.market.dividends[("159915.SZ", LAST)] = 0.04
    place.market.unknown_to_eastmoney.add(("159915.SZ", LAST))
    place.market.change(
        "159915.SZ", LAST, pre_close=place.market.bars["159915.SZ"][-2].close - 0.04
    )
    code, said = place.fetch(check="exchange")
    assert code == 1
    assert f"159915.SZ {LAST} pre_close: source" in said


@pytest.mark.parametrize("fault", [403, "closed", "html", "no_today", "slow"])
def test_an_unavailable_check_is_one_warning(place, fault):
    place.faults["szse", "all"] = fault
    place.faults["sse", "all"] = fault
    code, said = place.fetch(check="exchange")
    assert code == 0, said
    assert said.count("Warning: not compared with the exchange: ") == 1
    assert max(column(place, "510300.SH", "close")) == LAST


# -- files that are not touched --------------------------------------------------------


def test_two_files_of_a_fund_are_refused(place):
    place.fetch()
    daily = store.daily(place.root)
    (daily / "510300_old.parquet").write_bytes((daily / "510300.SH_daily.parquet").read_bytes())
    before = digests(place.root)
    code, said = place.fetch()
    assert code == 2
    assert "510300.SH has two files: 510300.SH_daily.parquet, 510300_old.parquet" in said
    assert digests(place.root) == before
    assert place.fetch(symbols="159915.SZ")[0] == 0


def test_a_root_of_session_files_is_refused(place):
    daily = store.daily(place.root)
    daily.mkdir(parents=True)
    (daily / "20240628.parquet").write_bytes(b"x")
    code, said = place.fetch()
    assert code == 2
    assert "contains files of one session such as 20240628.parquet" in said
    assert place.vendors.calls == []


def test_the_synthetic_sample_is_refused(place):
    place.root.mkdir()
    (place.root / MARKER).write_text("")
    code, said = place.fetch()
    assert (code, "is the synthetic sample" in said) == (2, True)


@pytest.mark.parametrize("name", ["adj_factor", "adj_close"])
def test_a_file_with_an_adjustment_of_its_own_is_refused(place, name):
    place.fetch()
    path = store.daily(place.root) / "510300.SH_daily.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column(name, table["close"]), path)
    before = path.read_bytes()
    code, said = place.fetch()
    assert code == 1
    assert f"510300.SH_daily.parquet has {name}" in said
    assert "etf-rotation import" in said
    assert path.read_bytes() == before


def test_a_broken_file_is_named_and_left(place):
    place.fetch()
    path = store.daily(place.root) / "510300.SH_daily.parquet"
    path.write_bytes(b"PAR1 no more")
    code, said = place.fetch()
    assert code == 1
    assert "510300.SH_daily.parquet is not a readable parquet file" in said
    assert "up to date (2)" in said


def test_the_remains_of_a_killed_fetch_are_removed(place):
    place.fetch()
    left = store.daily(place.root) / ".510300.SH_daily.parquet.tmp"
    left.write_bytes(b"half")
    other = store.daily(place.root) / "._notes"
    other.write_bytes(b"of somebody")
    place.fetch()
    assert not left.exists()
    assert other.exists()


def test_a_folder_that_cannot_be_created_is_a_one_line_error(place):
    place.root.parent.mkdir(exist_ok=True)
    place.root.write_text("a file")
    code, said = place.fetch()
    assert code == 2
    assert str(place.root) in said


@pytest.mark.parametrize("symbols", ["510300.XX", "999999", "51030", "sh510300"])
def test_an_invalid_symbol_is_rejected(place, symbols):
    code, said = place.fetch(symbols=symbols)
    assert code == 2
    assert "is not a fund's symbol" in said


# -- people ----------------------------------------------------------------------------


def test_status_shows_last_session_source_and_result(place, capsys):
    place.faults["eastmoney", "159915.SZ"] = "html"
    place.fetch()
    assert command.status(None, {"ETF_RAW_ROOT": str(place.root)}) == 0
    shown = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert "2024-06-28" in shown["510300.SH"]
    assert "eastmoney" in shown["510300.SH"]
    assert "up to date" in shown["510300.SH"]
    assert "failed, not written: 127.0.0.1 sent a web page" in shown["159915.SZ"]
    assert "never fetched" in shown["510050.SH"]
    command.status(None, {"ETF_RAW_ROOT": str(place.root), "ETF_LANGUAGE": "zh"})
    assert "127.0.0.1 返回的是网页而不是数据" in capsys.readouterr().out


def test_a_damaged_state_is_no_obstacle(place):
    place.fetch()
    state = place.root / ".fetch" / "state.json"
    assert set(json.loads(state.read_text())) == set(FUNDS)
    for content in ("", "[1]", '{"510300.SH": {"kind": 1}}'):
        state.write_text(content)
        assert place.fetch()[0] == 0
    assert set(json.loads(state.read_text())) == set(FUNDS)


def test_the_summary_is_left_where_the_cron_script_wants_it(place, tmp_path):
    place.faults["eastmoney", "159915.SZ"] = "html"
    file = tmp_path / "summary"
    place.fetch(settings={"ETF_FETCH_SUMMARY": str(file), "ETF_LANGUAGE": "zh"})
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("已获取 3 只基金，至 2024-06-28")
    assert any(line.startswith("  失败，未写入（1）：159915.SZ") for line in lines)
    assert not any(line.startswith("下一步") for line in lines)


def test_no_text_lacks_its_twin():
    for key, texts in sentences().items():
        assert set(texts) == {"en", "zh"}, key
        facts = [
            sorted(
                field.split(":")[0] for _, field, _, _ in string.Formatter().parse(text) if field
            )
            for text in texts.values()
        ]
        assert facts[0] == facts[1], key


def test_every_text_is_said_somewhere():
    folder = TEXTS.parent.parent
    code = "\n".join(path.read_text() for path in folder.rglob("*.py"))
    composed = ("kind_", "status_", "ex_day_", "import_head_")
    unused = [key for key in sentences() if f'"{key}"' not in code and not key.startswith(composed)]
    assert unused == []
