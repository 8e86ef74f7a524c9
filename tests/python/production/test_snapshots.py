"""Atomic publishing: the link, the lock, kills, full disks, readers."""

import datetime as dt
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise

import duckdb
import pandas as pd
import pytest
from conftest import damage
from etf_rotation.cli.summary import summary_text
from etf_rotation.console import Progress
from etf_rotation.errors import InputError
from etf_rotation.notification.messages import compose
from etf_rotation.production import export, export_checks, manifest, panel_file, snapshots
from etf_rotation.production.diff import compare
from etf_rotation.production.lock import LOCK_FILE, RunningError, run_lock
from etf_rotation.production.run import SHANGHAI, Production
from finished_build import NOON, FinishedBuild, produce, settings, start


@pytest.fixture
def root(tmp_path):
    return tmp_path / "factor_output" / "etf_rotation_production"


def status_of(root, run_id):
    return manifest.read(root.parent / "snapshots" / run_id)["status"]


def assert_whole(root):
    run = snapshots.current(root)
    assert run is not None
    assert manifest.faults(run) == []
    assert all(row["status"] == "pass" for row in export_checks.check_folder(root, is_full=True))
    return run.name


# ---------------------------------------------------------------- what is published


def test_a_passed_run_is_published_with_all_its_files(root):
    outcome = produce(root)
    assert (outcome.code, outcome.is_published) == (0, True)
    assert os.readlink(root) == "snapshots/20260302T120000"
    assert_whole(root)
    names = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    of_pool = {
        "panel_FULL_20200101_20200229.parquet",
        "factor_summary_20200101_20200229.csv",
        "panel_meta.json",
        "production_factors.txt",
        "backtest_results.parquet",
        "backtest_metrics.json",
        "capacity_constraints_report.json",
    }
    wanted = {f"panel_{pool}/{name}" for pool in ("A_SHARE", "QDII") for name in of_pool}
    wanted |= {"pool_metrics_summary.csv", "report.html", "gate_report/index.html"}
    assert names == wanted | {"etf_rotation.duckdb", "manifest.json"}


def test_the_manifest_says_what_was_built(root):
    produce(root, dbt_vars={"rebalance": "weekly"})
    content = json.loads((root / "manifest.json").read_text())
    assert content["run_id"] == "20260302T120000"
    assert content["vars"] == {"rebalance": "weekly"}
    assert content["input_fingerprint"] == "def"
    assert len(content["code_version"]) == 64
    assert content["row_counts"]["signals.factor_panel"] == 600
    assert {row["status"] for row in content["gate"]} == {"pass", "warn"}
    assert set(content["files"]["etf_rotation.duckdb"]) == {"bytes", "sha256"}


def test_panels_are_sorted_and_read_by_pandas_and_duckdb(root):
    produce(root)
    path = next(root.glob("panel_QDII/panel_FULL_*.parquet"))
    panel = pd.read_parquet(path)
    assert len(panel) == 300
    assert panel[["symbol", "trade_date"]].apply(tuple, axis=1).is_monotonic_increasing
    assert duckdb.sql(f"select count(rsi_14) from '{path}'").fetchall() == [(200,)]
    results = pd.read_parquet(root / "panel_QDII" / "backtest_results.parquet")
    assert list(results["positions"].map(len)) == [0] + [1] * 19
    assert results["positions"][1][0]["symbol"] == "510000.SH"


def test_panels_are_read_by_polars(root):
    polars = pytest.importorskip("polars")
    produce(root)
    panel = polars.read_parquet(next(root.glob("panel_QDII/panel_FULL_*.parquet")))
    assert (panel.height, panel["rsi_14"].null_count()) == (300, 100)
    results = polars.read_parquet(root / "panel_QDII" / "backtest_results.parquet")
    assert results["positions"].list.len().to_list() == [0] + [1] * 19


