"""Import of files from other programs, each with its own layout, units and headings."""

import csv
import datetime as dt
import errno
import io
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from etf_rotation.fetch import store
from etf_rotation.fetch.command import SHANGHAI
from etf_rotation.importing.command import import_files
from vendors import make_market, rounded, sessions

DAYS = sessions(dt.date(2024, 6, 28), 90)
FUNDS = ["510300.SH", "159915.SZ"]
MARKET = make_market(
    FUNDS,
    DAYS,
    splits={("510300.SH", DAYS[50]): 2},
    dividends={("159915.SZ", DAYS[40]): 0.05},
)


@pytest.fixture
def place(tmp_path):
    """A folder for files, a raw root, and `run(...)`, which imports and returns code and words."""
    root = tmp_path / "raw"

    def run(*names, **options):
        said = []
        code = import_files(
            [str(tmp_path / name) for name in names],
            {"ETF_RAW_ROOT": str(root), "ETF_LANGUAGE": options.pop("language", "en")},
            clock=lambda: dt.datetime(2024, 7, 1, 9, tzinfo=SHANGHAI),
            say=said.append,
            **options,
        )
        return code, "\n".join(said)

    def write(name, content, encoding="utf-8"):
        (tmp_path / name).write_bytes(
            content.encode(encoding) if isinstance(content, str) else content
        )

    return SimpleNamespace(folder=tmp_path, root=root, run=run, write=write)


def csv_text(headings, rows, separator=","):
    stream = io.StringIO()
    csv.writer(stream, delimiter=separator, lineterminator="\n").writerows([headings, *rows])
    return stream.getvalue()


def akshare(symbol, days=DAYS):
    """AkShare's fund_etf_hist_em, saved: lots, CNY, no code and no previous close."""
    headings = [
        "日期",
        "开盘",
        "收盘",
        "最高",
        "最低",
        "成交量",
        "成交额",
        "振幅",
        "涨跌幅",
        "涨跌额",
        "换手率",
    ]
    rows = [
        [b.date, b.open, b.close, b.high, b.low, round(b.shares / 100), b.money, 1, 1, 0.01, 1]
        for b in MARKET.bars[symbol]
        if b.date in days
    ]
    return csv_text(headings, rows)


def tushare(symbol, days=DAYS):
    """Tushare's fund_daily, saved by pandas: newest first, with an index, lots, 1,000 CNY."""
    headings = ",ts_code,trade_date,pre_close,open,high,low,close,change,pct_chg,vol,amount"
    rows = [
        [row, symbol, f"{b.date:%Y%m%d}", b.pre_close, b.open, b.high, b.low, b.close, 0, 0]
        + [b.shares / 100, b.money / 1000]
        for row, b in enumerate(reversed(MARKET.bars[symbol]))
        if b.date in days
    ]
    return csv_text(headings.split(","), rows)


def tdx(symbol, word="不复权"):
    """TDX's text export: a title, tabs, shares, CNY, a footer."""
    rows = [
        f"{symbol[:6]} 某某ETF 日线 {word}",
        "      日期\t    开盘\t    最高\t    最低\t    收盘\t    成交量\t    成交额",
    ]
    rows += [
        f"{b.date:%Y/%m/%d}\t{b.open}\t{b.high}\t{b.low}\t{b.close}\t{b.shares}\t{b.money:.2f}"
        for b in MARKET.bars[symbol]
    ]
    return "\r\n".join([*rows, "数据来源:通达信", ""])


def szse(symbol):
    """A table of Shenzhen's pages: text with thousands commas, 10,000 shares, 10,000 CNY."""
    headings = "交易日期,证券代码,证券简称,前收,开盘,最高,最低,今收,涨跌幅（%）"
    headings += ",成交量(万份),成交金额(万元)"
    rows = [
        [b.date, f'="{symbol[:6]}"', "ETF", b.pre_close, b.open, b.high, b.low, b.close, "0.00"]
        + [f"{b.shares / 1e4:,.4f}", f"{b.money / 1e4:,.4f}"]
        for b in MARKET.bars[symbol]
    ]
    return csv_text(headings.split(","), rows)


