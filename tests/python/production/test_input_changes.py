"""Changes of the raw data since the published build, read from real raw files."""

import datetime as dt
import json

import duckdb
import pandas as pd
import pytest
from etf_rotation.notification import messages
from etf_rotation.production.input_changes import InputChanges, Restated, since
from etf_rotation.staging import raw_files, raw_rows
from etf_rotation.staging.seed_checks import Universe

DAYS = pd.bdate_range("2024-01-01", periods=60)
FUNDS = ("510300.SH", "513100.SH", "518880.SH")
LAST = DAYS[49].date().isoformat()


@pytest.fixture
def before(tmp_path):
    """The published build: 50 sessions of three funds."""
    return build(tmp_path / "published", bars(50))


def bars(sessions, funds=FUNDS):
    """Raw rows of each fund."""
    return {
        symbol: pd.DataFrame(
            {
                "ts_code": symbol,
                "trade_date": DAYS[:sessions].strftime("%Y%m%d"),
                **{name: 4 + 0.01 * number for name in ("open", "high", "low", "close")},
                "vol": 1000.0,
                "amount": 400.0,
                "pre_close": [None] + [4.0] * (sessions - 1),
            }
        )
        for number, symbol in enumerate(funds)
    }


def build(folder, frames, *, name="{}_daily", code="c", engine="e", as_of=None, **parameters):
    """A database with the input tables of a build."""
    daily = folder / "raw" / "ETF" / "daily"
    daily.mkdir(parents=True)
    for symbol, frame in frames.items():
        frame.to_parquet(daily / f"{name.format(symbol)}.parquet")
    funds = Universe(frozenset(FUNDS), frozenset(FUNDS), has_market=True)
    files = raw_files.inspect_files(folder / "raw", funds)
    path = folder / "etf_rotation.duckdb"
    with duckdb.connect(str(path)) as connection:
        rows = raw_rows.read_rows(connection, files, funds, as_of)
        connection.execute("create schema staging; create schema gate")
        connection.execute("create table staging.raw_rows as from rows")
        last_date = rows.max("trade_date").fetchall()[0][0]
        connection.execute(
            "create table gate.run_metadata as select $1::date as last_date, "
            "$2 as run_parameters, $3 as code_version, $4 as engine_version",
            [last_date, json.dumps(parameters), code, engine],
        )
    return path


def compared(tmp_path, before, frames, as_of=None, **options):
    path = build(tmp_path / "new", frames, as_of=as_of, **options)
    with duckdb.connect(str(path), read_only=True) as connection:
        return since(connection, before, as_of)


def test_nothing_changed(tmp_path, before):
    assert compared(tmp_path, before, bars(50)) == InputChanges("published", LAST)


def test_sessions_were_only_added(tmp_path, before):
    found = compared(tmp_path, before, bars(52))
    assert found == InputChanges("published", LAST, added_rows=6, added_funds=3)


def test_another_file_name_spelling_or_order_is_no_change(tmp_path, before):
    frames = bars(50)
    for frame in frames.values():
        frame["trade_date"] = pd.to_datetime(frame["trade_date"])
    frames = {symbol: frame[::-1] for symbol, frame in frames.items()}
    assert compared(tmp_path, before, frames, name="{}_to_20240308") == InputChanges(
        "published", LAST
    )


@pytest.mark.parametrize("column", ["open", "high", "low", "close", "vol", "amount", "pre_close"])
def test_a_restated_value_is_named_with_its_date(tmp_path, before, column):
    frames = bars(51)
    frames["513100.SH"].loc[[7, 30], column] += 1e-12
    found = compared(tmp_path, before, frames)
    day = DAYS[7].date().isoformat()
    assert found.restated == [Restated("513100.SH", "restated", day, 2)]
    assert (found.added_rows, found.added_funds) == (3, 3)


def test_a_value_that_went_missing_or_came_is_restated(tmp_path, before):
    frames = bars(50)
    frames["513100.SH"].loc[0, "pre_close"] = 4.0
    frames["518880.SH"].loc[9, "close"] = None
    found = compared(tmp_path, before, frames)
    assert [(fund.symbol, fund.rows) for fund in found.restated] == [
        ("513100.SH", 1),
        ("518880.SH", 1),
    ]


def test_a_row_taken_out_or_filled_in_late_is_restated(tmp_path):
    frames = bars(50)
    late = frames["510300.SH"].drop(index=49)
    before = build(tmp_path / "published", frames | {"510300.SH": late})
    frames = bars(50)
    frames["513100.SH"] = frames["513100.SH"].drop(index=20)
    found = compared(tmp_path, before, frames)
    assert found.restated == [
        Restated("510300.SH", "restated", LAST, 1),
        Restated("513100.SH", "restated", DAYS[20].date().isoformat(), 1),
    ]
    assert found.added_rows == 0


def test_rows_that_collapse_are_no_change(tmp_path, before):
    frames = bars(50)
    frames["518880.SH"] = pd.concat([frames["518880.SH"], frames["518880.SH"].iloc[[11]]])
    last = DAYS[49]
    frames[f"{last:%Y%m%d}"] = pd.concat([frame.tail(1) for frame in frames.values()])
    frames["513100.SH_again"] = frames["513100.SH"]
    assert compared(tmp_path, before, frames) == InputChanges("published", LAST)


def test_a_row_that_differs_from_its_twin_is_a_change(tmp_path, before):
    frames = bars(50)
    frames["513100.SH_again"] = frames["513100.SH"].iloc[[20]].assign(close=9.0)
    (fund,) = compared(tmp_path, before, frames).restated
    assert fund == Restated("513100.SH", "restated", DAYS[20].date().isoformat(), 1)


