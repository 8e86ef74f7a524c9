"""Reading raw files: every valid layout, and a one-line error for each invalid one."""

import datetime as dt
import os
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from etf_rotation.errors import InputError
from etf_rotation.staging.raw_files import (
    FILES_SCHEMA,
    MARKER,
    NUMBERS,
    SYNTHETIC_KEY,
    file_kind,
    fingerprint,
    inspect_files,
    resolve_root,
)
from etf_rotation.staging.raw_rows import read_rows
from etf_rotation.staging.seed_checks import Universe

SYMBOL = "510300.SH"
NAME = f"{SYMBOL}_daily_20210104_20210106.parquet"
DAYS = [dt.date(2021, 1, day) for day in (4, 5, 6)]


def columns(**changes):
    numbers = {
        "open": [5.0, 5.1, 5.2],
        "high": [5.2, 5.3, 5.4],
        "low": [4.9, 5.0, 5.1],
        "close": [5.1, 5.2, 5.3],
        "vol": [100.0, 200.0, 300.0],
        "amount": [51.0, 104.0, 159.0],
    }
    dates = [f"{day:%Y%m%d}" for day in DAYS]
    return {"ts_code": [SYMBOL] * 3, "trade_date": dates, **numbers, **changes}


def write(root, name=NAME, *, metadata=None, **changes):
    path = root / "ETF" / "daily" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {key: value for key, value in columns(**changes).items() if value is not None}
    pq.write_table(pa.table(data).replace_schema_metadata(metadata), path)
    return path


def universe(wanted=(SYMBOL,), known=(SYMBOL,), everything=False):
    return Universe(frozenset(wanted), frozenset(known), everything)


def inspect(root, **choice):
    return inspect_files(root, universe(**choice))


def read(root, as_of=None, **choice):
    return read_checked(inspect(root, **choice), as_of, **choice)


def read_checked(files, as_of=None, **choice):
    with duckdb.connect() as connection:
        table = read_rows(connection, files, universe(**choice), as_of).to_arrow_table()
    return table.sort_by([("source_file", "ascending"), ("source_row", "ascending")]).to_pylist()


def refused(root, as_of=None, **choice):
    """The one-line message of the error."""
    with pytest.raises(InputError) as caught:
        read(root, as_of, **choice)
    message = str(caught.value)
    assert "\n" not in message
    return message


# ---------- what is allowed


@pytest.mark.parametrize(
    "dates",
    [
        ["20210104", "20210105", "20210106"],
        ["2021-01-04", "2021-01-05", "2021-01-06"],
        ["2021-01-04 00:00:00", "20210105 00:00:00", "2021-01-06T00:00:00"],
        ["2021-01-04 00:00", "2021-01-05 00:00:00.000", "2021-01-06 00:00:00.000000000"],
        ["20210104.0", "2021-01-05.0", "20210106.00"],
        [20210104, 20210105, 20210106],
        pa.array([20210104, 20210105, 20210106], pa.int32()),
        [20210104.0, 20210105.0, 20210106.0],
        DAYS,
        [dt.datetime(day.year, day.month, day.day) for day in DAYS],
        pa.array(DAYS).cast(pa.timestamp("ns")),
        pa.array(["20210104", "20210105", "20210106"]).dictionary_encode(),
        pa.array(["20210104", "20210105", "20210106"], pa.large_string()),
        pa.array(["20210104", "20210105", "20210106"], pa.string_view()),
        pa.array(["20210104", "20210105", "20210106"], pa.large_string()).dictionary_encode(),
    ],
    ids=[
        "text",
        "text with hyphens",
        "text with midnight",
        "text with midnight, shorter and longer",
        "text with a fraction of zero",
        "int64",
        "int32",
        "double",
        "date",
        "timestamp",
        "timestamp ns",
        "dictionary",
        "large text",
        "text view",
        "dictionary of large text",
    ],
)
def test_every_form_of_a_date_is_read(tmp_path, dates):
    write(tmp_path, trade_date=dates)
    rows = read(tmp_path)
    assert [row["trade_date"] for row in rows] == DAYS
    assert [row["date_fault"] for row in rows] == [None] * 3


