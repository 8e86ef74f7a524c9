"""The panel's file holds the query's rows in order, and is complete or absent."""

import os
import subprocess
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import PROJECT
from etf_rotation.errors import InputError
from etf_rotation.production import panel_file
from etf_rotation.signals import families

ROWS = 2 * panel_file.ROW_GROUP + 7
PANEL = f"""
    select
        '510300.SH' as symbol,
        date '2000-01-01' + cast(i as integer) as trade_date,
        date '1999-12-31' + cast(i as integer) as as_of_date,
        'A_SHARE' as pool,
        case when i % 3 > 0 then sin(i) end as factor_1,
        -i / 7 as factor_2
    from range({ROWS}) as t(i)
    order by i
"""


@pytest.fixture
def connection():
    with duckdb.connect() as connection:
        yield connection


def test_the_file_holds_the_query_s_rows_in_their_order(connection, tmp_path):
    ours, theirs = tmp_path / "ours.parquet", tmp_path / "duckdb.parquet"
    panel_file.write(connection, PANEL, ours, {"etf_rotation.synthetic": "true"})
    connection.execute(f"copy ({PANEL}) to '{theirs}' (format parquet)")
    found = pq.read_table(ours)
    # DuckDB calls a constant column not null, which the panel has none of.
    assert found.equals(pq.read_table(theirs).cast(found.schema))
    stored = pq.ParquetFile(ours)
    assert stored.metadata.num_row_groups == 3
    assert stored.metadata.metadata[b"etf_rotation.synthetic"] == b"true"


def test_a_reader_can_skip_row_groups_by_their_keys(connection, tmp_path):
    path = tmp_path / "panel.parquet"
    panel_file.write(connection, PANEL, path, {})
    groups = pq.ParquetFile(path).metadata
    dates = [groups.row_group(i).column(1).statistics for i in range(groups.num_row_groups)]
    assert all(date.has_min_max for date in dates)
    assert dates[0].max < dates[1].min <= dates[1].max < dates[2].min


def test_a_panel_without_rows_is_a_file_without_rows(connection, tmp_path):
    path = tmp_path / "panel.parquet"
    panel_file.write(connection, f"select * from ({PANEL}) where false", path, {})
    table = pq.read_table(path)
    assert len(table) == 0 and table.column_names[:2] == ["symbol", "trade_date"]


def test_no_file_is_left_where_the_query_fails_on_the_way(connection, tmp_path):
    path = tmp_path / "panel.parquet"
    late = f"select *, case when factor_2 < -4000 then error('out of step') end from ({PANEL})"
    with pytest.raises((duckdb.Error, OSError), match="out of step"):
        panel_file.write(connection, late, path, {})
    assert not path.exists()


def test_a_file_that_cannot_be_written_is_an_error_of_the_system(connection, tmp_path):
    with pytest.raises(OSError, match="missing"):
        panel_file.write(connection, PANEL, tmp_path / "missing" / "panel.parquet", {})


# ---------- the whole panel, computed without its families


@pytest.mark.parametrize("threads", [1, 2, 20])
def test_the_computed_file_is_the_panel_of_a_full_build_to_the_bit(sample, tmp_path, threads):
    path = tmp_path / "panel.parquet"
    panel_file.write_computed(sample.connection.cursor(), path, {"a": "b"}, threads=threads)
    found = pq.read_table(path)
    panel = sample.connection.sql("select * from signals.factor_panel").to_arrow_table()
    assert found.schema.equals(panel.schema)
    assert [len(column) for column in (found, panel)] == [len(panel)] * 2 != [0, 0]
    for name in panel.column_names:
        ours, theirs = (table[name].combine_chunks() for table in (found, panel))
        if pa.types.is_floating(ours.type):  # bits, because -0.0 equals 0.0
            ours, theirs = ours.view("int64"), theirs.view("int64")
        assert ours.equals(theirs), name
    assert pq.read_metadata(path).metadata[b"a"] == b"b"


@pytest.fixture
def bars(sample):
    """A database with nothing but the staging's tables that the families read."""
    with duckdb.connect() as connection:
        connection.execute(f"attach '{sample.database}' as built (read_only)")
        connection.execute("create schema staging")
        for table in families.TABLES:
            connection.execute(f"create table staging.{table} as from built.staging.{table}")
        yield connection


