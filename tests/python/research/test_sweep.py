"""Variants of a sweep against builds by dbt with the same settings, and the command around it."""

import csv
import hashlib
import json
import os
import random
import shutil
import subprocess
from dataclasses import replace
from multiprocessing import active_children

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from etf_rotation import dbt_project
from etf_rotation.cli.main import main
from etf_rotation.errors import InputError
from etf_rotation.research import grid, sweep
from etf_rotation.research import results as sweep_table
from faults.workspace import copy_project

POOLS = ("A_SHARE", "OTHER", "QDII")
COMMAND = dbt_project.PROJECT / "bin" / "etf-rotation"
# Cheap, and of every kind.
OPTIONS = {
    "factors": "all,single,bias_60+ret_20",
    "top_n": "2,3",
    "rebalance": "monthly,weekly",
    "slippage_bps": "0,20",
}


@pytest.fixture(scope="module")
def builds(sample):
    return {pool: sweep.read_build(sample.database, pool) for pool in POOLS}


# ---------------------------------------------------------------- against builds

SETTINGS = {
    "monthly, one factor": {
        "factors": ("momentum_score_25",),
        "rebalance": "monthly",
        "slippage_bps": 20.0,
        "top_n": {"A_SHARE": 7, "OTHER": 1, "QDII": 3},
    },
    "weekly, a pair": {
        "factors": ("ret_20", "volatility_20"),
        "rebalance": "weekly",
        "commission_bps": 0.0,
        "top_n": {"A_SHARE": 5, "OTHER": 3, "QDII": 1},
    },
    "daily, all but one": {
        "left_out": "rsrs_zscore_18_250",
        "rebalance": "daily",
        "slippage_bps": 0.0,
        "min_weight_change": 0.05,
        "top_n": {"A_SHARE": 3, "OTHER": 9, "QDII": 2},
    },
    "weekly, four factors": {
        "factors": ("bias_60", "drawdown_63", "ret_126", "up_down_volume_ratio_20"),
        "rebalance": "weekly",
        "min_weight_change": 0.0,
        "backtest_start": "2024-06-12",
        "top_n": {"A_SHARE": 9, "OTHER": 5, "QDII": 5},
    },
}
VARIED = ("rebalance", "slippage_bps", "commission_bps", "min_weight_change")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep") / "project"
    copy_project(dbt_project.PROJECT, folder)
    return folder


def edit(path, change):
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | change(row) for row in rows)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_variant_is_what_a_build_with_its_settings_gives(name, sample, builds, project, tmp_path):
    asked = dict(SETTINGS[name])
    top_n = asked.pop("top_n")
    variables = {"backtest_start": asked.pop("backtest_start", None)}
    left_out = asked.pop("left_out", None)
    scored = builds["QDII"].scored
    factors = asked.pop("factors", None) or tuple(f for f in scored if f != left_out)

    for seed in ("factor_catalog", "pool_constraints"):
        shutil.copy(dbt_project.PROJECT / "seeds" / f"{seed}.csv", project / "seeds")
    edit(
        project / "seeds" / "factor_catalog.csv",
        lambda row: {} if row["factor_id"] in factors else {"score_direction": ""},
    )
    edit(project / "seeds" / "pool_constraints.csv", lambda row: {"top_n": top_n[row["pool"]]})
    shutil.copy(sample.database, tmp_path / "etf_rotation.duckdb")
    done = dbt_project.invoke(
        [
            "build",
            "--quiet",
            "--exclude-resource-type",
            "test",
            "unit_test",
            "--vars",
            json.dumps(asked | variables),
            "--select",
            "run_settings",
            "factor_catalog",
            "pool_constraints",
            "int_scored_factors",
            "scores",
            "int_rebalance_sessions",
            "int_selection__candidates",
            "int_selection",
            "target_weights",
            "path:models/backtest",
        ],
        database=tmp_path / "etf_rotation.duckdb",
        folder=tmp_path,
        project=project,
        variables={"ETF_RAW_ROOT": str(sample.raw_root)},
    )
    assert done.success, done.exception

    with duckdb.connect(str(tmp_path / "etf_rotation.duckdb"), read_only=True) as connection:
        for pool, build in builds.items():
            variant = build.variant._replace(
                factors=tuple(sorted(factors)), top_n=top_n[pool], **asked
            )
            started = replace(build, variables={**build.variables, **variables})
            (found,) = sweep.evaluate(started, [variant], 1)
            of_pool = f"where pool = '{pool}'"
            metrics = connection.sql(f"select * exclude (pool) from backtest.metrics {of_pool}")
            assert metrics.to_arrow_table().to_pylist() == [found.metrics]
            curve = connection.execute(
                f"select equity, daily_return from backtest.equity_daily {of_pool} "
                "order by trade_date"
            ).fetchnumpy()
            assert np.array_equal(curve["equity"], found.equity)
            assert np.array_equal(curve["daily_return"], found.returns)
            trades = connection.sql(f"select count(*) from backtest.trades {of_pool}").fetchall()
            assert found.trades == trades[0][0] > 0
            again = sweep.read_build(tmp_path / "etf_rotation.duckdb", pool)
            assert again.variant == variant
            sweep.check(again)