@pytest.mark.parametrize(
    ("dates", "faults"),
    [
        (
            [dt.datetime(2021, 1, 4, 9, 30), dt.datetime(2021, 1, 5), None],
            ["time_of_day", None, None],
        ),
        (
            pa.array([dt.datetime(2021, 1, 4)] * 3, pa.timestamp("us", "Asia/Shanghai")),
            ["time_zone"] * 3,
        ),
        (
            ["20210104 09:30", "2021-01-05T00:00:00Z", "2021-01-06 00:00+08:00"],
            ["time_of_day", "time_zone", "time_zone"],
        ),
        (
            ["20210104.5", "2021-01-05 00:00:01", "2021-01-06 00:00:00.001"],
            ["time_of_day"] * 3,
        ),
    ],
)
def test_a_time_of_day_and_a_time_zone_are_faults_of_the_row(tmp_path, dates, faults):
    write(tmp_path, trade_date=dates)
    assert [row["date_fault"] for row in read(tmp_path)] == faults


def test_an_invalid_date_is_null_and_keeps_its_text(tmp_path):
    write(tmp_path, trade_date=["20210230", "yesterday", "20210106"])
    rows = read(tmp_path)
    assert [row["trade_date"] for row in rows] == [None, None, DAYS[2]]
    assert rows[1]["raw_trade_date"] == "yesterday"


def test_columns_are_matched_by_name_and_others_are_ignored(tmp_path):
    path = write(tmp_path, name_of_fund=["x"] * 3, pct_chg=[0.1] * 3, adj_factor=[1.0, 1.0, 2.0])
    table = pq.read_table(path)
    pq.write_table(table.select(table.column_names[::-1]), path)
    rows = read(tmp_path)
    assert [row["close"] for row in rows] == [5.1, 5.2, 5.3]
    assert [row["adj_factor"] for row in rows] == [1.0, 1.0, 2.0]
    assert rows[0].keys() == {
        "source_file",
        "source_row",
        "raw_symbol",
        "raw_trade_date",
        "trade_date",
        "date_fault",
        "text_column",
        *NUMBERS,
    }


def test_numbers_may_be_integers_decimals_text_or_nothing(tmp_path):
    write(
        tmp_path,
        open=[5, 6, 7],
        high=[Decimal("5.25")] * 3,
        low=["4.5", None, "4.75"],
        vol=[None] * 3,
    )
    rows = read(tmp_path)
    assert [row["open"] for row in rows] == [5.0, 6.0, 7.0]
    assert [row["high"] for row in rows] == [5.25] * 3
    assert [row["low"] for row in rows] == [4.5, None, 4.75]
    assert [row["vol"] for row in rows] == [None] * 3
    assert [row["text_column"] for row in rows] == [None] * 3


@pytest.mark.parametrize(
    ("column", "types"),
    [
        ("vol", [pa.int64(), pa.float64()]),
        ("close", [pa.int32(), pa.float64()]),
        ("close", [pa.decimal128(9, 2), pa.float64(), pa.decimal128(12, 4)]),
        ("close", [pa.float32(), pa.float64()]),
        ("trade_date", [pa.date32(), pa.timestamp("s"), pa.timestamp("ns")]),
    ],
)
def test_a_files_types_change_nothing_of_another_file(tmp_path, column, types):
    symbols = [f"51030{number}.SH" for number in range(len(types))]
    exact = {"vol": [100.5, 200.25, 300.125], "close": [5.001, 5.0625, 5.1239]}
    for symbol, type_ in zip(symbols, types, strict=True):
        values = pa.array(DAYS if column == "trade_date" else exact[column])
        write(
            tmp_path,
            f"{symbol}.parquet",
            ts_code=[symbol] * 3,
            **{column: values.cast(type_, safe=False)},
        )
    together = read(tmp_path, wanted=symbols, known=symbols)
    for symbol in symbols:
        alone = read(tmp_path, wanted=[symbol], known=symbols)
        assert [row for row in together if row["raw_symbol"] == symbol] == alone
        if column in exact and types[symbols.index(symbol)] == pa.float64():
            assert [row[column] for row in alone] == exact[column]