def baostock(symbol, flag=3):
    """BaoStock's: one file of several days, code with the exchange before it, shares, CNY."""
    headings = "date,code,open,high,low,close,preclose,volume,amount,adjustflag"
    code = f"{symbol[-2:].lower()}.{symbol[:6]}"
    rows = [
        [b.date, code, b.open, b.high, b.low, b.close, b.pre_close, b.shares, b.money, flag]
        for b in MARKET.bars[symbol]
    ]
    return csv_text(headings.split(","), rows)


def rows_of(place, symbol):
    return pq.read_table(store.daily(place.root) / f"{symbol}_daily.parquet").to_pylist()


def is_as_the_market(place, symbol, *, has_pre_close=True, is_whole_lots=False):
    facts = MARKET.bars[symbol]
    rows = rows_of(place, symbol)
    assert [row["trade_date"] for row in rows] == [bar.date for bar in facts]
    for row, bar in zip(rows, facts, strict=True):
        for name in ("open", "high", "low", "close"):
            assert row[name] == getattr(bar, name)
        lots = round(bar.shares / 100) if is_whole_lots else bar.shares / 100
        assert row["vol"] == pytest.approx(lots, rel=1e-9)
        assert row["amount"] == pytest.approx(bar.money / 1000, rel=1e-6)
        expected = bar.pre_close if has_pre_close else None
        assert row["pre_close"] == expected


# -- the programs ----------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("symbol", FUNDS)
def test_akshare(place, encoding, symbol):
    place.write(f"{symbol[:6]}.csv", akshare(symbol), encoding)
    code, said = place.run(f"{symbol[:6]}.csv")
    assert code == 0, said
    is_as_the_market(place, symbol, has_pre_close=False, is_whole_lots=True)
    assert f"no pre_close, so dividends and splits are unknown: {symbol}; " in said


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_tushare(place, encoding):
    place.write("mine.csv", tushare("510300.SH"), encoding)
    assert place.run("mine.csv")[0] == 0
    is_as_the_market(place, "510300.SH")


def test_tdx(place):
    place.write("SH#510300.txt", tdx("510300.SH"), "gb18030")
    code, said = place.run("SH#510300.txt")
    assert code == 0, said
    is_as_the_market(place, "510300.SH", has_pre_close=False)
    assert "a line of SH#510300.txt is not a bar and is ignored: 数据来源:通达信" in said


def test_a_table_of_the_exchange(place):
    place.write("行情.csv", szse("159915.SZ"), "gb18030")
    code, said = place.run("行情.csv")
    assert code == 0, said
    is_as_the_market(place, "159915.SZ")
    assert "10,000 shares" in said


def test_baostock_and_several_funds_in_one_file(place):
    one, other = (baostock(symbol) for symbol in FUNDS)
    place.write("all.csv", one + other.partition("\n")[2])
    code, said = place.run("all.csv")
    assert code == 0, said
    for symbol in FUNDS:
        is_as_the_market(place, symbol)


@pytest.mark.parametrize("kind", ["text", "integer", "date", "timestamp"])
def test_parquet_of_any_date_type(place, kind):
    facts = MARKET.bars["510300.SH"]
    days = {
        "text": [str(bar.date) for bar in facts],
        "integer": [int(f"{bar.date:%Y%m%d}") for bar in facts],
        "date": [bar.date for bar in facts],
        "timestamp": pd.to_datetime([bar.date for bar in facts]),
    }[kind]
    frame = pd.DataFrame(
        {
            "Date": days,
            "symbol": 510300,
            **{name: [getattr(b, name) for b in facts] for name in ("open", "high", "low")},
            "close": [b.close for b in facts],
            "prev_close": [b.pre_close for b in facts],
            "volume": [b.shares for b in facts],
            "total_turnover": [b.money for b in facts],
        }
    )
    frame.to_parquet(place.folder / "x.parquet")
    code, said = place.run("x.parquet")
    assert code == 0, said
    is_as_the_market(place, "510300.SH")