def test_a_pool_without_enough_funds_never_begins(builds):
    build = builds["QDII"]
    never = build.variant._replace(top_n=99)
    results = sweep.evaluate(build, [never, build.variant], 1)
    assert results[0].metrics is None
    assert (results[0].trades, len(results[0].returns), len(results[0].equity)) == (0, 0, 0)
    trials, rows = sweep_table.judge(build, [never, build.variant], results)
    assert trials.count == 1
    assert (rows[0]["sharpe"], rows[0]["sessions"], rows[0]["deflated_sharpe"]) == (None, 0, None)
    assert rows[1]["sharpe"] == results[1].metrics["sharpe"]

    trials, rows = sweep_table.judge(build, [never], results[:1])
    assert "None of the 1 variants of QDII ever traded" in sweep_table.closing(build, trials, rows)


def same(one, other):
    return (
        one.metrics == other.metrics
        and one.trades == other.trades
        and np.array_equal(one.returns, other.returns)
        and np.array_equal(one.equity, other.equity)
    )


def test_neither_processes_nor_order_nor_company_change_a_bit(builds, monkeypatch):
    build = builds["QDII"]
    variants = grid.variants(build, OPTIONS)
    alone = sweep.evaluate(build, variants, 1)
    shuffled = list(range(len(variants)))
    random.Random(5).shuffle(shuffled)
    monkeypatch.setattr(sweep, "VARIANTS_AT_A_TIME", 5)
    told = []
    for processes in (2, 3):
        found = sweep.evaluate(
            build,
            [variants[n] for n in shuffled],
            processes,
            lambda done, total: told.append((done, total)),
        )
        assert all(same(alone[n], result) for n, result in zip(shuffled, found, strict=True))
    assert told[-1] == (len(variants), len(variants))
    assert len(told) > 6
    assert len({result.equity.tobytes() for result in alone}) > len(variants) / 2


def test_a_process_that_is_killed_ends_the_sweep_with_one_line(builds, monkeypatch):
    variants = grid.variants(builds["QDII"], OPTIONS)
    monkeypatch.setattr(sweep, "VARIANTS_AT_A_TIME", 2)

    def kill(done, total):
        for child in active_children():
            child.kill()

    with pytest.raises(InputError, match="ended from outside"):
        sweep.evaluate(builds["QDII"], variants, 2, kill)


# ---------------------------------------------------------------- the grid


def test_the_default_grid_has_a_thousand_variants_and_the_builds_own(builds):
    for build in builds.values():
        variants = grid.variants(
            build, {"factors": "all,single,pair,all-but-one", "rebalance": "monthly,weekly"}
        )
        assert len(variants) == len(set(variants)) >= 1000
        assert build.variant in variants


def test_the_builds_own_variant_comes_first_where_nobody_asked_for_it(builds):
    build = builds["A_SHARE"]
    options = {"factors": "ret_20, volatility_20+ret_20,ret_20", "rebalance": "daily"}
    variants = grid.variants(build, options | {"top_n": "4,4", "slippage_bps": "1e1"})
    assert variants == [
        build.variant,
        sweep.Variant(("ret_20",), 4, "daily", 10.0, 2.5, 0.01),
        sweep.Variant(("ret_20", "volatility_20"), 4, "daily", 10.0, 2.5, 0.01),
    ]


