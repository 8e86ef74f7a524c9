"""A user's strategy by the recipe of docs/change.md; strategies do not interact."""

import re
import shutil

import duckdb
import pytest
from etf_rotation import lookahead
from etf_rotation.dbt_project import PROJECT
from faults.workspace import Workspace
from reference_comparison import differences

PAGES = [PROJECT / "docs" / name for name in ("change.md", "change.zh-CN.md")]
RANKING = "models/strategies/rank_by_calm_momentum.sql"
SEED = "seeds/strategies.csv"
MODELS = ("--resource-type", "model", "--resource-type", "seed")
# All models that depend on strategies, from the seed and the rankings on.
FROM_STRATEGIES = ("--select", "strategies", "int_strategies+", "int_rankings+")
FROM_STRATEGIES += ("path:models/strategies", "--exclude", "path:models/research")
WITH_TESTS = (*FROM_STRATEGIES, "--exclude-resource-type", "unit_test")
CHECKS_OF_THE_SEED = ("--select", "strategies", "raw_files", *MODELS)
SELECTION = ("--select", "strategies", "int_strategies", "int_rankings", "int_selection__funds")
SELECTION = (*SELECTION, *MODELS)

# Every setting that no shipped strategy has.
OTHERS = """\
weekly_kept,A_SHARE,false,rank_by_score,4,1.5,inverse_volatility,20,true,weekly,3,3,0.01
weekly_kept,QDII,false,rank_by_score,2,1.5,inverse_volatility,20,true,weekly,3,3,0.01
late,A_SHARE,false,rank_by_score,3,3,equal,60,false,monthly,19,2,0
late,OTHER,false,rank_by_liquidity,2,1,equal,60,true,monthly,17,3,0.02
daily_own,A_SHARE,false,rank_by_calm_momentum,,1,own,60,true,daily,0,1,0.01
daily_own,OTHER,false,rank_by_calm_momentum,3,1,own,60,true,daily,0,1,0.01
"""
# These depend on all strategies, because they compare common sessions.
OF_ALL_STRATEGIES = {"backtest.common_growth", "backtest.strategy_comparison"}


@pytest.fixture(scope="module")
def workspace(healthy, tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("own_strategy"), healthy)


