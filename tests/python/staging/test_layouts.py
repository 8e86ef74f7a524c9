"""The bars do not depend on the names, partition and types of the raw files."""

import shutil

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from conftest import PROJECT, build
from etf_rotation.errors import InputError
from etf_rotation.production.custom_pool import project_with_pool
from numpy.lib.stride_tricks import sliding_window_view

STAGING = ["--select", "+stg_etf_daily", "+suspensions", "+quarantine"]
STAGING += ["--exclude-resource-type", "unit_test", "--indirect-selection", "buildable"]
LAST_SESSIONS = ("20241230", "20241231")
WINDOW = 60  # bars


def dashed(date, tail=""):
    return f"{date[:4]}-{date[4:6]}-{date[6:]}{tail}"


# Format of dates by fund.
DATES = {
    "510300.SH": lambda date: dashed(date, " 00:00:00"),
    "510500.SH": lambda date: dashed(date, "T00:00:00.000000"),
    "159919.SZ": lambda date: f"{date}.0",
    "159922.SZ": lambda date: dashed(date, ".0"),
    "510050.SH": lambda date: f"{date} 00:00",
}
TEXTS = {
    "513100.SH": pa.string_view(),
    "513500.SH": pa.large_string(),
    "513050.SH": pa.dictionary(pa.int32(), pa.string()),
}


def relaid(source, target):
    """Write the raw files anew: other spellings and types, second files, files of sessions."""
    daily = target / "ETF" / "daily"
    daily.mkdir(parents=True)
    shutil.copy(source / "SYNTHETIC", target)
    sessions = []
    for path in sorted((source / "ETF" / "daily").glob("*.parquet")):
        table, symbol = pq.read_table(path), path.name[:9]
        is_last = pc.is_in(table["trade_date"], pa.array(LAST_SESSIONS))
        sessions.append(table.filter(is_last))
        # One fund's file overlaps those of the sessions.
        table = table if symbol == "511010.SH" else table.filter(pc.invert(is_last))
        if symbol in DATES:
            spelt = [DATES[symbol](date) for date in table["trade_date"].to_pylist()]
            table = table.set_column(1, "trade_date", pa.array(spelt))
        for name in ("ts_code", "trade_date") if symbol in TEXTS else ():
            place = table.schema.get_field_index(name)
            table = table.set_column(place, name, table[name].cast(TEXTS[symbol]))
        pq.write_table(table, daily / path.name)
        if symbol == "159920.SZ":
            for name in ("159920.SZ[1].parquet", "download of today.parquet"):
                pq.write_table(table, daily / name)
        if symbol == "518880.SH":
            pq.write_table(table.slice(0, 300), daily / path.name)
            newest_first = table.slice(250).sort_by([("trade_date", "descending")])
            pq.write_table(newest_first, daily / "518880.parquet")
    together = pa.concat_tables(sessions)
    for date in LAST_SESSIONS:
        of_date = together.filter(pc.equal(together["trade_date"], date))
        pq.write_table(of_date, daily / f"{date}_close.parquet")
    return target


@pytest.fixture(scope="module")
def other(sample, tmp_path_factory):
    """The sample in other files, built up to the bars."""
    folder = tmp_path_factory.mktemp("layouts")
    database = build(folder, relaid(sample.raw_root, folder / "raw"), *STAGING)
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute(f"attach '{sample.database}' as sample (read_only)")
        yield connection


@pytest.mark.parametrize("table", ["stg_etf_daily", "suspensions"])
def test_another_layout_changes_no_bit(other, table):
    here, there = f"staging.{table}", f"sample.staging.{table}"
    differing = f"(from {here} except from {there}) union all (from {there} except from {here})"
    assert other.execute(f"select count(*) from ({differing})").fetchall()[0] == (0,)
    assert other.execute(f"select count(*) from {here}").fetchall()[0] > (0,)


def test_only_surplus_rows_are_in_quarantine(other):
    rows = other.execute(
        "select symbol, reason, count(*) from staging.quarantine group by all order by all"
    ).fetchall()
    (length,) = other.execute(
        "select count(*) from staging.raw_rows where raw_symbol = '159920.SZ' "
        "and source_file like '159920.SZ_daily%'"
    ).fetchall()[0]
    assert rows == [
        ("159920.SZ", "exact_duplicate", 2 * length),
        ("511010.SH", "exact_duplicate", len(LAST_SESSIONS)),
        ("518880.SH", "exact_duplicate", 50),
    ]


def test_a_fund_of_the_command_line_may_be_in_a_file_of_a_session(tmp_path):
    daily = tmp_path / "ETF" / "daily"
    daily.mkdir(parents=True)
    (daily / "510500_daily.parquet").touch()
    with project_with_pool(PROJECT, tmp_path, ["510500.SH"], "X") as project:
        assert (project / "models").is_dir()
    with (
        pytest.raises(InputError, match=r"no file of 510300\.SH"),
        project_with_pool(PROJECT, tmp_path, ["510300.SH"], "X"),
    ):
        pass
    (daily / "20241231.parquet").touch()
    with project_with_pool(PROJECT, tmp_path, ["510300.SH"], "X") as project:
        assert (project / "models").is_dir()


def test_the_median_over_a_window_is_the_median_of_its_bars_alone(sample):
    """Computed per fund with numpy, so that no other row can matter."""
    bars = sample.connection.execute(
        "select symbol, (amount / volume) / ((open + high + low + close) / 4) as basis "
        "from staging.stg_etf_daily order by symbol, bar_number"
    ).fetchnumpy()
    found = dict(
        sample.connection.execute(
            "select symbol, value from gate.int_gate_observations where check_name = 'price_basis'"
        ).fetchall()
    )
    symbols = np.unique(bars["symbol"])
    assert set(found) == set(symbols)
    for symbol in symbols:
        basis = bars["basis"][bars["symbol"] == symbol]
        if len(basis) < WINDOW:
            assert found[symbol] is None
        else:
            medians = np.median(sliding_window_view(basis, WINDOW), axis=1)
            assert found[symbol] == np.abs(medians - 1).max(), symbol