def test_subsets_by_size_are_all_of_them(builds):
    build = builds["QDII"]
    count = len(build.scored)
    others = {"rebalance": "monthly", "top_n": str(build.variant.top_n), "slippage_bps": "10"}
    for text, expected in (
        ("all", 1),
        ("single", count + 1),
        ("pair", count * (count - 1) // 2 + 1),
        ("all-but-one", count + 1),
    ):
        assert len(grid.variants(build, others | {"factors": text})) == expected


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("factors", "rsi_14", "--factors rsi_14: 'rsi_14' is neither all, .* nor a scored factor"),
        ("factors", "ret_20+", "'nothing' is neither"),
        ("top_n", "3,0", "--top-n 3,0: '0' is no whole number above zero"),
        ("top_n", "2.5", "'2.5' is no whole number"),
        ("rebalance", "yearly", "--rebalance yearly: 'yearly' is none of monthly, weekly, daily"),
        ("slippage_bps", "-1", "--slippage-bps -1: '-1' is no number of zero or more"),
        ("commission_bps", "nan", "'nan' is no number"),
        ("min_weight_change", "", "'' is no number"),
    ],
)
def test_an_option_that_means_nothing_is_refused(option, value, message, builds):
    options = {"factors": "all", "rebalance": "monthly"} | {option: value}
    with pytest.raises(InputError, match=message):
        grid.variants(builds["QDII"], options)


# ---------------------------------------------------------------- the command


def arguments(database, **more):
    options = {**OPTIONS, "database": database, "pool": "QDII", "processes": 1, **more}
    pairs = (
        (f"--{name.replace('_', '-')}", str(value))
        for name, value in options.items()
        if value is not None
    )
    return ["sweep", *(text for pair in pairs for text in pair)]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def swept(sample, tmp_path_factory):
    """The folder of the command's tables, from one process and from two, and what it said."""
    folder = tmp_path_factory.mktemp("swept")
    before = digest(sample.database)
    done = subprocess.run(
        [COMMAND, *arguments(sample.database, processes=2, output="two.parquet")],
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert main(arguments(sample.database, output=folder / "one.parquet")) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["one.parquet", "two.parquet"]
    assert digest(sample.database) == before
    return folder, done.stdout


def test_the_number_of_processes_changes_no_byte_of_the_table(swept):
    folder, _ = swept
    assert digest(folder / "one.parquet") == digest(folder / "two.parquet")


def test_the_table_has_a_row_for_each_variant_with_its_metrics(swept, sample, builds):
    folder, _ = swept
    rows = pq.read_table(folder / "one.parquet").to_pylist()
    variants = grid.variants(builds["QDII"], OPTIONS)
    assert len(rows) == len(variants)
    for number, (row, variant) in enumerate(zip(rows, variants, strict=True), start=1):
        assert row["variant"] == number
        assert row["factors"] == "+".join(variant.factors)
        assert {name: row[name] for name in sweep.Variant._fields[1:]} == {
            name: getattr(variant, name) for name in sweep.Variant._fields[1:]
        }
        assert row["is_synthetic"] is True
    (own,) = [row for row in rows if row["is_build"]]
    metrics = sample.connection.sql("from backtest.metrics where pool = 'QDII'")
    (metrics,) = metrics.to_arrow_table().to_pylist()
    assert {name: own[name] for name in metrics} == metrics


def test_the_closing_says_what_luck_would_have_made(swept):
    folder, said = swept
    rows = pq.read_table(folder / "one.parquet").to_pylist()
    best = max(rows, key=lambda row: row["sharpe"])
    assert f"of {len(rows)} variants of QDII by Sharpe ratio" in said
    assert f"Trials: {len(rows)}, worth {best['effective_trials']:.1f} independent ones" in said
    assert f"without any skill: {best['expected_max_sharpe']:.2f} of all trials" in said
    assert (
        f"The best, variant {best['variant']} with a Sharpe ratio of {best['sharpe']:.2f}" in said
    )
    assert "To choose the best variant is to fit to this sample" in said
    assert "SYNTHETIC DATA, not market data" in said
    assert 1 < best["effective_trials"] < len(rows) == best["trials"]
    assert 0 < best["expected_max_sharpe_effective"] < best["expected_max_sharpe"]
    assert 0 < best["deflated_sharpe"] < best["deflated_sharpe_effective"] < 1


@pytest.mark.parametrize(
    ("strict", "effective", "verdict"),
    [
        (0.96, 0.99, "luck among these trials alone does not explain it"),
        (0.90, 0.97, "hangs on how many of these trials are independent"),
        (0.50, 0.60, "cannot be told from the best of as many lucky ones"),
        (None, None, "too short a history"),
    ],
)
def test_the_verdict_follows_from_the_deflated_sharpe_ratios(
    strict, effective, verdict, swept, builds
):
    folder, _ = swept
    rows = pq.read_table(folder / "one.parquet").to_pylist()
    judged = {"deflated_sharpe": strict, "deflated_sharpe_effective": effective}
    trials = sweep_table.Trials(2, 100, 0.5, 1.5, 1.0, 0.8)
    said = sweep_table.closing(builds["QDII"], trials, [row | judged for row in rows])
    assert verdict in said


def test_csv_holds_the_same_numbers(swept, sample, tmp_path):
    folder, _ = swept
    assert main(arguments(sample.database, output=tmp_path / "table.csv")) == 0
    expected = pq.read_table(folder / "one.parquet")
    found = pa.csv.read_csv(tmp_path / "table.csv")
    for name in ("variant", "sharpe", "annual_turnover", "deflated_sharpe"):
        assert found[name].to_pylist() == expected[name].to_pylist()


def test_without_output_nothing_is_written(sample, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments(sample.database, factors="all", top_n=3)) == 0
    assert list(tmp_path.iterdir()) == []
    assert "Nothing is written without --output" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool": "MOON"}, "no backtest of the pool MOON; there are A_SHARE, OTHER, QDII"),
        ({"database": "/nowhere/etf_rotation.duckdb"}, "no database /nowhere"),
        ({"top_n": "none"}, "--top-n none: 'none' is no whole number above zero"),
        ({"processes": 0}, "--processes is 0, which must be 1 or more"),
        ({"output": "table.xlsx"}, "the name must end in .parquet or .csv"),
        ({"output": "/nowhere/table.csv"}, "there is no folder /nowhere"),
        ({"database": None, "output_root": "/nowhere/etf"}, "nothing is published as /nowhere/etf"),
    ],
)
def test_what_cannot_be_swept_ends_with_code_2_and_one_line(options, message, sample, capsys):
    assert (
        main(arguments(sample.database) and arguments(**{"database": sample.database} | options))
        == 2
    )
    said = capsys.readouterr()
    assert message in said.err
    assert len(said.err.splitlines()) == 1
    assert said.out == ""