@pytest.mark.parametrize("type_", [pa.large_string(), pa.string_view()])
def test_symbols_and_numbers_are_read_from_text_of_every_type(tmp_path, type_):
    write(
        tmp_path,
        ts_code=pa.array([SYMBOL] * 3, type_),
        close=pa.array(["5.1", "5.2", "5.3"], type_),
    )
    rows = read(tmp_path)
    assert [(row["raw_symbol"], row["close"]) for row in rows] == [
        (SYMBOL, 5.1),
        (SYMBOL, 5.2),
        (SYMBOL, 5.3),
    ]


def test_a_folder_named_like_a_partition_changes_no_column(tmp_path):
    root = tmp_path / "vol=7"
    write(root)
    assert [row["vol"] for row in read(root)] == [100.0, 200.0, 300.0]


def test_a_column_named_like_one_of_the_readers_is_refused(tmp_path):
    write(tmp_path, filename=["a", "b", "c"])
    assert len(read(tmp_path)) == 3  # noqa: PLR2004
    write(tmp_path, file_row_number=[5, 6, 7])
    said = "a column may not be called file_row_number; rename or drop it"
    assert refused(tmp_path) == f"{NAME}: {said}"


def test_a_year_outside_the_calendar_is_no_date(tmp_path):
    write(tmp_path, trade_date=["00000101", "20210105", "19891229"])
    dates = {row["raw_trade_date"]: row["trade_date"] for row in read(tmp_path)}
    assert dates == {"00000101": None, "20210105": DAYS[1], "19891229": None}


def test_a_hidden_file_is_no_data(tmp_path):
    write(tmp_path)
    write(tmp_path, f"._{NAME}").write_bytes(b"\x00\x05\x16\x07")
    assert len(read(tmp_path)) == 3  # noqa: PLR2004


def test_text_in_a_price_names_the_column_and_leaves_the_other_rows(tmp_path):
    write(tmp_path, close=["5.1", "n/a", "5.3"])
    rows = read(tmp_path)
    assert [row["text_column"] for row in rows] == [None, "close", None]
    assert [row["close"] for row in rows] == [5.1, None, 5.3]


def test_text_in_the_volume_is_named_before_text_in_a_price(tmp_path):
    write(tmp_path, close=["n/a", "n/a", "5.3"], vol=["100", "many", "100"])
    assert [row["text_column"] for row in read(tmp_path)] == ["close", "vol", None]


def test_files_of_different_layout_are_read_together(tmp_path):
    write(tmp_path)
    other = "159915.SZ"
    write(
        tmp_path,
        f"{other}.parquet",
        ts_code=[other] * 3,
        trade_date=DAYS,
        pre_close=[5.0, 5.1, 5.2],
    )
    rows = read(tmp_path, wanted=[SYMBOL, other], known=[SYMBOL, other])
    assert [row["trade_date"] for row in rows] == DAYS * 2
    assert [row["pre_close"] for row in rows] == [5.0, 5.1, 5.2, None, None, None]
    assert [row["source_row"] for row in rows] == [1, 2, 3] * 2


def test_rows_after_as_of_are_not_read_and_rows_without_a_date_are(tmp_path):
    write(tmp_path, trade_date=["20210104", None, "20210106"])
    assert [row["source_row"] for row in read(tmp_path, as_of="2021-01-05")] == [1, 2]


def test_files_of_other_funds_are_listed_and_not_opened(tmp_path):
    write(tmp_path)
    (tmp_path / "ETF" / "daily" / "159999.SZ.parquet").write_bytes(b"not opened")
    files = inspect(tmp_path)
    assert files.schema == FILES_SCHEMA
    assert files["funds_in_no_pool"].to_pylist() == [None, []]
    assert dict(
        zip(*files.select(["source_file", "is_read"]).to_pydict().values(), strict=True)
    ) == {
        "159999.SZ.parquet": False,
        NAME: True,
    }
    assert "159999.SZ.parquet" in refused(tmp_path, everything=True)