def test_numbers_in_files_are_numbers(root):
    produce(root)
    metrics = json.loads((root / "panel_QDII" / "backtest_metrics.json").read_text())
    assert metrics["annual_return"] == 0.2871
    assert metrics["beta"] is None
    summary = pd.read_csv(root / "pool_metrics_summary.csv")
    assert list(summary["pool"]) == ["A_SHARE", "QDII", "PORTFOLIO"]
    assert summary["annual_return"].dtype == float
    factors = (root / "panel_QDII" / "production_factors.txt").read_text()
    assert factors == "sma_5\nrsi_14\n"  # the catalog's order, which is the panel's
    meta = json.loads((root / "panel_QDII" / "panel_meta.json").read_text())
    assert (meta["rows"], meta["symbols"], meta["factors"]) == (300, 5, 2)


def test_synthetic_runs_say_so_everywhere(root):
    produce(root, is_synthetic=True)
    assert (root / "SYNTHETIC").is_file()
    assert (root.parent / "SYNTHETIC").is_file()
    assert json.loads((root / "manifest.json").read_text())["is_synthetic"] is True
    for path in root.rglob("*.json"):
        assert json.loads(path.read_text())["is_synthetic"] is True, path
    for path in root.rglob("*.csv"):
        assert pd.read_csv(path)["is_synthetic"].all(), path
    for path in root.rglob("*.parquet"):
        query = f"select decode(value) from parquet_kv_metadata('{path}') where decode(key) = ?"
        assert duckdb.execute(query, ["etf_rotation.synthetic"]).fetchall() == [("true",)]


def test_synthetic_and_real_runs_never_share_a_folder(root, tmp_path):
    produce(root)
    with pytest.raises(InputError, match="holds runs on real data"):
        produce(root, is_synthetic=True)
    other = tmp_path / "synthetic" / "etf"
    produce(other, is_synthetic=True)
    with pytest.raises(InputError, match="is for synthetic data"):
        produce(other)


def test_what_changed_since_the_published_run_is_in_manifest_and_messages(root):
    first = produce(root)
    assert first.since is None
    assert manifest.read(root)["since_published"] is None
    added = produce(root, later=1, at=NOON + dt.timedelta(minutes=1))
    line = f"Since run {first.run_id}: history unchanged; added after 2020-02-22: rows 10, funds 10"
    assert line in summary_text(added, settings(root)).splitlines()
    assert line in compose(added, "en").text.splitlines()
    assert "新增 10 行（10 只基金）" in compose(added, "zh").text
    restated = produce(root, later=1, restated=1, at=NOON + dt.timedelta(minutes=2))
    fund = "510003.SH restated from 2020-01-21, rows 1"
    assert f"HISTORY CHANGED ({fund})" in compose(restated, "en").text
    assert manifest.read(root)["since_published"] == {
        "run_id": added.run_id,
        "last_date": "2020-02-22",
        "added_rows": 0,
        "added_funds": 0,
        "restated": [
            {"symbol": "510003.SH", "kind": "restated", "first_date": "2020-01-21", "rows": 1}
        ],
        "is_code_changed": False,
        "settings_changed": [],
    }
    # A failed run says it too: it may be the reason.
    failed = produce(root, status="fail", at=NOON + dt.timedelta(minutes=3))
    assert "510003.SH restated" in compose(failed, "en").text


# ---------------------------------------------------------------- what is not


def test_a_failed_gate_publishes_nothing(root):
    produce(root)
    outcome = produce(root, status="fail", at=NOON + dt.timedelta(hours=1))
    assert (outcome.code, outcome.is_published) == (1, False)
    assert assert_whole(root) == "20260302T120000"
    assert status_of(root, outcome.run_id) == "failed"
    assert (root.parent / "snapshots" / outcome.run_id / "dbt").exists()
    said = summary_text(outcome, settings(root))
    assert "Gate failed, nothing published: BUILD lag_static (" in said
    assert (root.parent / "snapshots" / outcome.run_id / "report.html").is_file()


@pytest.mark.parametrize(
    ("node", "code"),
    [
        (("not_null_key", "fail", "3 rows"), 1),
        (("raw_files", "error", "x.parquet: the file has no bytes"), 2),
        (("some_test", "warn", "2 rows"), 0),
        (("some_model", "skipped", ""), 0),
    ],
)
def test_a_node_that_fails_or_errs_decides_the_code(root, node, code):
    outcome = produce(root, nodes=[node])
    assert outcome.code == code
    assert outcome.is_published is (code == 0)
    assert ("no bytes" in outcome.fault) is (code == 2)