def test_a_fund_that_is_new_and_one_that_is_gone(tmp_path, before):
    frames = bars(51, ("510300.SH", "513100.SH", "512000.SH"))
    first = DAYS[0].date().isoformat()
    frames["513100.SH"]["close"] = bars(51)["513100.SH"]["close"]
    found = compared(tmp_path, before, frames)
    assert found.restated == [
        Restated("512000.SH", "new", first, 50),
        Restated("518880.SH", "gone", first, 50),
    ]
    assert (found.added_rows, found.added_funds) == (3, 3)


def test_a_fund_listed_since_only_adds(tmp_path, before):
    frames = bars(51)
    frames["512000.SH"] = bars(51, ("512000.SH",))["512000.SH"].tail(1)
    assert compared(tmp_path, before, frames) == InputChanges("published", LAST, 4, 4)


def test_an_undated_row_is_history(tmp_path, before):
    frames = bars(50)
    frames["510300.SH"].loc[3, "trade_date"] = "soon"
    (fund,) = compared(tmp_path, before, frames).restated
    assert (fund.symbol, fund.rows, fund.first_date) == (
        "510300.SH",
        2,
        DAYS[3].date().isoformat(),
    )


@pytest.mark.parametrize("number", ["nothing", None])
def test_text_in_place_of_nothing_is_a_change(tmp_path, number):
    frames, again = bars(50), bars(50)
    for frame, value in ((frames["510300.SH"], None), (again["510300.SH"], number)):
        frame["close"] = frame["close"].astype(str).astype(object)
        frame.loc[5, "close"] = value
    found = compared(tmp_path, build(tmp_path / "published", frames), again)
    assert len(found.restated) == (number is not None)


def test_a_time_of_day_is_a_change(tmp_path, before):
    frames = bars(50)
    frames["510300.SH"].loc[5, "trade_date"] += " 09:30:00"
    (fund,) = compared(tmp_path, before, frames).restated
    assert fund == Restated("510300.SH", "restated", DAYS[5].date().isoformat(), 1)


def test_a_row_without_a_code_is_a_fund_of_its_own(tmp_path, before):
    frames = bars(50)
    frames["510300.SH"].loc[5, "ts_code"] = None
    first = build(tmp_path / "first", frames)
    day = DAYS[5].date().isoformat()
    assert compared(tmp_path, before, frames).restated == [
        Restated("510300.SH", "restated", day, 1),
        Restated(None, "new", day, 1),
    ]
    frames["510300.SH"].loc[7, "ts_code"] = None
    assert compared(tmp_path / "again", first, frames).restated[1].kind == "restated"


def test_rows_after_as_of_do_not_count_as_missing(tmp_path, before):
    as_of = DAYS[39].date().isoformat()
    found = compared(tmp_path, before, bars(50), as_of=as_of)
    assert found == InputChanges("published", LAST)
    frames = bars(50)
    frames["510300.SH"] = frames["510300.SH"].drop(index=39)
    (fund,) = compared(tmp_path / "again", before, frames, as_of=as_of).restated
    assert (fund.symbol, fund.first_date, fund.rows) == ("510300.SH", as_of, 1)


def test_code_engine_and_settings(tmp_path):
    before = build(tmp_path / "published", bars(50), rebalance="monthly", today="2024-03-08")
    same = compared(tmp_path / "0", before, bars(50), rebalance="monthly", today="2024-03-11")
    assert (same.is_code_changed, same.settings_changed) == (False, [])
    for number, changed in enumerate(({"code": "d"}, {"engine": "f"}), start=1):
        found = compared(tmp_path / str(number), before, bars(50), rebalance="monthly", **changed)
        assert found.is_code_changed
    found = compared(tmp_path / "3", before, bars(50), rebalance="weekly", universe="all")
    assert found.settings_changed == ["rebalance", "universe"]


# ---------------------------------------------------------------- the line

MANY = [Restated(f"51000{n}.SH", "restated", "2024-01-02", n + 1) for n in range(7)]


@pytest.mark.parametrize(
    ("found", "english", "chinese"),
    [
        (InputChanges("r", "2024-03-08"), "raw data unchanged", "原始数据无变化"),
        (
            InputChanges("r", "2024-03-08", 47, 47, is_code_changed=True, settings_changed=["top"]),
            "history unchanged; added after 2024-03-08: rows 47, funds 47; code changed; "
            "settings changed: top",
            "历史数据不变，2024-03-08 之后新增 47 行（47 只基金）；代码有变动；参数有变动：top",
        ),
        (
            InputChanges("r", "2024-03-08", 3, 3, MANY),
            "HISTORY CHANGED ("
            + "".join(f"51000{n}.SH restated from 2024-01-02, rows {n + 1}; " for n in range(5))
            + "and 2 more); added after 2024-03-08: rows 3, funds 3",
            None,
        ),
        (
            InputChanges("r", "2024-03-08", 0, 0, [Restated("A", "gone", "2024-01-02", 9)]),
            "HISTORY CHANGED (A gone from 2024-01-02, rows 9)",
            "历史数据有变动（A 已缺失，原自 2024-01-02 起共 9 行）",
        ),
        (
            InputChanges("r", "2024-03-08", 0, 0, [Restated(None, "new", None, 1)]),
            "HISTORY CHANGED (- new from -, rows 1)",
            "历史数据有变动（新增基金 -，自 - 起共 1 行）",
        ),
    ],
)
def test_one_line_says_why(found, english, chinese):
    assert messages.since_line(found, "en") == f"Since run r: {english}"
    if chinese:
        assert messages.since_line(found, "zh") == f"与运行 r 相比：{chinese}"


def test_dates_are_text_for_the_manifest(tmp_path, before):
    found = compared(tmp_path, before, bars(50))
    assert dt.date.fromisoformat(found.last_date) == DAYS[49].date()