def test_the_computed_file_needs_the_bars_alone(bars, sample, tmp_path):
    panel_file.write_computed(bars, tmp_path / "panel.parquet", {}, threads=2)
    ((rows,),) = sample.connection.execute("select count(*) from signals.factor_panel").fetchall()
    assert pq.read_metadata(tmp_path / "panel.parquet").num_rows == rows


def test_a_panel_without_bars_is_a_computed_file_without_rows(bars, tmp_path):
    bars.execute("delete from staging.stg_etf_daily")
    panel_file.write_computed(bars, tmp_path / "panel.parquet", {}, threads=2)
    assert pq.read_metadata(tmp_path / "panel.parquet").num_rows == 0


@pytest.mark.parametrize("fault", ["bar_id + 1", "null"])
def test_a_family_out_of_step_leaves_no_file(bars, tmp_path, monkeypatch, fault):
    queries = dict(families.queries())
    rsi = queries["factors_rsi"]
    queries["factors_rsi"] = f"select * replace ({fault} as bar_id) from ({rsi})"
    monkeypatch.setattr(families, "queries", queries.items)
    with pytest.raises(ValueError, match="factors_rsi is out of step"):
        panel_file.write_computed(bars, tmp_path / "panel.parquet", {}, threads=2)
    queries["factors_rsi"] = f"{rsi} limit 20000"
    with pytest.raises(ValueError, match="factors_rsi is out of step"):
        panel_file.write_computed(bars, tmp_path / "panel.parquet", {}, threads=2)
    assert not (tmp_path / "panel.parquet").exists()


@pytest.mark.parametrize("query", [families.BARS, "factors_rsi"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_query_that_fails_on_the_way_leaves_no_file(bars, tmp_path, monkeypatch, query, threads):
    queries = dict(families.queries())
    late = "case when bar_id > 20000 then error('broken off') else bar_id end"
    queries[query] = f"select * replace ({late} as bar_id) from ({queries[query]})"
    monkeypatch.setattr(families, "queries", queries.items)
    with pytest.raises((duckdb.Error, OSError), match="broken off"):
        panel_file.write_computed(bars, tmp_path / "panel.parquet", {}, threads=threads)
    assert list(tmp_path.iterdir()) == []


def test_a_factor_without_a_formula_is_named(bars, tmp_path, monkeypatch):
    monkeypatch.setattr(families, "catalog", lambda: ["rsi_14", "rsi_999"])
    with pytest.raises(ValueError, match="no model in models/factors computes rsi_999"):
        panel_file.write_computed(bars, tmp_path / "panel.parquet", {}, threads=2)


def _export(sample, path, **settings):
    command = [sys.executable, "-m", "etf_rotation", "export", str(sample.database), str(path)]
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "python")} | settings
    return subprocess.run(command, check=False, env=environment, capture_output=True, text=True)


def test_the_export_names_the_setting_of_too_little_memory(sample, tmp_path):
    done = _export(sample, tmp_path / "panel.parquet", ETF_MEMORY_LIMIT="20MB")
    assert done.returncode == 2  # noqa: PLR2004
    assert done.stderr.startswith("20MB of memory do not suffice for the panel of ")
    assert "set ETF_MEMORY_LIMIT to more" in done.stderr and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_export_needs_a_database_with_bars(sample, tmp_path):
    path = tmp_path / "panel.parquet"
    with pytest.raises(InputError, match="no database"):
        panel_file.export(tmp_path / "none.duckdb", path)
    duckdb.connect(str(tmp_path / "empty.duckdb")).close()
    with pytest.raises(
        InputError, match=r"has no table raw_files, stg_etf_daily, trading_calendar;"
    ):
        panel_file.export(tmp_path / "empty.duckdb", path)
    assert _export(sample, path).returncode == 0
    assert pq.read_metadata(path).metadata[b"etf_rotation.synthetic"] == b"true"
    assert [file.name for file in tmp_path.glob("*panel*")] == ["panel.parquet"]