def test_a_full_run_without_a_gate_is_not_published(root):
    class NoGate(FinishedBuild):
        def __call__(self, its_settings, run, before, progress):
            built = super().__call__(its_settings, run, before, progress)
            with duckdb.connect(str(run / "etf_rotation.duckdb")) as connection:
                connection.execute("drop table gate.gate_checks")
            return built

    outcome = Production(settings(root), Progress(), "run", builder=NoGate()).run()
    assert outcome.code == 2
    assert "gate_checks" in outcome.fault
    assert not root.exists()


def test_a_partial_run_never_moves_the_link(root):
    produce(root)
    outcome = produce(root, partial=("--pools",), at=NOON + dt.timedelta(hours=1))
    assert (outcome.code, outcome.is_published) == (0, False)
    assert assert_whole(root) == "20260302T120000"
    assert status_of(root, outcome.run_id) == "partial"
    with pytest.raises(InputError, match="only a passed run"):
        snapshots.restore(root, outcome.run_id)


def test_an_export_out_of_order_fails_the_gate(root, monkeypatch):
    monkeypatch.setattr(
        panel_file, "write", lambda c, query, path, _: _write_reversed(c, query, path)
    )
    outcome = produce(root)
    assert outcome.code == 1
    row = next(row for row in outcome.gate if row["check_name"] == "export_index")
    assert row["status"] == "fail"
    assert "panel_FULL" in row["message"]


def _write_reversed(connection, query, path):
    reversed_query = f"select * from ({query}) order by trade_date desc"
    connection.execute(f"copy ({reversed_query}) to '{path}' (format parquet)")


def test_metadata_that_is_missing_fails_the_gate(root, monkeypatch):
    monkeypatch.setattr(export, "run_metadata", lambda connection: {})
    outcome = produce(root)
    assert outcome.code == 1
    messages = [row["message"] for row in outcome.gate if row["check_name"] == "export_metadata"]
    assert "engine_version is missing" in messages[0]


@pytest.mark.parametrize("kind", ["directory", "file", "foreign link"])
def test_an_output_root_that_is_no_link_of_ours_is_rejected(root, kind):
    root.parent.mkdir()
    if kind == "directory":
        root.mkdir()
    elif kind == "file":
        root.write_text("")
    else:
        root.symlink_to("/tmp")
    with pytest.raises(InputError, match=str(root)):
        snapshots.check_root(root)


# ------------------------------------------------------------- kept, restored, compared


def content_of(root, status="passed"):
    """The fields of a manifest that the publishing functions read."""
    return {
        "status": status,
        "output_root": root.name,
        "is_synthetic": False,
        "partial": [],
        "seconds": 1.0,
        "fault": "",
        "gate": [],
    }


def finished(root, minute, status="passed"):
    """A run directory as one leaves it, without the build."""
    run = snapshots.new_run(root.parent, NOON + dt.timedelta(minutes=minute))
    (run / "pool_metrics_summary.csv").write_text("pool\n")
    manifest.write(run, content_of(root, status))
    if status == "passed":
        snapshots.switch(root, run)
    snapshots.prune(root.parent)
    return run.name


def test_ten_passed_runs_one_partial_and_one_failed_are_kept(root):
    for minute in range(12):
        finished(root, minute)
    for minute in (20, 21):
        finished(root, minute, "failed")
    for minute in (30, 31):
        finished(root, minute, "partial")
    kept = snapshots.runs(root.parent)
    by_status = pd.Series([run["status"] for run in kept]).value_counts().to_dict()
    assert by_status == {"passed": 10, "failed": 1, "partial": 1}
    assert kept[0]["run_id"] == "20260302T120200"
    assert [run["run_id"] for run in kept[-2:]] == ["20260302T122100", "20260302T123100"]


def test_two_output_roots_of_one_folder_keep_ten_each(root):
    other = root.with_name("other")
    for minute in range(12):
        finished(root, minute)
    finished(other, 30)
    names = [run["output_root"] for run in snapshots.runs(root.parent)]
    assert names.count(root.name) == 10
    assert names.count("other") == 1


