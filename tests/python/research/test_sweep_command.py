"""The command `sweep`: its table, its messages and its errors."""

import hashlib
import os
import subprocess
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from etf_rotation import dbt_project
from etf_rotation.cli.main import main
from etf_rotation.errors import InputError
from etf_rotation.research import results as sweep_table
from etf_rotation.research import sweep
from etf_rotation.research.build import Variant, read_build
from etf_rotation.research.grid import grid
from etf_rotation.research.summary import summary_text
from etf_rotation.research.workers import workers

COMMAND = dbt_project.PROJECT / "bin" / "etf-rotation"
# Few variants, but of every kind.
OPTIONS = {
    "factors": "all,single,bias_60+ret_20",
    "top_n": "2,3",
    "tranches": "1,2",
    "rebalance": "monthly,weekly",
    "slippage_bps": "0,20",
}


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
def build(sample):
    return read_build(sample.database, "QDII")


@pytest.fixture(scope="module")
def swept(sample, tmp_path_factory):
    """The folder of the command's tables, from one process and from two, and what it said."""
    folder = tmp_path_factory.mktemp("swept")
    before = digest(sample.database)
    more = {"holdout_start": "2024-06-03", "walk_forward": "6,3"}
    done = subprocess.run(
        [COMMAND, *arguments(sample.database, processes=2, output="two.parquet", **more)],
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert main(arguments(sample.database, output=folder / "one.parquet")) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["one.parquet", "two.parquet"]
    assert digest(sample.database) == before
    return SimpleNamespace(
        rows=pq.read_table(folder / "one.parquet").to_pylist(), folder=folder, said=done.stdout
    )


def test_the_number_of_processes_changes_no_byte_of_the_table(swept):
    assert digest(swept.folder / "one.parquet") == digest(swept.folder / "two.parquet")


def test_the_table_has_a_row_for_each_variant_with_its_metrics(swept, sample, build):
    variants, _ = grid(build, OPTIONS)
    assert len(swept.rows) == len(variants)
    for number, (row, variant) in enumerate(zip(swept.rows, variants, strict=True), start=1):
        assert row["variant"] == number
        assert row["factors"] == "+".join(variant.factors)
        assert {name: row[name] for name in Variant._fields[1:]} == {
            name: getattr(variant, name) for name in Variant._fields[1:]
        }
        assert row["is_synthetic"] is True
    (own,) = [row for row in swept.rows if row["is_build"]]
    metrics = sample.connection.sql(
        "from backtest.metrics where pool = 'QDII' and strategy = 'rotation'"
    )
    (metrics,) = metrics.to_arrow_table().to_pylist()
    assert {name: own[name] for name in metrics} == metrics


def test_the_summary_states_the_result_of_luck(swept):
    rows, said = swept.rows, swept.said
    best = max(rows, key=lambda row: row["sharpe"])
    assert f"of {len(rows)} variants of rotation in QDII by Sharpe ratio" in said
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


def test_the_summary_compares_the_variants_of_the_same_costs(swept):
    half = (len(swept.rows) - 1) // 2
    firsts = sorted(row["first_date"] for row in swept.rows if row["slippage_bps"] == 0)
    begun = {day: n for n, day in enumerate(firsts, start=1)}
    sessions = {row["first_date"]: row["sessions"] for row in swept.rows}
    first = max(begun, key=lambda day: begun[day] * sessions[day])
    late = sum(row["first_date"] > first for row in swept.rows if row["slippage_bps"] == 0)
    assert f"Between {half - late} variants with slippage 0 bp and commission 2.5 bp" in swept.said
    assert (f"({late} more begin later)" in swept.said) is (late > 0)
    assert "probability of backtest overfitting, CSCV with 16 blocks, 12,870 splits" in swept.said
    assert "of the Sharpe ratios before 2024-06-03 (" in swept.said
    assert f" of {half - late} since." in swept.said


def test_the_summary_states_the_walk_forward_result(swept):
    said = swept.said
    assert "Walk-forward: the best of the trailing 6 months by Sharpe ratio, followed for 3" in said
    table = said[said.index("Walk-forward:") :].splitlines()
    begin = next(n for n, line in enumerate(table) if line.startswith("from"))
    switches = [line.split() for line in table[begin + 2 : table.index("", begin)]]
    costs_nothing = [line[-2] == "0.0000" for line in switches]
    assert not costs_nothing[0]
    for before, now, is_free in zip(switches, switches[1:], costs_nothing[1:], strict=False):
        assert is_free == (before[1] == now[1])
    names = [line.split("  ")[0] for line in table if line[:1].isalpha()]
    wanted = ["walk-forward", "rotation", "equal_weight", "best in hindsight"]
    assert [name for name in names if name in wanted] == wanted


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
    strict, effective, verdict, swept, build
):
    judged = {"deflated_sharpe": strict, "deflated_sharpe_effective": effective}
    trials = sweep_table.Trials(2, 100, 0.5, 1.5, 1.0, 0.8)
    rows = [row | judged for row in swept.rows]
    assert verdict in summary_text(build, trials, rows, None)