def recipe(page):
    """Both rankings and the seed's rows."""
    text = page.read_text(encoding="utf-8")
    title = r"^## (?:A strategy|一个策略)\n"
    (section,) = re.findall(title + r"(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    ranking, own = re.findall(r"```sql\n(.*?)```", section, re.DOTALL)
    (rows,) = re.findall(r"```\n(calm_momentum.*?)```", section, re.DOTALL)
    return ranking, own, rows


def add(workspace, ranking, rows):
    (workspace.project / RANKING).write_text(ranking, encoding="utf-8")
    with (workspace.project / SEED).open("a", encoding="utf-8") as file:
        file.write(rows)


def keep(workspace, pattern):
    """Keep the seed's header and its matching rows."""
    path = workspace.project / SEED
    header, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text(header + "".join(row for row in rows if re.search(pattern, row)))


def assert_strategies_have_the_same_bits(workspace, strategies):
    """Compare the build with the healthy one, whose strategies are the shipped ones."""
    names = ", ".join(f"'{name}'" for name in strategies)
    tables = lookahead.UP_TO_NEXT_SESSION | lookahead.UP_TO_AS_OF | lookahead.OF_THE_SAME_SESSIONS
    with duckdb.connect() as connection:
        connection.execute(f"attach '{workspace.database}' as new (read_only)")
        connection.execute(f"attach '{workspace.healthy_database}' as old (read_only)")
        for table, keys in tables.items():
            if table in OF_ALL_STRATEGIES:
                continue
            own = f"where strategy in ({names})" if "strategy" in keys else ""
            own = (
                "where ranking in ('rank_by_score', 'rank_by_liquidity')"
                if "ranking" in keys
                else own
            )
            new, old = (f"(from {build}.{table} {own})" for build in ("new", "old"))
            unlike = f"({new} except all {old}) union all ({old} except all {new})"
            assert connection.execute(f"select * from ({unlike}) limit 1").fetchall() == [], table


def test_a_strategy_is_added_as_the_page_says_and_passes_every_test_of_the_data(workspace):
    ranking, _, rows = recipe(PAGES[0])
    workspace.reset(with_database=True)
    add(workspace, ranking, rows)
    built = workspace.build(*WITH_TESTS)
    assert built.is_success, built.errors
    for table in ("trades", "metrics", "evidence", "rebalance_luck", "excess_attribution"):
        query = f"select count(*) as n from backtest.{table} where strategy = 'calm_momentum'"
        assert workspace.query(query)[0]["n"] > 0, table
    shipped = ["rotation", "steady_rotation", "risk_weighted", "equal_weight"]
    assert_strategies_have_the_same_bits(workspace, shipped)


def test_both_pages_show_one_recipe():
    english, chinese = map(recipe, PAGES)
    assert english[2] == chinese[2]
    for one, other in zip(english[:2], chinese[:2], strict=True):
        assert one.split("\n", 1)[1] == other.split("\n", 1)[1]


def test_a_strategy_alone_in_the_build_has_the_same_bits(workspace):
    workspace.reset(with_database=True)
    keep(workspace, "^rotation,")
    built = workspace.build(*FROM_STRATEGIES, *MODELS)
    assert built.is_success, built.errors
    with duckdb.connect(str(workspace.database), read_only=True) as connection:
        assert connection.execute("select count(*) from backtest.evidence").fetchall() == [(0,)]
    assert_alone(workspace)


def assert_alone(workspace):
    tables = ("trades", "equity_daily", "positions_daily", "metrics", "rebalance_luck")
    with duckdb.connect() as connection:
        connection.execute(f"attach '{workspace.database}' as new (read_only)")
        connection.execute(f"attach '{workspace.healthy_database}' as old (read_only)")
        for table in tables:
            new = f"(from new.backtest.{table})"
            old = f"(from old.backtest.{table} where strategy = 'rotation')"
            unlike = f"({new} except all {old}) union all ({old} except all {new})"
            assert connection.execute(f"select * from ({unlike}) limit 1").fetchall() == [], table


@pytest.fixture(scope="module")
def others(workspace):
    """A build of settings that no shipped strategy has, with two live strategies."""
    _, own, _ = recipe(PAGES[0])
    workspace.reset(with_database=True)
    add(workspace, own, OTHERS)
    workspace.replace(SEED, "rotation,QDII,true", "rotation,QDII,false")
    workspace.replace(SEED, "steady_rotation,QDII,false", "steady_rotation,QDII,true")
    built = workspace.build(*FROM_STRATEGIES, *MODELS)
    assert built.is_success, built.errors
    database = workspace.folder / "others" / workspace.database.name
    database.parent.mkdir()
    shutil.copy(workspace.database, database)
    with duckdb.connect(str(database), read_only=True) as connection:
        yield connection


def test_settings_that_no_shipped_strategy_has_are_walked_as_the_specification_says(others):
    faults, compared = differences(others)
    assert faults[:5] == []
    assert all(compared.values())


def test_live_strategies_of_different_names_make_a_portfolio_of_their_own(others):
    portfolios = others.execute(
        "select distinct strategy from backtest.metrics where pool = 'PORTFOLIO' order by all"
    ).fetchall()
    # weekly_kept is in both pools with a weight; daily_own and late are not.
    names = ["equal_weight", "live", "risk_weighted", "rotation", "steady_rotation", "weekly_kept"]
    assert portfolios == [(name,) for name in names]
    orders = others.execute("select distinct pool, strategy from marts.next_session_orders")
    assert sorted(orders.fetchall()) == [
        ("A_SHARE", "rotation"),
        ("OTHER", "rotation"),
        ("QDII", "steady_rotation"),
    ]


def test_the_live_portfolio_resets_its_sleeves_each_month(others):
    returns = others.execute(
        "pivot (select trade_date, pool, daily_return from backtest.equity_daily"
        " where (strategy, pool) in (('rotation', 'A_SHARE'), ('steady_rotation', 'QDII')))"
        " on pool using any_value(daily_return) order by trade_date"
    ).fetchall()
    whole = [row for row in returns if None not in row]
    sleeves, expected, month = (7e6, 3e6), {}, None
    for day, *rates in whole:
        if month not in (None, day.month):
            sleeves = (0.7 * sum(sleeves), 0.3 * sum(sleeves))
        sleeves = [sleeve * (1 + rate) for sleeve, rate in zip(sleeves, rates, strict=True)]
        expected[day], month = sum(sleeves), day.month
    found = others.execute(
        "select trade_date, equity from backtest.equity_daily"
        " where strategy = 'live' and pool = 'PORTFOLIO'"
    ).fetchall()
    assert dict(found) == pytest.approx(expected, rel=1e-9)


def test_sessions_of_tranches_are_those_counted_by_hand(others):
    """2021-02 has 15 sessions, 2021-03 has 23; the week of 2021-05-06 has two."""

    def sessions(strategy, tranche, first, last):
        days = others.execute(
            "select trade_date::varchar from signals.int_rebalance_sessions where pool = 'A_SHARE'"
            " and strategy = ? and tranche = ? and trade_date between ? and ? order by all",
            [strategy, tranche, first, last],
        ).fetchall()
        return [day for (day,) in days]

    # late: offset 19, so tranche 1 has (19 + 5) mod 20 = 4, the fifth session of a
    # month.
    assert sessions("late", 0, "2021-02-01", "2021-03-31") == ["2021-02-26", "2021-03-26"]
    assert sessions("late", 1, "2021-02-01", "2021-03-31") == ["2021-02-05", "2021-03-05"]
    # weekly_kept: offset 3; tranches 0, 1 and 2 have the sessions 3, 4 and 0 of a week.
    assert sessions("weekly_kept", 0, "2021-05-06", "2021-05-14") == ["2021-05-07", "2021-05-13"]
    assert sessions("weekly_kept", 1, "2021-05-06", "2021-05-14") == ["2021-05-07", "2021-05-14"]
    assert sessions("weekly_kept", 2, "2021-05-06", "2021-05-14") == ["2021-05-06", "2021-05-10"]


def edited(old, new):
    """Fault of the seed's rows."""
    return lambda ranking, own, rows: (ranking, rows.replace(old, new, 1))


def own_weights(ranking, own, rows):
    return ranking, rows.replace("inverse_volatility", "own")


def own_weights_below_zero(ranking, own, rows):
    return own.replace("greatest(ret_126, 0)", "ret_126"), rows.replace("inverse_volatility", "own")


def rewritten(old, new):
    """Fault of the ranking."""
    return lambda ranking, own, rows: (ranking.replace(old, new), rows)


def duplicated(ranking, own, rows):
    again = "select pool, trade_date, symbol, 1 from {{ ref('factor_panel') }}"
    where = "where trade_date = date '2022-03-01' and symbol = '510300.SH'"
    return f"{ranking.rstrip()}\nunion all {again} {where}\n", rows


SEED_FAULTS = {
    "a bad name": (
        edited("calm_momentum,QDII", "Calm-Momentum,QDII"),
        "seed strategies: Calm-Momentum in QDII: a strategy's name is small letters, digits and _",
    ),
    "the reserved name": (
        edited("calm_momentum,QDII", "live,QDII"),
        "seed strategies: live in QDII: a strategy's name is small letters, digits and _, and not",
    ),
    "no such ranking": (
        edited("rank_by_calm_momentum", "rank_by_calm"),
        "seed strategies: calm_momentum in A_SHARE: models/strategies has no model rank_by_calm;"
        " there are rank_by_calm_momentum, rank_by_liquidity, rank_by_score",
    ),
    "no such pool": (
        edited(",QDII,", ",QDIII,"),
        "seed strategies: calm_momentum in QDIII: the seed pool_constraints has no such pool",
    ),
    "two live rows": (
        edited("QDII,false", "QDII,true"),
        "seed strategies: QDII needs exactly one row with is_live true, there is rotation and"
        " calm_momentum; set is_live",
    ),
    "two rows": (
        lambda ranking, own, rows: (ranking, rows + rows),
        "seed strategies: calm_momentum in A_SHARE: there are two such rows; keep one",
    ),
    "half a fund": (
        edited(",5,2,", ",5.5,2,"),
        "seed strategies: calm_momentum in A_SHARE: top_n is 5.5, which must be a whole number",
    ),
    "too many tranches": (
        edited(",4,0.005", ",5,0.005"),
        "seed strategies: calm_momentum in A_SHARE: tranches is 5, which must be 1 to 4",
    ),
    "a volatility that the panel has not": (
        edited(",60,", ",61,"),
        "seed strategies: calm_momentum in A_SHARE: volatility_window is 61; the panel has 5, 10,",
    ),
    "hysteresis without a number of funds": (
        edited(",5,2,", ",,2,"),
        "seed strategies: calm_momentum in A_SHARE: keep_rank must be 1 where top_n is empty",
    ),
}
RANKING_FAULTS = {
    "no score": (
        rewritten("as score", "as points"),
        '"rank_by_calm_momentum" does not have a column named "score"',
    ),
    "no symbol": (
        rewritten("    symbol,\n", ""),
        '"rank_by_calm_momentum" does not have a column named "symbol"',
    ),
    "a score that is no number": (
        rewritten("nullif(volatility_60, 0)", "(0 * volatility_60)"),
        "score is not finite",
    ),
    "two rows for a fund and session": (
        duplicated,
        "rank_by_calm_momentum: 510300.SH has two rows on 2022-03-01; a ranking has one per fund",
    ),
    "a relation that no ranking may read": (
        rewritten("factor_panel", "int_rebalance_sessions"),
        "models/strategies/rank_by_calm_momentum.sql reads int_rebalance_sessions: add the line",
    ),
    "a model that is not lagged": (
        rewritten("factor_panel", "stg_etf_daily"),
        "attempted to reference node model.etf_rotation.stg_etf_daily, which is not allowed",
    ),
    "own weights that the ranking has not": (
        own_weights,
        "seed strategies: calm_momentum in A_SHARE: weighting is own, and rank_by_calm_momentum has"
        " no raw_weight",
    ),
    "own weights below zero": (own_weights_below_zero, "raw_weight is not a number of at least 0"),
}
FAULTS = SEED_FAULTS | RANKING_FAULTS


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_strategy_stops_the_build_with_one_line(fault, workspace):
    change, message = FAULTS[fault]
    workspace.reset(with_database=True)
    add(workspace, *change(*recipe(PAGES[0])))
    built = workspace.build(*(CHECKS_OF_THE_SEED if fault in SEED_FAULTS else SELECTION))
    assert not built.is_success
    found = [error for error in built.errors if message in error.replace("\n", " ")]
    assert found, built.errors