def test_the_fingerprint_is_of_names_and_contents(tmp_path):
    write(tmp_path)
    before = fingerprint(inspect(tmp_path))
    write(tmp_path)
    assert fingerprint(inspect(tmp_path)) == before
    write(tmp_path, close=[5.1, 5.2, 5.31])
    assert fingerprint(inspect(tmp_path)) != before


# ---------- which file holds what


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("510300.SH_daily_20120504_20230608.parquet", "fund", "510300.SH"),
        ("510300_20230608.parquet", "fund", "510300"),
        ("510300.parquet", "fund", "510300"),
        ("20230608.parquet", "session", "20230608"),
        ("20230608_daily.parquet", "session", "20230608"),
        ("20230608.SH.parquet", "session", "20230608"),
        ("202306081.parquet", "fund", "202306"),
        ("2023-06-08.parquet", "other", ""),
        ("all funds.parquet", "other", ""),
    ],
)
def test_the_name_of_a_file_says_what_it_holds(name, kind, code):
    assert file_kind(name) == (kind, code)


STRANGER, OTHER_POOL = "588888.SH", "513100.SH"


@pytest.mark.parametrize("name", ["20210104.parquet", "all.parquet"])
def test_of_a_file_of_many_funds_only_those_of_the_build_are_read(tmp_path, name):
    funds = [SYMBOL, OTHER_POOL, STRANGER, None, "510300"]
    numbers = {key: values[:1] * 5 for key, values in columns().items()}
    write(tmp_path, name, **numbers | {"ts_code": funds})
    known = [SYMBOL, OTHER_POOL]
    rows = read(tmp_path, known=known)
    # A symbol that cannot be read may be of any fund.
    assert [(row["source_row"], row["raw_symbol"]) for row in rows] == [
        (1, SYMBOL),
        (4, None),
        (5, "510300"),
    ]
    rows = read(tmp_path, known=known, everything=True)
    assert [row["source_row"] for row in rows] == [1, 3, 4, 5]


def test_funds_of_no_pool_are_named_where_no_file_is(tmp_path):
    write(tmp_path, "all.parquet", ts_code=[STRANGER, OTHER_POOL, SYMBOL])
    write(tmp_path, "20210104.parquet", ts_code=[STRANGER, OTHER_POOL, SYMBOL])
    files = inspect(tmp_path, known=[SYMBOL, OTHER_POOL])
    found = dict(zip(*files.select(["source_file", "funds_in_no_pool"]).columns, strict=True))
    found = {name.as_py(): funds.as_py() for name, funds in found.items()}
    # A session's file holds the whole market as a rule.
    assert found == {"all.parquet": [STRANGER], "20210104.parquet": []}


@pytest.mark.parametrize(
    "name", [f"{SYMBOL} (1).parquet", f"{SYMBOL}[1].parquet", f"{SYMBOL}*.parquet"]
)
def test_a_file_name_is_not_read_as_a_pattern(tmp_path, name):
    write(tmp_path, f"{SYMBOL}1.parquet")
    write(tmp_path, name, close=[6.1, 6.2, 6.3])
    assert {row["source_file"] for row in read(tmp_path)} == {f"{SYMBOL}1.parquet", name}
    assert [row["close"] for row in read(tmp_path) if row["source_file"] == name] == [6.1, 6.2, 6.3]


def test_a_link_keeps_its_own_name(tmp_path):
    stored = write(tmp_path / "store", "9f2c.parquet")
    link = tmp_path / "raw" / "ETF" / "daily" / NAME
    link.parent.mkdir(parents=True)
    link.symlink_to(stored)
    assert {row["source_file"] for row in read(tmp_path / "raw")} == {NAME}


# ---------- a file that changes meanwhile

CHANGED = (
    f"{NAME}: changed after the build had checked it; run the whole build again when nothing "
    "writes into the raw folder"
)


def rewritten(path):
    """Write other values of the same length, and put the time back."""
    stat = path.stat()
    write(path.parents[2], close=[5.1, 5.2, 5.4])
    assert path.stat().st_size == stat.st_size
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


