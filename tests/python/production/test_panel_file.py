"""The panel's file holds the query's rows in order, and is complete or absent."""

import duckdb
import pyarrow.parquet as pq
import pytest
from etf_rotation.production import panel_file

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
