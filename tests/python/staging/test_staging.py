"""Dirty files in a real build: each row reaches its place, and the dbt tests pass."""

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import build

SOUND = {"open": 5.0, "high": 5.2, "low": 4.9, "close": 5.1, "vol": 100.0, "amount": 51.0}
STAGING = [
    "--select",
    "+stg_etf_daily",
    "+suspensions",
    "+quarantine",
    "--indirect-selection",
    "buildable",  # the tests whose models are all here
    "--exclude-resource-type",
    "unit_test",
]


def write(root, name, rows):
    """Write rows of (ts_code, trade_date, changes to a sound row)."""
    folder = root / "ETF" / "daily"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"ts_code": code, "trade_date": day, **SOUND, **changes} for code, day, changes in rows]
    pq.write_table(pa.Table.from_pylist(rows), folder / name)


@pytest.fixture(scope="module")
def dirty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dirty")
    fund, other, third = "510300.SH", "510500.SH", "510050.SH"
    write(
        folder / "raw",
        f"{fund}.parquet",
        [
            (fund, "20210104", {"vol": 0.0, "open": None}),
            (fund, "20210105", {}),
            (fund, "20210105", {}),
            (fund, "20210106", {}),
            (fund, "20210106", {"close": 5.0}),
            (fund, "20210107", {"vol": None, "amount": None}),
            (fund, "20210108", {"low": 5.15}),
            (fund, "20210109", {}),
            (fund, None, {}),
            (fund, "20210230", {}),
            (fund, "2021-01-11 09:30", {}),
            (fund, "29990104", {}),
            (other, "20210112", {}),
            ("510300", "20210113", {}),
            (None, "20210114", {}),
            (fund, "20210115", {"close": float("nan")}),
            (fund, "20210118", {"amount": -1.0}),
            (fund, "20210119", {}),
            (fund, "20210120", {}),
            (fund, "20210121", {"vol": 0.0}),
        ],
    )
    # A file without a code: a day of the same fund, a fund outside every pool, a row without
    # a symbol.
    more = [
        (fund, "20210119", {"close": 5.15}),
        ("999999.SH", "20210119", {}),
        (None, "20210119", {}),
        (fund, "20210120", {}),
        (fund, "20210121", {"vol": 0.0}),
    ]
    write(folder / "raw", "more.parquet", more)
    write(folder / "raw", f"{third}.parquet", [(third, "20210105", {}), (third, "20210112", {})])
    # A session's file: a fund outside the build, a bar, one that is there already,
    # another day's.
    session = [
        ("513100.SH", "20210113", {}),
        (third, "20210113", {}),
        (other, "20210113", {}),
        (fund, "20210120", {}),
    ]
    write(folder / "raw", "20210113.parquet", session)
    write(folder / "raw", "20210120_close.parquet", [(fund, "20210120", {})])
    database = build(folder, folder / "raw", *STAGING, ETF_POOLS="A_SHARE")
    with duckdb.connect(str(database), read_only=True) as connection:
        yield connection


def test_every_fault_is_quarantined_with_its_reason(dirty):
    rows = dirty.execute(
        "select source_file, source_row, reason, pool from staging.quarantine order by all"
    ).fetchall()
    reasons = {
        3: "exact_duplicate",
        4: "conflicting_duplicate",
        5: "conflicting_duplicate",
        7: "low_above_others",
        8: "not_a_session",
        9: "null_date",
        10: "unparseable_date",
        11: "time_of_day",
        12: "future_date",
        13: "symbol_unlike_file",
        14: "unparseable_symbol",
        15: "null_symbol",
        16: "not_finite_close",
        17: "negative_amount",
        18: "conflicting_duplicate",
    }
    expected = [("510300.SH.parquet", row, reason, "A_SHARE") for row, reason in reasons.items()]
    assert rows == [
        ("20210113.parquet", 4, "date_unlike_file", "A_SHARE"),
        ("20210120_close.parquet", 1, "exact_duplicate", "A_SHARE"),
        *expected,
        ("more.parquet", 1, "conflicting_duplicate", "A_SHARE"),
        ("more.parquet", 3, "null_symbol", None),
        ("more.parquet", 4, "exact_duplicate", "A_SHARE"),
        ("more.parquet", 5, "exact_duplicate", "A_SHARE"),
    ]


def test_rows_of_funds_outside_the_build_are_not_read(dirty):
    rows = dirty.execute(
        "select raw_symbol from staging.raw_rows where source_file in "
        "('20210113.parquet', 'more.parquet') order by source_file, source_row"
    ).fetchall()
    assert [symbol for (symbol,) in rows] == [
        "510050.SH",
        "510500.SH",
        "510300.SH",
        "510300.SH",
        None,
        "510300.SH",
        "510300.SH",
    ]


def test_the_sound_rows_survive(dirty):
    bars = dirty.execute("select symbol, trade_date::text from staging.stg_etf_daily order by all")
    assert bars.fetchall() == [
        ("510050.SH", "2021-01-05"),
        ("510050.SH", "2021-01-12"),
        ("510050.SH", "2021-01-13"),
        ("510300.SH", "2021-01-05"),
        ("510300.SH", "2021-01-20"),
        ("510500.SH", "2021-01-13"),
    ]


def test_sessions_without_a_trade_are_suspensions(dirty):
    rows = dirty.execute(
        "select trade_date::text, kind from staging.suspensions where symbol = '510300.SH' "
        "order by all"
    ).fetchall()
    assert [row for row in rows if row[1] != "no_row"] == [
        ("2021-01-04", "before_first_trade"),
        ("2021-01-07", "no_trade"),
        ("2021-01-21", "no_trade"),
    ]


def test_volume_in_lots_and_money_in_thousands_become_shares_and_cny(dirty):
    volume, amount = dirty.execute(
        "select volume, amount from staging.stg_etf_daily where symbol = '510300.SH'"
    ).fetchall()[0]
    assert (volume, amount) == (10_000, 51_000.0)


def test_units_are_vars(tmp_path):
    write(tmp_path / "raw", "510300.SH.parquet", [("510300.SH", "20210105", {})])
    units = ["--vars", "{raw_volume_unit: share, raw_amount_unit: cny}"]
    only = ["--select", "+stg_etf_daily", "--exclude-resource-type", "test", "unit_test"]
    database = build(tmp_path, tmp_path / "raw", *only, *units, ETF_POOLS="A_SHARE")
    with duckdb.connect(str(database), read_only=True) as connection:
        bars = connection.execute("select volume, amount from staging.stg_etf_daily")
        assert bars.fetchall() == [(100, 51.0)]
