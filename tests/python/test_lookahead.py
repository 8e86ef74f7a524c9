"""No number depends on later sessions, other pools or threads."""

import datetime as dt
import shutil

import pytest
from etf_rotation import dbt_project, lookahead

# The eve of a rebalance, and before a split of 513100.SH.
AS_OF = dt.date(2021, 12, 31)


@pytest.fixture(scope="module")
def builds(healthy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lookahead")
    project, raw_root = healthy / "project", str(healthy / "raw")

    def build(name, **settings):
        return lookahead.build(folder / name, raw_root, project=project, **settings)

    return {
        "whole": healthy / "etf_rotation.duckdb",
        "cut": build("cut", as_of=AS_OF),
        "one pool": build("one_pool", ETF_POOLS="QDII", ETF_THREADS="1"),
        "raw_root": raw_root,
    }


def test_a_build_that_stops_earlier_gives_the_same_bits(builds):
    assert lookahead.compare(builds["whole"], builds["cut"], as_of=AS_OF) == []


def test_neither_threads_nor_other_pools_change_a_bit(builds):
    assert lookahead.compare(builds["whole"], builds["one pool"], pools=["QDII"]) == []


def test_every_published_table_with_dates_is_compared(builds):
    import duckdb

    with duckdb.connect(str(builds["whole"]), read_only=True) as connection:
        tables = connection.sql(
            "select distinct table_schema || '.' || table_name from information_schema.columns "
            "where column_name = 'trade_date' "
            "and not regexp_matches(table_name, '^(int_|raw_|exchange_)') "
            # int_rankings holds what the models of the schema strategies give, and the panel
            # the factors. The gate judges the whole data.
            "and table_schema not in ('seeds', 'main', 'strategies', 'factors', 'gate')"
        ).fetchall()
    compared = {
        *lookahead.UP_TO_NEXT_SESSION,
        *lookahead.UP_TO_AS_OF,
        *lookahead.OF_THE_SAME_SESSIONS,
    }
    assert {table for (table,) in tables} <= compared


# A peek is a fault of the code, so each edits a model: no data makes a right model read ahead.
PEEKS = {
    "a factor": (
        "models/factors/factors_returns.sql",
        "c / {{ lag_bars('c', n) }} - 1 as ret_{{ n }}",
        "lead(c) over () / {{ lag_bars('c', n) }} - 1 as ret_{{ n }}",
        "factors_returns int_factors__lagged factor_panel",
        ("signals.factor_panel", "ret_5"),
    ),
    "the score": (
        "models/signals/scores.sql",
        "then averaged.mean_rank",
        "then averaged.mean_rank / max(averaged.mean_rank) over (partition by panel.symbol)",
        "scores",
        ("signals.scores", "score"),
    ),
    "a ranking": (
        "models/strategies/rank_by_liquidity.sql",
        "adv20 as score",
        "max(adv20) over (partition by symbol) as score",
        "rank_by_liquidity int_rankings",
        ("signals.int_rankings", "score"),
    ),
    "the ADV": (
        "models/signals/int_bars__lagged.sql",
        "windows.a_sum_20 / 20 as adv20",
        "lead(windows.a_sum_20) over (partition by windows.symbol order by"
        " windows.trade_date) / 20 as adv20",
        "int_bars__lagged int_selection__funds int_selection__candidates int_selection"
        " target_weights selection_log",
        ("signals.selection_log", "adv20"),
    ),
    "the adjustment": (
        "models/staging/stg_etf_daily.sql",
        "    adj,\n",
        "    adj / last_value(adj) over (partition by symbol order by trade_date"
        " rows between unbounded preceding and unbounded following) as adj,\n",
        "stg_etf_daily",
        ("staging.stg_etf_daily", "adj"),
    ),
}


@pytest.fixture(scope="module")
def project(healthy, tmp_path_factory):
    """A copy of the project to edit; one for all peeks, so that dbt parses the edits alone."""
    return shutil.copytree(healthy / "project", tmp_path_factory.mktemp("peeking") / "project")


@pytest.mark.parametrize("peek", PEEKS)
def test_a_peek_is_found_and_named(peek, builds, project, tmp_path):
    file, formula, peeking, models, (table, column) = PEEKS[peek]
    text = (project / file).read_text()
    assert formula in text
    (project / file).write_text(text.replace(formula, peeking))

    building, peeked = project.parent / "etf_rotation.duckdb", {}
    try:
        for build, as_of in (("whole", ""), ("cut", AS_OF.isoformat())):
            shutil.copy(builds[build], building)
            result = dbt_project.invoke(
                ["--quiet", "run", "--select", *models.split()],
                database=building,
                folder=project.parent,
                project=project,
                variables={"ETF_RAW_ROOT": builds["raw_root"], "ETF_AS_OF": as_of},
            )
            assert result.success
            (tmp_path / build).mkdir()
            peeked[build] = building.rename(tmp_path / build / building.name)
    finally:
        # The next peek edits the same copy.
        (project / file).write_text(text)

    found = lookahead.compare(peeked["whole"], peeked["cut"], as_of=AS_OF)
    assert (table, column) in {(difference.table, difference.column) for difference in found}
    (message,) = [str(d) for d in found if (d.table, d.column) == (table, column)]
    assert f"{table}.{column}" in message
    assert "2021-" in message or "2022-01-04" in message


def test_the_truncation_dates_are_a_split_an_ending_and_a_rebalance_with_its_eve(sample):
    assert lookahead.telling_dates(sample.database) == [
        dt.date(2023, 5, 12),
        dt.date(2024, 3, 8),
        dt.date(2024, 3, 29),
        dt.date(2024, 4, 1),
    ]