def test_a_restored_run_is_kept_though_it_is_old(root):
    first = finished(root, 0)
    for minute in range(1, 10):
        finished(root, minute)
    snapshots.restore(root, first)
    # An eleventh that was killed between its manifest and the link.
    run = snapshots.new_run(root.parent, NOON + dt.timedelta(minutes=10))
    manifest.write(run, content_of(root))
    for minute in range(11, 20):
        finished(root, minute, "failed")
    assert snapshots.current(root).name == first
    statuses = [run["status"] for run in snapshots.runs(root.parent)]
    assert (statuses.count("passed"), statuses.count("failed")) == (10, 1)
    # The next passed run moves the link on.
    finished(root, 21)
    assert snapshots.current(root).name == "20260302T122100"


def test_a_changed_run_is_not_restored(root):
    first = produce(root).run_id
    produce(root, at=NOON + dt.timedelta(minutes=1))
    path = root.parent / "snapshots" / first / "pool_metrics_summary.csv"
    path.write_text(path.read_text().replace("0.2871", "0.3871"))
    with pytest.raises(InputError, match=r"pool_metrics_summary.csv: changed"):
        snapshots.restore(root, first)
    with pytest.raises(InputError, match="no finished run"):
        snapshots.restore(root, "../../etc")


def test_diff_shows_metrics_weights_and_factors(root):
    a = produce(root).run_id
    b = produce(root, seed=1, at=NOON + dt.timedelta(minutes=1)).run_id
    with duckdb.connect(str(root / "etf_rotation.duckdb")) as connection:
        connection.execute("alter table signals.factor_panel drop rsi_14")
        connection.execute("alter table signals.factor_panel add column obv double")
        connection.execute(
            "update signals.target_weights set target_weight = 0.3 where symbol < '510001'"
        )
    differences = compare(*(root.parent / "snapshots" / run_id for run_id in (a, b)))
    assert differences["metrics"][0] == {
        "strategy": "rotation",
        "pool": "A_SHARE",
        "metric": "annual_return",
        "a": "0.2871",
        "b": "1.2871000000000001",
        "change": pytest.approx(1.0),
    }
    assert len(differences["metrics"]) == 3
    assert [row["weight_b"] for row in differences["weights"]] == [0.3]
    assert [(row["factor_id"], row["change"]) for row in differences["factors"]] == [
        ("obv", "added"),
        ("rsi_14", "lost"),
    ]


def test_diff_of_a_partial_run_says_what_it_lacks(root):
    a = produce(root).run_id
    b = produce(root, partial=("panels",), at=NOON + dt.timedelta(minutes=1)).run_id
    runs = [root.parent / "snapshots" / run_id for run_id in (a, b)]
    with duckdb.connect(str(runs[1] / "etf_rotation.duckdb")) as connection:
        connection.execute("drop schema marts cascade")
    with pytest.raises(InputError, match=f"run {b} .* without marts.pool_metrics_summary"):
        compare(*runs)


# ---------------------------------------------------------------- the clock


def test_runs_around_midnight_and_new_year_stay_in_order(root):
    times = [
        dt.datetime(2026, 12, 31, 23, 59, 59, tzinfo=SHANGHAI),
        dt.datetime(2027, 1, 1, 0, 0, 0, tzinfo=SHANGHAI),
        dt.datetime(2027, 1, 1, 0, 0, 0, tzinfo=SHANGHAI),
    ]
    ids = [produce(root, at=at).run_id for at in times]
    assert ids == ["20261231T235959", "20270101T000000", "20270101T000000-2"]
    assert [run["run_id"] for run in snapshots.runs(root.parent)] == ids
    assert assert_whole(root) == ids[-1]


def test_a_run_across_midnight_keeps_the_day_it_began(root):
    ticks = iter([dt.datetime(2026, 12, 31, 23, 59, 59, tzinfo=SHANGHAI)])
    later = dt.datetime(2027, 1, 1, 0, 1, 0, tzinfo=SHANGHAI)
    run = Production(
        settings(root), Progress(), "run", lambda: next(ticks, later), FinishedBuild()
    ).run()
    content = manifest.read(root)
    assert run.run_id == "20261231T235959"
    assert content["started_at"] == "2026-12-31T23:59:59+08:00"
    assert content["finished_at"] == "2027-01-01T00:01:00+08:00"


