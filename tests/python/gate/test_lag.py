"""The panel against its families: every kind of wrong lag is found and named."""

import datetime as dt

import duckdb
import pytest
from etf_rotation.gate import lag

# Four sessions. Fund B is suspended on the second: its values go to the exchange's next
# session.
TABLES = """
    create table calendar as
    select date '2024-01-01' + n::integer as trade_date, 10 + n as session_number
    from range(5) as sessions (n);

    create table bars as
    select symbol, trade_date, 'P' as pool
    from (values ('A'), ('B')) as funds (symbol), calendar
    where session_number < 14 and not (symbol = 'B' and session_number = 11);

    create table returns as
    select row_number() over (order by symbol, trade_date) as bar_id,
    case when trade_date > '2024-01-01' then bar_id / 10 end as ret_1, 5e-1 as ret_2
    from bars;

    create table volumes as select bar_id, bar_id * 100e0 as obv from returns;

    create table panel as
    select symbol, trade_date + 1 as trade_date, trade_date as as_of_date, pool, obv, ret_1, ret_2
    from bars positional join returns positional join volumes;
"""
OF_A = "where symbol = 'A' and as_of_date = '2024-01-02'"
JAN_3 = dt.date(2024, 1, 3)


@pytest.fixture
def connection():
    with duckdb.connect() as connection:
        connection.execute(TABLES)
        yield connection


def found(connection, families=("volumes", "returns")):
    table = lag.differences(
        connection,
        panel=connection.table("panel"),
        families=[connection.table(name) for name in families],
        bars=connection.table("bars"),
        calendar=connection.table("calendar"),
    )
    assert table.schema == lag.SCHEMA
    return [tuple(row.values()) for row in table.to_pylist()]


def test_a_correct_lag_has_no_difference(connection):
    assert found(connection) == []


def test_an_empty_panel_of_no_bars_has_no_difference(connection):
    for table in ("bars", "returns", "volumes", "panel"):
        connection.execute(f"delete from {table}")
    assert found(connection) == []


@pytest.mark.parametrize(
    ("broken", "difference"),
    [
        (f"update panel set obv = obv * (1 + 1e-15) {OF_A}", ("obv", "A", JAN_3, 1)),
        (f"update panel set ret_1 = null {OF_A}", ("ret_1", "A", JAN_3, 1)),
        ("update panel set ret_1 = 0 where ret_1 is null", ("ret_1", "A", dt.date(2024, 1, 2), 2)),
        (
            "update panel set obv = 500 - obv where obv in (200, 300)",
            ("obv", "A", JAN_3, 2),
        ),
        ("delete from volumes where bar_id = 2", ("obv", "A", JAN_3, 1)),
        (
            "create or replace table panel as select * replace (lag(obv) over "
            "(partition by symbol order by trade_date) as obv) from panel",
            ("obv", "A", dt.date(2024, 1, 2), 7),
        ),
        (f"delete from panel {OF_A}", ("row keys", "A", JAN_3, 1)),
        (f"insert into panel from panel {OF_A}", ("row keys", "A", JAN_3, 1)),
        (f"update panel set pool = 'Q' {OF_A}", ("row keys", "A", JAN_3, 2)),
        ("update panel set trade_date = as_of_date", ("row keys", "A", dt.date(2024, 1, 1), 14)),
        (
            "update panel set trade_date = trade_date + 1 where symbol = 'B' and obv = 500",
            ("row keys", "B", dt.date(2024, 1, 2), 2),
        ),
    ],
    ids=[
        "one bit",
        "a value lost",
        "a value filled in",
        "values of other rows",
        "a row of a family lost",
        "lagged twice",
        "a row lost",
        "a row twice",
        "another pool",
        "not lagged",
        "moved to the fund's own next bar",
    ],
)
def test_a_wrong_lag_is_named(broken, difference, connection):
    connection.execute(broken)
    assert difference in found(connection)


def test_only_differences_are_named(connection):
    connection.execute(f"update panel set ret_1 = 7, obv = 8 {OF_A}")
    assert found(connection) == [("obv", "A", JAN_3, 1), ("ret_1", "A", JAN_3, 1)]


def test_a_column_that_no_family_has_is_named(connection):
    connection.execute("alter table panel add column made_up double")
    assert found(connection) == [("made_up", None, None, None)]
    assert found(connection, families=["returns"]) == [
        ("obv", None, None, None),
        ("made_up", None, None, None),
    ]


def test_a_family_without_a_column_of_the_panel_is_passed_over(connection):
    connection.execute("create table others as select bar_id, 1.0 as other from returns")
    assert found(connection, families=["volumes", "others", "returns"]) == []