def test_csv_holds_the_same_numbers(swept, sample, tmp_path):
    assert main(arguments(sample.database, output=tmp_path / "table.csv")) == 0
    found = pa.csv.read_csv(tmp_path / "table.csv").to_pylist()
    for name in ("variant", "sharpe", "annual_turnover", "deflated_sharpe"):
        assert [row[name] for row in found] == [row[name] for row in swept.rows]


def test_without_output_nothing_is_written(sample, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    few = {"factors": "all", "top_n": 3, "keep_rank": "1,2", "rebalance": "daily"}
    assert main(arguments(sample.database, **few)) == 0
    assert list(tmp_path.iterdir()) == []
    said = capsys.readouterr().out
    assert "Nothing is written without --output" in said
    assert "4 combinations are left out: the rules forbid them" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool": "HK"}, "has no backtest of the pool HK; there are A_SHARE, OTHER, QDII"),
        ({"strategy": "best"}, "has no strategy best in QDII; there are equal_weight, risk_"),
        ({"top_n": "x"}, "--top-n x: 'x' is no whole number of 1 or more"),
        ({"processes": 0}, "--processes is 0, which must be 1 or more"),
        ({"output": "table.xlsx"}, "the name must end in .parquet or .csv"),
        ({"output": "/nowhere/table.csv"}, "there is no folder /nowhere"),
        ({"database": None, "output_root": "/nowhere/etf"}, "nothing is published as /nowhere/etf"),
        ({"holdout_start": "July"}, "--holdout-start July: it must be a date YYYY-MM-DD"),
        ({"walk_forward": "36"}, "--walk-forward 36: give the months to choose by"),
    ],
)
def test_an_invalid_sweep_ends_with_code_2_and_one_line(options, message, sample, capsys):
    assert main(arguments(**{"database": sample.database} | options)) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert len(said.err.splitlines()) == 1
    assert said.out == ""


def test_a_history_too_short_for_walk_forward_is_reported(sample, capsys):
    few = {"factors": "all", "top_n": 3, "rebalance": "monthly"}
    assert main(arguments(sample.database, walk_forward="60,12", **few)) == 2
    assert "are fewer than 60 months and one more" in capsys.readouterr().err


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


def test_a_process_that_is_killed_ends_the_sweep_with_one_line():
    with workers(2) as found, pytest.raises(InputError, match="ended from outside"):
        list(found.map(die, (), [1, 2, 3]))


def die(item):
    os.kill(os.getpid(), 9)


# ---------------------------------------------------------------- on a cluster

distributed = pytest.importorskip("distributed", reason="dask and distributed are not installed")


@pytest.fixture(scope="module")
def cluster():
    """A Dask scheduler with two workers, which end with the tests."""
    with (
        pytest.MonkeyPatch.context() as patch,
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=None,
            host="127.0.0.1",
        ) as found,
    ):
        patch.setattr(sweep, "ACCOUNTS_AT_A_TIME", 30)
        yield found


def test_a_cluster_computes_the_same_table(cluster, swept, sample, tmp_path):
    table = tmp_path / "cluster.parquet"
    assert main(arguments(sample.database, cluster=cluster.scheduler_address, output=table)) == 0
    assert digest(table) == digest(swept.folder / "one.parquet")


def test_every_worker_of_a_cluster_is_checked_first(cluster, build, monkeypatch):
    with workers(1, cluster.scheduler_address) as found:
        assert found.count == 2
        sweep.check(build, None, found)
        given = found.on_each(os.getpid)
        assert len(set(given.values())) == 2
        wrong = {address: [sweep.Result(None, 0, 0, None, 1.0)] for address in given}
        monkeypatch.setattr(found, "on_each", lambda *arguments: wrong)
        with pytest.raises(InputError, match="does not compute the bits of the build"):
            sweep.check(build, None, found)


def test_a_worker_with_other_code_is_refused(cluster, monkeypatch):
    monkeypatch.setattr("etf_rotation.gate.run_metadata.code_version", lambda project: "other")
    with (
        pytest.raises(InputError, match="has another code of etf_rotation, or another numpy"),
        workers(1, cluster.scheduler_address),
    ):
        pass


def test_an_address_without_a_scheduler_ends_with_one_line(sample, monkeypatch, capsys):
    monkeypatch.setattr("etf_rotation.research.workers.CONNECT_SECONDS", 1)
    assert main(arguments(sample.database, cluster="tcp://127.0.0.1:9")) == 2
    said = capsys.readouterr().err
    assert "--cluster tcp://127.0.0.1:9: no Dask scheduler answers" in said
    assert len(said.splitlines()) == 1