def test_an_adjustment_factor_becomes_the_previous_close(place):
    factor, factors = 1.0, []
    for bar, before in zip(
        MARKET.bars["510300.SH"], [None, *MARKET.bars["510300.SH"]], strict=False
    ):
        factor *= before.close / bar.pre_close if before else 1.0
        factors.append(factor)
    lines = tushare("510300.SH").replace("pre_close", "x").splitlines()
    text = "\n".join(
        [f"{lines[0]},复权因子"]
        + [f"{line},{value}" for line, value in zip(lines[1:], reversed(factors), strict=True)]
    )
    place.write("mine.csv", text)
    code, said = place.run("mine.csv")
    assert code == 0, said
    assert "510300.SH: pre_close is derived from 复权因子 of mine.csv" in said
    for row, bar in zip(rows_of(place, "510300.SH")[1:], MARKET.bars["510300.SH"][1:], strict=True):
        assert row["pre_close"] == pytest.approx(bar.pre_close, rel=1e-9)
    assert set(rows_of(place, "510300.SH")[0]) == set(store.SCHEMA.names)


# -- preview, update, several files ----------------------------------------------------


def test_the_preview_writes_nothing_and_says_what_would_be(place):
    place.write("a.csv", tushare("510300.SH"))
    code, said = place.run("a.csv", is_dry=True)
    assert code == 0
    assert not place.root.exists()
    shown = [" ".join(line.split()) for line in said.splitlines()]
    assert f"510300.SH 90 {DAYS[0]} {DAYS[-1]} 90 lots 1,000 CNY yes a.csv" in shown
    assert shown[-1].startswith("Dry run, nothing was written: 1 funds, 90 new rows")
    assert "试运行，未写入任何内容" in place.run("a.csv", is_dry=True, language="zh")[1]


def test_the_next_export_adds_its_new_sessions(place):
    place.write("old.csv", tushare("510300.SH", DAYS[:-5]))
    place.write("new.csv", tushare("510300.SH"))
    place.run("old.csv")
    code, said = place.run("new.csv")
    assert (code, "1 funds, 5 new rows" in said) == (0, True)
    is_as_the_market(place, "510300.SH")
    before = (store.daily(place.root) / "510300.SH_daily.parquet").read_bytes()
    assert "0 new rows" in place.run("new.csv")[1]
    assert (store.daily(place.root) / "510300.SH_daily.parquet").read_bytes() == before


def test_files_of_years_that_overlap_become_one(place):
    place.write("a.csv", tushare("510300.SH", DAYS[:60]))
    place.write("b.csv", tushare("510300.SH", DAYS[40:]))
    code, said = place.run("a.csv", "b.csv")
    assert code == 0, said
    is_as_the_market(place, "510300.SH")
    assert "510300.SH: 20 rows appear more than once with equal values" in said


def test_a_rejected_file_does_not_stop_the_others(place):
    place.write("good.csv", tushare("510300.SH"))
    place.write("159915.csv", "nothing\nhere\n")
    code, said = place.run("good.csv", "159915.csv", "absent.csv")
    assert code == 1
    assert "159915.csv, line 1: no line of headings" in said
    assert "absent.csv: No such file or directory" in said
    is_as_the_market(place, "510300.SH")
    assert place.run("159915.csv")[0] == 2


def test_a_full_disk_is_named_and_leaves_nothing_half_written(place, monkeypatch):
    def full(table, file, **options):
        raise OSError(errno.ENOSPC, "No space left on device", file.name)

    place.write("a.csv", tushare("510300.SH"))
    monkeypatch.setattr(store.pq, "write_table", full)
    code, said = place.run("a.csv")
    assert (code, "No space left on device" in said) == (2, True)
    assert list(store.daily(place.root).iterdir()) == []


# -- refusals: each names file, line and column ----------------------------------------