def test_a_database_without_a_backtest_is_refused(tmp_path, capsys):
    path = tmp_path / "etf_rotation.duckdb"
    duckdb.connect(str(path)).close()
    assert main(arguments(path)) == 2
    assert (
        f"{path} has no factor_catalog: build it with 'dbt build' first" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "change",
    [
        "update backtest.equity_daily set equity = equity * (1 + 1e-15) where trade_date = "
        "(select max(trade_date) from backtest.equity_daily) and pool = 'QDII'",
        "update backtest.metrics set sharpe = 0 where pool = 'QDII'",
        "delete from backtest.metrics where pool = 'QDII'",
    ],
)
def test_a_build_that_this_project_would_not_make_again_is_refused(
    change, sample, tmp_path, capsys
):
    path = tmp_path / "etf_rotation.duckdb"
    shutil.copy(sample.database, path)
    with duckdb.connect(str(path)) as connection:
        connection.execute(change)
    (tmp_path / "table.csv").write_text("of before")
    assert main(arguments(path, output=tmp_path / "table.csv")) == 2
    said = capsys.readouterr().err
    assert "is not what this code makes of the same factors, seeds and vars" in said
    assert "it has changed since; build it again" in said
    assert (tmp_path / "table.csv").read_text() == "of before"


def test_a_table_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    path.write_text("of before")

    def fail(table, temporary):
        temporary.write_text("half")
        raise OSError("no space left")

    monkeypatch.setitem(sweep_table.WRITERS, ".csv", fail)
    with pytest.raises(OSError, match="no space left"):
        sweep_table.write([{"variant": 1}], path)
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text() == "of before"