CHANGES = {
    "rewritten in the same second and size": rewritten,
    "touched": lambda path: os.utime(path, ns=(1, 1)),
    "longer": lambda path: write(path.parents[2], adj_factor=[1.0, 1.0, 1.0]),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_between_check_and_reading_is_named(tmp_path, change):
    other = "159915.SZ"
    write(tmp_path, f"{other}.parquet", ts_code=[other] * 3)
    path = write(tmp_path)
    choice = {"wanted": [SYMBOL, other], "known": [SYMBOL, other]}
    files = inspect(tmp_path, **choice)
    CHANGES[change](path)
    with pytest.raises(InputError) as caught:
        read_checked(files, **choice)
    assert str(caught.value) == CHANGED


# ---------- what is refused


def test_a_file_of_too_many_rows_is_refused_before_a_page_is_read(tmp_path):
    path = tmp_path / "ETF" / "daily" / NAME
    path.parent.mkdir(parents=True)
    rows = 100_000
    data = {key: pa.array(values[:1] * rows) for key, values in columns().items()}
    with pq.ParquetWriter(path, pa.table(data).schema) as writer:
        for _ in range(21):
            writer.write_table(pa.table(data))
    said = "the file has 2100000 rows, more than max_rows_per_file (2000000)"
    assert refused(tmp_path) == f"{NAME}: {said}; split it, or set the var higher"
    assert inspect_files(tmp_path, universe(), max_rows=2_100_000)["rows"].to_pylist() == [
        2_100_000
    ]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"510300.SH_\xff.parquet", "510300.SH_\\xff.parquet"),
        ("沪深\n300.parquet".encode(), "沪深\\n300.parquet"),
        (b"510300.SH\\1.parquet", "510300.SH\\1.parquet"),
    ],
)
def test_a_name_that_no_table_can_hold_is_refused(tmp_path, name, shown):
    path = write(tmp_path)
    write(tmp_path, "510500.SH.parquet").write_bytes(b"")
    os.rename(path, os.path.join(os.fsencode(path.parent), name))
    said = "the name of the file is not UTF-8, or holds a backslash or a control character"
    # Before any file is opened: the empty one is not yet found.
    assert refused(tmp_path) == f"{shown}: {said}; rename it"


def test_a_pipe_is_rejected_without_waiting(tmp_path):
    path = write(tmp_path)
    os.mkfifo(path.with_name("x.parquet"))
    assert refused(tmp_path) == "x.parquet: a named pipe and not a file; move it out of ETF/daily"


@pytest.mark.parametrize("name", ["ts_code", "trade_date", "close", "vol", "amount"])
def test_a_missing_column_is_named_with_its_file(tmp_path, name):
    write(tmp_path, **{name: None})
    message = refused(tmp_path)
    assert message.startswith(f"{NAME}: required column {name} is missing")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("close", DAYS),
        ("vol", [True, False, True]),
        ("ts_code", [510300] * 3),
        ("trade_date", [True] * 3),
    ],
)
def test_a_type_that_holds_no_such_value_is_named_with_its_file(tmp_path, name, values):
    write(tmp_path, **{name: values})
    assert refused(tmp_path).startswith(f"{NAME}: column {name} has type ")


def test_a_file_without_bytes_is_named(tmp_path):
    write(tmp_path).write_bytes(b"")
    assert refused(tmp_path) == f"{NAME}: the file has no bytes; fetch it again or remove it"


def test_a_file_without_rows_is_named(tmp_path):
    write(tmp_path, **{key: pa.array([], pa.string()) for key in columns()})
    assert refused(tmp_path) == f"{NAME}: the file has no rows; fetch it again or remove it"


def test_a_truncated_file_is_named(tmp_path):
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    assert refused(tmp_path).startswith(f"{NAME}: not a whole parquet file")


def test_a_damaged_footer_is_named(tmp_path):
    path = write(tmp_path)
    whole = path.read_bytes()
    length = int.from_bytes(whole[-8:-4], "little")
    refusals = 0
    for place in range(len(whole) - 8 - length, len(whole) - 8, 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            read(tmp_path)
        except InputError as error:
            assert str(error).startswith(f"{NAME}: "), place
            refusals += 1
    assert refusals > 10  # noqa: PLR2004


def test_a_folder_named_like_a_file_is_named(tmp_path):
    (tmp_path / "ETF" / "daily" / NAME).mkdir(parents=True)
    assert refused(tmp_path) == f"{NAME}: a folder and not a file; move it out of ETF/daily"


def test_a_link_to_nothing_is_named(tmp_path):
    path = tmp_path / "ETF" / "daily" / NAME
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "nowhere")
    assert refused(tmp_path) == f"{NAME}: cannot be read (No such file or directory)"