def changed(text, line, column, value):
    """A CSV whose cell has another value; the line counts from 1, with the headings."""
    rows = list(csv.reader(io.StringIO(text)))
    rows[line - 1][rows[0].index(column)] = value
    return csv_text(rows[0], rows[1:])


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("close", "1,5x", "not a number: 1,5x"),
        ("close", "", "close is null"),
        ("close", "-1.5", "close is -1.5"),
        ("close", "9.9", "close 9.9 is outside of low"),
        ("vol", "-3", "vol is -3"),
        ("amount", "inf", "amount is inf"),
        ("amount", "1", "amount / (volume × close) is "),
        ("trade_date", "20240632", "20240632 is not a date"),
        ("trade_date", "06/28/2024", "06/28/2024 is not a date"),
        ("trade_date", "2024-06-14 09:30", "2024-06-14 09:30 is not a date"),
        ("trade_date", "20240615", "2024-06-15 is not a trading session"),
        ("trade_date", "20300102", "2030-01-02 is after today"),
        ("trade_date", f"{DAYS[-1]:%Y%m%d}", f"{DAYS[-1]} is already in line 2"),
        ("ts_code", "000001.SZ", "000001.SZ is not the code of an exchange-traded fund"),
        ("ts_code", "510300.SZ", "510300.SZ is not the code of an exchange-traded fund"),
        ("pre_close", "", "pre_close is missing"),
        ("pre_close", "150", "pre_close is 150"),
    ],
)
def test_a_bad_cell_is_named(place, column, value, words):
    place.write("bad.csv", changed(tushare("510300.SH"), 12, column, value))
    code, said = place.run("bad.csv")
    assert code == 2
    assert f"bad.csv, line 12, column {column}: " in said, said
    assert words in said
    assert not list(store.daily(place.root).glob("*"))


def test_adjusted_prices_are_refused(place):
    """Prices times a factor contradict the traded amount."""
    text = akshare("510300.SH")
    rows = list(csv.reader(io.StringIO(text)))
    for row in rows[1:]:
        row[1:5] = [str(rounded(float(cell) * 1.04)) for cell in row[1:5]]
    place.write("510300.csv", csv_text(rows[0], rows[1:]))
    code, said = place.run("510300.csv")
    assert code == 2
    assert "510300.csv, line " in said
    assert "column 收盘: " in said
    assert "the prices are adjusted" in said


@pytest.mark.parametrize("word", ["前复权", "后复权"])
def test_a_title_that_says_adjusted_is_refused(place, word):
    place.write("SZ#159915.txt", tdx("159915.SZ", word), "gb18030")
    code, said = place.run("SZ#159915.txt")
    assert code == 2
    assert f"SZ#159915.txt, line 1: the title says {word}" in said


def test_a_flag_that_says_adjusted_is_refused(place):
    place.write("x.csv", baostock("510300.SH", flag=2))
    code, said = place.run("x.csv")
    assert code == 2
    assert "x.csv, line 2, column adjustflag: 2 means adjusted prices" in said


def test_units_that_contradict_the_headings_are_refused(place):
    place.write("510300.csv", akshare("510300.SH").replace("成交量", "成交量(股)", 1))
    code, said = place.run("510300.csv")
    assert code == 2
    assert "510300.csv, line 2, column 成交额: amount / (volume × close) has the median" in said


def test_ambiguous_units_are_rejected_with_a_request_to_state_them(place):
    place.write("x.csv", szse("159915.SZ").replace("(万份)", "").replace("(万元)", ""))
    code, said = place.run("x.csv")
    assert code == 2
    assert "write the units into the headings, such as 成交量(万份), 成交额(万元)" in said


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("510300.csv", b"PK\x03\x04rest", "is a spreadsheet: save it as CSV"),
        ("510300.xls", b"\xd0\xcf\x11\xe0rest", "is a spreadsheet: save it as CSV"),
        ("510300.csv", b"\xff\xfe1\x002\x00", "neither UTF-8 nor GB18030"),
        ("510300.csv", b"\x81\xff\xff\xfe", "neither UTF-8 nor GB18030"),
        ("510300.csv", b"", "510300.csv has no rows"),
        ("510300.parquet", b"PAR1 and no more", "is not a readable parquet file"),
    ],
)
def test_a_file_without_a_table_is_named(place, name, content, words):
    place.write(name, content)
    code, said = place.run(name)
    assert (code, words in said) == (2, True), said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("成交额", "额外"), "no column for amount; its headings: 日期, 开盘"),
        (("换手率", "收盘价"), "the headings 收盘 and 收盘价 both mean close"),
    ],
)
def test_insufficient_headings_are_named(place, change, words):
    place.write("510300.csv", akshare("510300.SH").replace(*change, 1))
    code, said = place.run("510300.csv")
    assert (code, words in said) == (2, True), said