def test_a_clock_that_goes_back_overwrites_nothing(root):
    first = produce(root).run_id
    again = produce(root).run_id
    earlier = produce(root, at=NOON - dt.timedelta(hours=1)).run_id
    assert len({first, again, earlier}) == 3
    assert assert_whole(root) == earlier


def test_run_ids_sort_by_number():
    ids = [f"20260302T120000-{number}" for number in (10, 9, 2)] + ["20260302T120000"]
    assert sorted(ids, key=snapshots.order_of)[-1] == "20260302T120000-10"


# ---------------------------------------------------------------- two at once, readers


def test_a_second_run_is_refused_and_names_the_first(root):
    first = start(root, "--hold", stdin=subprocess.PIPE)
    wait_for(lambda: (root.parent / LOCK_FILE).exists() and (root.parent / LOCK_FILE).read_text())
    second = start(root)
    _, errors = second.communicate(timeout=30)
    assert second.returncode == 2
    assert len(errors.strip().splitlines()) == 1
    assert f"process {first.pid} (run, started 20" in errors
    first.communicate(timeout=30)
    assert first.returncode == 0
    assert_whole(root)


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    said = []
    dead = {"pid": 999999, "command": "run", "started_at": "2026-01-01"}
    (tmp_path / LOCK_FILE).write_text(json.dumps(dead))
    with run_lock(tmp_path, "run", NOON, said.append):
        assert "process 999999" in said[0]
        second = run_lock(tmp_path, "run", NOON, said.append)
        with pytest.raises(RunningError, match=f"process {os.getpid()}"):
            second.__enter__()
    with run_lock(tmp_path, "run", NOON, said.append):
        assert len(said) == 1


def test_a_reader_of_the_old_database_is_not_disturbed(root):
    produce(root)
    with duckdb.connect(str(root / "etf_rotation.duckdb"), read_only=True) as reader:
        query = "select min(annual_return) from backtest.metrics"
        assert produce(root, seed=1, at=NOON + dt.timedelta(minutes=1)).is_published
        assert reader.sql(query).fetchall() == [(0.2871,)]
    with duckdb.connect(str(root / "etf_rotation.duckdb"), read_only=True) as reader:
        assert reader.sql(query).fetchall()[0] == pytest.approx((1.2871,))


