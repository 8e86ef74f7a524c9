"""Variants of a sweep against builds by dbt with the same settings."""

import csv
import json
import random
import shutil
from dataclasses import replace

import duckdb
import numpy as np
import pytest
from etf_rotation import dbt_project
from etf_rotation.errors import InputError
from etf_rotation.research import results as sweep_table
from etf_rotation.research import sweep
from etf_rotation.research.build import read_build
from etf_rotation.research.comparison import Asked, compare
from etf_rotation.research.data import read_data
from etf_rotation.research.grid import grid
from etf_rotation.research.summary import summary_text
from etf_rotation.research.workers import Workers
from faults.workspace import copy_project

POOLS = ("A_SHARE", "OTHER", "QDII")

# ---------------------------------------------------------------- against builds

# Strategies beside the shipped ones, of every kind; what is not said is as in
# steady_rotation.
STRATEGIES = {
    "tranches_weekly": {"rebalance": "weekly", "rebalance_offset": 3, "tranches": 5},
    "tranches_monthly": {"rebalance_offset": 17, "tranches": 3, "keep_rank": 1.5, "top_n": 2},
    "plain_daily": {
        "rebalance": "daily",
        "tranches": 1,
        "keep_rank": 1,
        "redistribute": "false",
        "min_weight_change": 0.05,
    },
    "hysteresis_daily": {"rebalance": "daily", "tranches": 1, "keep_rank": 3, "top_n": 3},
    "volatility": {"weighting": "inverse_volatility", "top_n": 4, "keep_rank": 1},
    "volatility_of_all": {"weighting": "inverse_volatility", "top_n": "", "keep_rank": 1},
    "all_equal_weekly": {"top_n": "", "keep_rank": 1, "rebalance": "weekly", "tranches": 2},
    "capped_at_the_end": {"rebalance_offset": 19, "tranches": 1, "keep_rank": 1, "top_n": 9},
    "liquid": {"ranking": "rank_by_liquidity", "weighting": "inverse_volatility", "top_n": 3},
    "own": {"ranking": "rank_by_weight", "weighting": "own", "top_n": "", "keep_rank": 1},
    "own_top": {"ranking": "rank_by_weight", "weighting": "own", "top_n": 3, "tranches": 2},
}
OWN_RANKING = """
select
    pool,
    trade_date,
    symbol,
    adv20 as score,
    case when adv20 > 3e7 then adv20 / 1e9 end as raw_weight
from {{ ref('int_bars__lagged') }}
"""
BUILDS = {
    "every kind of strategy": {"strategies": STRATEGIES},
    "two factors and other costs": {
        "factors": ("ret_20", "volatility_20"),
        "vars": {"commission_bps": 0.0, "slippage_bps": 25.0},
        "live": {"top_n": 2, "rebalance": "weekly", "min_weight_change": 0.0},
        "strategies": {"volatility": STRATEGIES["volatility"]},
    },
    "one factor and a start": {
        "factors": ("momentum_score_25",),
        "vars": {"backtest_start": "2024-06-12", "slippage_bps": 0.0, "enforce_adv": False},
        "live": {"top_n": 7},
        "strategies": {"tranches_weekly": STRATEGIES["tranches_weekly"]},
    },
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep") / "project"
    copy_project(dbt_project.PROJECT, folder)
    (folder / "models" / "strategies" / "rank_by_weight.sql").write_text(OWN_RANKING)
    return folder


def read_seed(name):
    path = dbt_project.PROJECT / "seeds" / f"{name}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_seed(project, name, rows):
    with (project / "seeds" / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_seeds(project, asked):
    rows = read_seed("strategies")
    like = [row for row in rows if row["strategy"] == "steady_rotation"]
    for row in rows:
        if row["is_live"] == "true":
            row.update(asked.get("live", {}))
    for name, settings in asked["strategies"].items():
        rows += [row | {"strategy": name} | settings for row in like]
    write_seed(project, "strategies", rows)
    factors = asked.get("factors")
    catalog = read_seed("factor_catalog")
    for row in catalog:
        if factors and row["factor_id"] not in factors:
            row["score_direction"] = ""
    write_seed(project, "factor_catalog", catalog)


@pytest.fixture(scope="module", params=BUILDS)
def built(request, sample, project, tmp_path_factory):
    """A build with other settings on the bars of the sample: its database and what was asked."""
    asked = BUILDS[request.param]
    folder = tmp_path_factory.mktemp("variant")
    write_seeds(project, asked)
    shutil.copy(sample.database, folder / "etf_rotation.duckdb")
    done = dbt_project.invoke(
        [
            "build",
            "--quiet",
            "--exclude-resource-type",
            "test",
            "unit_test",
            "--vars",
            json.dumps(asked.get("vars", {})),
            "--select",
            "run_settings",
            "factor_catalog",
            "strategies",
            "path:models/signals",
            "path:models/strategies",
            # What a variant is compared with; not its evidence, its luck or its statistics.
            "path:models/backtest,+metrics",
            "path:models/backtest,+trades",
        ],
        database=folder / "etf_rotation.duckdb",
        folder=folder,
        project=project,
        variables={"ETF_RAW_ROOT": str(sample.raw_root)},
    )
    assert done.success, done.exception
    return folder / "etf_rotation.duckdb", asked


def test_a_variant_equals_a_build_with_its_settings(built, sample):
    database, asked = built
    names = [*asked["strategies"], *(["rotation"] if "live" in asked else [])]
    compared = 0
    for pool in POOLS:
        for name in names:
            there = read_build(database, pool, name)
            base = of_the_sample(sample, pool, name, there, asked)
            data = read_data(base, [there.variant])
            (found,) = sweep.evaluate_together(base, data, [there.variant])
            compared += assert_same(database, there, found)
    assert compared > len(names)


def of_the_sample(sample, pool, name, there, asked):
    """The build without these settings, as the start of such a sweep."""
    if there.ranking == "rank_by_weight":
        return there
    like = "rotation" if there.is_live else "steady_rotation"
    base = read_build(sample.database, pool, "equal_weight" if not there.scored else like)
    # Variants have no such settings.
    given = {k: v for k, v in asked.get("vars", {}).items() if k != "slippage_bps"}
    return replace(
        base,
        variables={**base.variables, **given},
        live_top_n=there.live_top_n,
        parameters=replace(base.parameters, enforce_adv=given.get("enforce_adv", True)),
    )


def assert_same(database, there, found):
    where = f"where strategy = '{there.strategy}' and pool = '{there.pool}'"
    with duckdb.connect(str(database), read_only=True) as connection:
        metrics = connection.sql(f"select * exclude (strategy, pool) from backtest.metrics {where}")
        rows = metrics.to_arrow_table().to_pylist()
        curve = connection.execute(
            f"select equity, daily_return from backtest.equity_daily {where} order by trade_date"
        ).fetchnumpy()
        ((trades,),) = connection.sql(f"select count(*) from backtest.trades {where}").fetchall()
    assert rows == ([found.metrics] if found.metrics else [])
    assert np.array_equal(curve["equity"], found.equity)
    assert np.array_equal(curve["daily_return"], found.returns)
    assert found.trades == trades
    return trades > 0


def test_the_sweep_of_a_build_starts_from_its_own_variant(built):
    database, _ = built
    for pool in POOLS:
        for name in (None, "steady_rotation", "risk_weighted", "equal_weight"):
            build = read_build(database, pool, name)
            assert build.is_live is (name is None)
            sweep.check(build)


# ---------------------------------------------------------------- in company

OPTIONS = {
    "factors": "all,single,bias_60+ret_20",
    "top_n": "2,3",
    "keep_rank": "1,2",
    "weighting": "equal,inverse_volatility",
    "tranches": "1,2",
    "rebalance": "monthly,weekly",
    "rebalance_offset": "0,4",
    "slippage_bps": "0,20",
}


@pytest.fixture(scope="module")
def builds(sample):
    return {pool: read_build(sample.database, pool) for pool in POOLS}


@pytest.fixture(scope="module")
def swept(builds):
    """Variants of QDII, the data that they need, and what each is in one walk with the others."""
    build = builds["QDII"]
    variants = random.Random(3).sample(grid(build, OPTIONS).variants, 150)
    variants = list(dict.fromkeys([build.variant, *variants]))
    data = read_data(build, variants)
    return build, variants, data, sweep.evaluate_together(build, data, variants)


def same(one, other):
    return (
        one.metrics == other.metrics
        and one.trades == other.trades
        and np.array_equal(one.equity, other.equity)
    )


def test_other_variants_change_no_bit(swept):
    build, variants, data, together = swept
    for n in random.Random(4).sample(range(len(variants)), 25):
        (alone,) = sweep.evaluate_together(build, data, [variants[n]])
        own = read_data(build, [variants[n]])
        (from_own_data,) = sweep.evaluate_together(build, own, [variants[n]])
        assert same(alone, together[n])
        assert same(from_own_data, together[n])
    assert len({result.equity.tobytes() for result in together}) > len(variants) / 2


def test_neither_processes_nor_order_change_a_bit(swept, monkeypatch):
    build, variants, data, together = swept
    shuffled = list(range(len(variants)))
    random.Random(5).shuffle(shuffled)
    monkeypatch.setattr(sweep, "ACCOUNTS_AT_A_TIME", 40)
    told = []
    for processes in (1, 2):
        found = sweep.evaluate(
            build,
            data,
            [variants[n] for n in shuffled],
            Workers(processes),
            lambda done, total: told.append((done, total)),
        )
        assert all(same(together[n], result) for n, result in zip(shuffled, found, strict=True))
    assert told[-1] == (len(variants), len(variants))
    assert len(told) > 6


def test_a_pool_without_enough_funds_never_begins(builds):
    build = builds["QDII"]
    never = build.variant._replace(top_n=99)
    data = read_data(build, [never, build.variant])
    both = sweep.evaluate_together(build, data, [never, build.variant])
    assert both[0].metrics is None
    assert (both[0].trades, len(both[0].returns), len(both[0].equity)) == (0, 0, 0)
    trials, rows = sweep_table.judge(build, [never, build.variant], both)
    assert trials.n_trials == 1
    assert (rows[0]["sharpe"], rows[0]["sessions"], rows[0]["deflated_sharpe"]) == (None, 0, None)
    assert rows[1]["sharpe"] == both[1].metrics["sharpe"]

    alone = sweep.evaluate_together(build, data, [never])
    trials, rows = sweep_table.judge(build, [never], alone)
    compared = compare(build, data, [never], alone, Asked(None, None))
    assert compared is None
    said = summary_text(build, trials, rows, compared)
    assert "None of the 1 variants of rotation in QDII ever traded" in said


@pytest.mark.parametrize(
    "change",
    [
        "update backtest.equity_daily set equity = equity * (1 + 1e-15) where trade_date = "
        "(select max(trade_date) from backtest.equity_daily) and pool = 'QDII' "
        "and strategy = 'rotation'",
        "update backtest.metrics set sharpe = 0 where pool = 'QDII'",
        "delete from backtest.metrics where pool = 'QDII'",
    ],
)
def test_a_build_that_this_project_would_not_make_again_is_refused(change, sample, tmp_path):
    path = tmp_path / "etf_rotation.duckdb"
    shutil.copy(sample.database, path)
    with duckdb.connect(str(path)) as connection:
        connection.execute(change)
    with pytest.raises(InputError, match=r"is not what this code makes of .* build it again"):
        sweep.check(read_build(path, "QDII"))


# ---------------------------------------------------------------- which build


def test_a_strategy_or_pool_that_is_not_there_is_refused(sample):
    with pytest.raises(InputError, match="no strategy momentum in QDII; there are equal_weight, "):
        read_build(sample.database, "QDII", "momentum")
    with pytest.raises(InputError, match="no backtest of the pool HK; there are A_SHARE, OTHER"):
        read_build(sample.database, "HK")


def test_a_database_without_a_backtest_is_refused(tmp_path):
    path = tmp_path / "etf_rotation.duckdb"
    with pytest.raises(InputError, match="no database"):
        read_build(path, "QDII")
    duckdb.connect(str(path)).close()
    with pytest.raises(InputError, match="has no factor_catalog: build it with 'dbt build' first"):
        read_build(path, "QDII")