def test_a_line_with_too_few_cells_is_named(place):
    lines = akshare("510300.SH").splitlines()
    lines[5] = ",".join(lines[5].split(",")[:4])
    place.write("510300.csv", "\n".join(lines))
    assert "510300.csv, line 6: 4 cells under 11 headings" in place.run("510300.csv")[1]


def test_a_file_without_any_code_is_named(place):
    place.write("mine.csv", akshare("510300.SH"))
    code, said = place.run("mine.csv")
    assert (code, "rename the file, for example to 510300.csv" in said) == (2, True)


def test_a_code_unlike_the_files_name_is_refused(place):
    place.write("510500.csv", tushare("510300.SH"))
    code, said = place.run("510500.csv")
    assert code == 2
    assert (
        "510500.csv, line 2, column ts_code: 510300.SH is not the fund of the file's name" in said
    )


def test_contradictory_values_in_two_files_are_rejected(place):
    place.write("a.csv", tushare("510300.SH", DAYS[:60]))
    text = tushare("510300.SH", DAYS[40:])
    old = list(csv.DictReader(io.StringIO(text)))[-1]["low"]
    new = str(rounded(float(old) - 0.001))
    place.write("b.csv", changed(text, 51, "low", new))
    code, said = place.run("a.csv", "b.csv")
    assert code == 2
    assert f"b.csv, line 51, column low: {DAYS[40]} is {new} here and {old} in a.csv, line" in said


def test_a_value_that_contradicts_the_stored_history_is_rejected(place):
    place.write("a.csv", tushare("510300.SH"))
    place.run("a.csv")
    before = (store.daily(place.root) / "510300.SH_daily.parquet").read_bytes()
    text = tushare("510300.SH")
    low = list(csv.DictReader(io.StringIO(text)))[9]["low"]
    place.write("b.csv", changed(text, 11, "low", str(rounded(float(low) - 0.001))))
    code, said = place.run("b.csv")
    assert code == 2
    assert (
        f"b.csv, line 11, column low: {DAYS[-10]} is {rounded(float(low) - 0.001)} here and" in said
    )
    assert (store.daily(place.root) / "510300.SH_daily.parquet").read_bytes() == before


def test_import_rejects_a_fund_that_fetch_maintains(place):
    facts = MARKET.bars["510300.SH"]
    table = pa.table(
        {
            "ts_code": ["510300.SH"] * len(facts),
            "trade_date": [bar.date for bar in facts],
            **{n: [getattr(b, n) for b in facts] for n in ("open", "high", "low", "close")},
            "pre_close": [b.pre_close for b in facts],
            "vol": [b.shares / 100 for b in facts],
            "amount": [b.money / 1000 for b in facts],
        }
    )
    store.write(store.daily(place.root) / "510300.SH_daily.parquet", table, {"source": "tushare"})
    place.write("a.csv", tushare("510300.SH"))
    code, said = place.run("a.csv")
    assert (code, "comes from tushare, which fetch keeps current" in said) == (2, True)


def test_two_adjustments_that_contradict_are_refused(place):
    lines = tushare("510300.SH").splitlines()
    text = "\n".join([f"{lines[0]},adj_factor"] + [f"{line},1.0" for line in lines[1:]])
    place.write("a.csv", text)
    code, said = place.run("a.csv")
    assert code == 2
    line = len(DAYS) - 50 + 1
    assert f"a.csv, line {line}, column adj_factor: pre_close " in said


def test_adjusted_closes_alone_are_too_coarse(place):
    text = tushare("510300.SH").replace("pre_close", "adj_close", 1)
    place.write("a.csv", text)
    code, said = place.run("a.csv")
    assert (code, "export pre_close or adj_factor as well" in said) == (2, True)