def test_a_published_database_that_someone_writes_to_stops_nothing(root):
    produce(root)
    path = root / "etf_rotation.duckdb"
    held = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import duckdb; c = duckdb.connect({str(path)!r}); print(1, flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    held.stdout.readline()
    outcome = produce(root, at=NOON + dt.timedelta(minutes=1))
    held.communicate(b"\n")
    assert outcome.is_published
    assert outcome.metrics_before == []


@pytest.mark.parametrize(
    ("table", "lost"),
    [
        ("staging.raw_rows", "input was"),
        ("gate.run_metadata", "input was"),
        ("marts.pool_metrics_summary", "metrics were"),
    ],
)
def test_a_damaged_published_database_does_not_stop_a_run(root, table, lost, capsys):
    produce(root)
    damage(root.resolve() / "etf_rotation.duckdb", table)
    outcome = produce(root, at=NOON + dt.timedelta(minutes=1))
    assert outcome.is_published
    said = capsys.readouterr().out
    assert f"{lost} not compared: " in said
    assert "Corrupt database file" in said
    assert (outcome.since is None) is (lost == "input was")
    assert (outcome.metrics_before == []) is (lost == "metrics were")
    if lost == "input was":
        for language, line in (("en", "The input was not compared"), ("zh", "输入没有可比较的")):
            assert line in compose(outcome, language).text
        assert "Corrupt database file" in summary_text(outcome, settings(root))
    # The files were written from the new database, which the damaged one did not harm.
    assert assert_whole(root) == outcome.run_id


# ------------------------------------------------------------ killed, no room, no right


def in_a_child(action):
    """Run `action` in a forked process; returns its id. Nothing of the test goes on there."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = action()
        finally:
            os._exit(code)
    return child


def test_killed_at_any_moment_what_is_published_is_whole(root):
    """Twenty kills, most of them while files, manifest and link are written."""
    # Of the size that the children have, so that they find their build finished.
    produce(root, rows=20_000)
    before = assert_whole(root)

    def a_run():
        return produce(root, rows=20_000, at=dt.datetime.now(SHANGHAI)).code

    begin = time.monotonic()
    assert os.waitpid(in_a_child(a_run), 0)[1] == 0
    duration = time.monotonic() - begin
    before = assert_whole(root)

    draw = random.Random(4)
    killed = 0
    for _ in range(20):
        child = in_a_child(a_run)
        time.sleep(draw.uniform(0.1, 1.0) * duration)
        os.kill(child, signal.SIGKILL)
        killed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        after = assert_whole(root)
        assert snapshots.order_of(after) >= snapshots.order_of(before)
        before = after
    assert killed >= 10

    outcome = produce(root, at=dt.datetime.now(SHANGHAI))
    assert outcome.is_published
    assert assert_whole(root) == outcome.run_id
    names = {path.name for path in (root.parent / "snapshots").iterdir()}
    assert names == {run["run_id"] for run in snapshots.runs(root.parent)}
    assert not list(root.parent.glob(".*.new"))


def test_every_step_of_publishing_can_be_the_last(root, monkeypatch):
    """Kill the process at each call that makes a change on disk durable, in turn.

    Each run takes over the files of the first: all of these calls come after they are there.
    """
    outcome = produce(root)
    first, seen = outcome.run_id, set()
    of_the_run = shutil.ignore_patterns("manifest.json")
    written = shutil.copytree(root, root.parents[1] / "written", ignore=of_the_run)

    def filled(production, run, its_outcome):
        shutil.copytree(written, run, dirs_exist_ok=True)
        vars(its_outcome).update(vars(outcome) | {"run_id": run.name, "is_published": False})

    monkeypatch.setattr(Production, "_fill", filled)
    for steps in range(200):

        def dies_after(calls=steps):
            left = iter(range(calls))

            def counted(original):
                def call(*arguments, **keywords):
                    if next(left, None) is None:
                        os._exit(9)
                    return original(*arguments, **keywords)

                return call

            for name in ("fsync", "replace", "symlink"):
                setattr(os, name, counted(getattr(os, name)))
            return produce(root, at=NOON + dt.timedelta(minutes=1)).code

        status = os.waitpid(in_a_child(dies_after), 0)[1]
        run = assert_whole(root)
        if os.waitstatus_to_exitcode(status) == 0:
            break
        seen.add("old" if run == first else "new")
        # Back to the start for the next step.
        snapshots.switch(root, root.parent / "snapshots" / first)
        for left in (root.parent / "snapshots").iterdir():
            if left.name != first:
                shutil.rmtree(left)
    assert seen == {"old", "new"}
    assert steps > 25
    assert run != first


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk_leaves_what_was_published(root, tmp_path):
    root.parent.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(root.parent)]
    if subprocess.run(mounted, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        produce(root)
        used = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
        ballast = root.parent / "ballast"
        for share in (0.02, 0.3, 0.8, 0.95, 0.99):
            free = shutil.disk_usage(root.parent).free
            ballast.write_bytes(b"x" * (free - int(share * used)))
            outcome = produce(root, at=NOON + dt.timedelta(minutes=1))
            assert (outcome.code, outcome.is_published) == (2, False), share
            assert "space" in outcome.fault, outcome.fault
            assert assert_whole(root) == "20260302T120000"
            ballast.unlink()
        assert produce(root, at=dt.datetime.now(SHANGHAI)).is_published
    finally:
        subprocess.run(["umount", "-l", str(root.parent)], check=True)


def test_a_limit_on_file_size_leaves_what_was_published(root):
    produce(root)

    def limit():
        import resource  # noqa: PLC0415

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))

    process = start(root, "--rows", "100000", preexec_fn=limit)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 2, output + errors
    assert assert_whole(root) == "20260302T120000"
    assert produce(root, at=dt.datetime.now(SHANGHAI)).is_published


def test_an_output_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    process = start(tmp_path / "file" / "etf")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert len(errors.strip().splitlines()) == 1
    assert str(tmp_path / "file") in errors


needs_setpriv = pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None,
    reason="nothing binds root to permissions without setpriv",
)


def bound_by_permissions(root):
    """A run without root's rights, whoever runs the tests; returns code, output and errors."""
    prefix = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    process = start(root, prefix=prefix if os.geteuid() == 0 else [])
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


@needs_setpriv
@pytest.mark.parametrize("folder", [".", "snapshots"])
def test_a_read_only_folder_is_one_line_that_names_it(root, folder):
    produce(root)
    closed = root.parent / folder
    closed.chmod(0o555)
    try:
        if folder == ".":
            (root.parent / LOCK_FILE).unlink(missing_ok=True)
        code, _, errors = bound_by_permissions(root)
    finally:
        closed.chmod(0o755)
    assert code == 2
    assert len(errors.strip().splitlines()) == 1
    assert "Permission denied" in errors
    assert str(closed.resolve()) in errors
    assert assert_whole(root) == "20260302T120000"


@needs_setpriv
def test_an_immovable_link_is_reported_and_nothing_is_lost(root):
    produce(root)
    root.parent.chmod(0o555)
    try:
        code, output, _ = bound_by_permissions(root)
    finally:
        root.parent.chmod(0o755)
    assert code == 2
    assert f"nothing published: Permission denied: {root.parent}" in output
    assert assert_whole(root) == "20260302T120000"
    assert produce(root, at=dt.datetime.now(SHANGHAI)).is_published


@needs_setpriv
def test_a_run_that_cannot_be_read_is_kept_and_stops_nothing(root):
    run = root.parent / "snapshots" / produce(root).run_id
    run.chmod(0o000)
    try:
        code, output, _ = bound_by_permissions(root)
    finally:
        run.chmod(0o755)
    assert code == 0
    assert f"Keeping {run}: it cannot be read (Permission denied)." in output
    assert manifest.faults(run) == []
    assert assert_whole(root) != run.name


@needs_setpriv
def test_an_unreadable_published_database_does_not_stop_a_run(root):
    before = produce(root).run_id
    (root / "etf_rotation.duckdb").chmod(0o000)
    code, output, errors = bound_by_permissions(root)
    assert code == 0, output + errors
    for what in ("metrics were", "input was"):
        assert f"{what} not compared: " in output
    assert assert_whole(root) != before


def test_an_interrupted_run_is_kept_as_failed(root):
    class Interrupted(FinishedBuild):
        def __call__(self, *arguments):
            raise KeyboardInterrupt

    outcome = Production(settings(root), Progress(), "run", builder=Interrupted()).run()
    assert (outcome.code, outcome.fault) == (2, "interrupted")
    assert status_of(root, outcome.run_id) == "failed"


def test_checks_see_each_damage_to_a_folder(root):
    produce(root)
    folder = root.resolve()
    for name, check in [
        ("panel_QDII/panel_meta.json", "export_metadata"),
        ("panel_QDII/production_factors.txt", "files_complete"),
        ("panel_A_SHARE/backtest_metrics.json", "files_complete"),
        ("etf_rotation.duckdb", "files_complete"),
    ]:
        kept = (folder / name).read_bytes()
        (folder / name).unlink()
        rows = export_checks.check_folder(folder, is_full=True)
        assert check in {row["check_name"] for row in rows if row["status"] == "fail"}, name
        (folder / name).write_bytes(kept)
    assert {row["status"] for row in export_checks.check_folder(folder, is_full=True)} == {"pass"}


def test_status_words_are_those_of_the_gate(root):
    produce(root)
    rows = export_checks.check_folder(root, is_full=True)
    with duckdb.connect(str(root / "etf_rotation.duckdb"), read_only=True) as connection:
        columns = connection.sql("from gate.gate_checks").columns
    assert all(list(row) == columns for row in rows)
    assert [a["check_name"] != b["check_name"] for a, b in pairwise(rows)]