def test_every_broken_file_is_named_up_to_five(tmp_path):
    funds = [f"51030{digit}.SH" for digit in range(7)]
    for symbol in funds[:3]:
        write(tmp_path, f"{symbol}.parquet").write_bytes(b"")
    write(tmp_path, f"{funds[3]}.parquet", ts_code=[funds[3]] * 3, close=None)
    message = refused(tmp_path, wanted=funds, known=funds)
    assert [part.split(":")[0] for part in message.split(" or remove it; ")] == [
        f"{symbol}.parquet" for symbol in funds[:4]
    ]
    assert "required column close is missing" in message
    for symbol in funds[4:]:
        write(tmp_path, f"{symbol}.parquet").write_bytes(b"")
    message = refused(tmp_path, wanted=funds, known=funds)
    assert f"{funds[4]}.parquet" in message
    assert f"{funds[5]}.parquet" not in message
    assert message.endswith("; 2 more files")


def test_a_file_with_a_broken_page_is_named(tmp_path):
    write(tmp_path, "159915.SZ.parquet", ts_code=["159915.SZ"] * 3)
    path = write(tmp_path)
    content = bytearray(path.read_bytes())
    content[4:120] = bytes(116)
    path.write_bytes(content)
    funds = [SYMBOL, "159915.SZ"]
    assert refused(tmp_path, wanted=funds, known=funds).startswith(f"{NAME}: unreadable")


def test_an_error_without_data_says_how_to_get_data(tmp_path):
    with pytest.raises(InputError, match=r"no raw data: .*set ETF_RAW_ROOT .*make sample"):
        resolve_root(str(tmp_path / "raw"), str(tmp_path / "sample"))


def test_no_file_of_the_builds_funds_is_refused(tmp_path):
    write(tmp_path)
    message = refused(tmp_path, wanted=["513100.SH"], known=[SYMBOL, "513100.SH"])
    assert message.startswith("none of the 1 raw files belongs to a fund of the build")


def test_no_row_up_to_as_of_is_refused(tmp_path):
    write(tmp_path)
    assert refused(tmp_path, "2020-01-01") == (
        "no raw row of a fund of the build has a readable trade_date up to as_of 2020-01-01"
    )
    write(tmp_path, f"{DAYS[0]:%Y%m%d}.parquet", ts_code=[OTHER_POOL] * 3)
    (tmp_path / "ETF" / "daily" / NAME).unlink()
    message = refused(tmp_path, known=[SYMBOL, OTHER_POOL])
    assert message == "no raw row of a fund of the build has a readable trade_date"


# ---------- the synthetic sample


def test_the_sample_is_read_only_where_there_is_no_raw_data(tmp_path):
    raw, sample = tmp_path / "raw", tmp_path / "sample"
    write(sample, metadata={SYNTHETIC_KEY: b"true"})
    with pytest.raises(InputError, match="no raw data"):
        resolve_root(str(raw), str(sample))  # the folder is not marked as a sample
    (sample / MARKER).touch()
    assert resolve_root(str(raw), str(sample)) == sample
    with pytest.raises(InputError, match="no raw data"):
        resolve_root(str(raw), None)
    write(raw)
    assert resolve_root(str(raw), str(sample)) == raw


@pytest.mark.parametrize("is_marked", [True, False])
def test_synthetic_and_real_files_side_by_side_are_refused(tmp_path, is_marked):
    write(tmp_path)
    write(tmp_path, "510500.SH.parquet", metadata={SYNTHETIC_KEY: b"true"})
    if is_marked:
        (tmp_path / MARKER).touch()
    odd = NAME if is_marked else "510500.SH.parquet"
    message = refused(tmp_path, wanted=[SYMBOL, "510500.SH"])
    assert f"mixes the synthetic sample with other data (see {odd}" in message
