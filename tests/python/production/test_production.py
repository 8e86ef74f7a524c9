"""The production command as a process: real dbt builds, from another folder."""

import datetime as dt
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
from conftest import bare_environment, run_here
from etf_rotation.cli.main import cli, main
from etf_rotation.console import Progress, render_table
from etf_rotation.errors import InputError
from etf_rotation.production import manifest, settings, snapshots
from etf_rotation.production.dbt_build import build, plain
from etf_rotation.production.input_changes import InputChanges, since
from etf_rotation.production.run import Production
from etf_rotation.sample import write_sample
from etf_rotation.staging.raw_files import MARKER
from finished_build import FinishedBuild

PROJECT = Path(__file__).parents[3]
COMMAND = PROJECT / "bin" / "etf-rotation"
TOKEN, PASSWORD = "token-5c21d9e7", "pass-9f3a1b"


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample") / "sample"
    write_sample(folder, pools_csv=PROJECT / "seeds" / "etf_pools.csv", sessions=500)
    return folder


@pytest.fixture(scope="module")
def real(sample, tmp_path_factory):
    """The sample without its label, as if it were real data."""
    folder = tmp_path_factory.mktemp("real")
    daily = folder / "ETF" / "daily"
    daily.mkdir(parents=True)
    for path in (sample / "ETF" / "daily").glob("*.parquet"):
        pq.write_table(pq.read_table(path).replace_schema_metadata(), daily / path.name)
    return folder


def run(*arguments, folder, **environment):
    """The command as a process, with only these variables and from another working directory."""
    return subprocess.run(
        [str(COMMAND), *map(str, arguments)],
        cwd=folder,
        env=bare_environment() | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def tree(folder):
    """Name, size and time of the project's files, Python's own caches aside."""
    found = {}
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if not path.is_file() or {"__pycache__", ".venv", ".git"} & set(parts):
            continue
        if not {".pytest_cache", ".ruff_cache"} & set(parts):
            found[path] = (path.stat().st_size, path.stat().st_mtime_ns)
    return found


class Robot(BaseHTTPRequestHandler):
    received: list = []

    def do_POST(self):  # noqa: N802
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.append(json.loads(body)["markdown"])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"errcode": 0}')

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def robot():
    server = HTTPServer(("127.0.0.1", 0), Robot)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Robot.received.clear()
    webhook = f"http://127.0.0.1:{server.server_port}/robot/send?access_token={TOKEN}"
    yield webhook, Robot.received
    server.shutdown()


@pytest.fixture(scope="module")
def published(real, robot, tmp_path_factory):
    """A full run on what counts as real data; returns root, process and the project's files."""
    folder = tmp_path_factory.mktemp("elsewhere")
    root = tmp_path_factory.mktemp("published") / "etf"
    before = tree(PROJECT)
    done = run(
        "run",
        "--output-root",
        root,
        "--as-of",
        "2024-12-30",
        folder=folder,
        ETF_RAW_ROOT=str(real),
        DINGTALK_WEBHOOK=robot[0],
        EMAIL_PASSWORD=PASSWORD,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert tree(PROJECT) == before
    assert list(folder.iterdir()) == []
    return root, done


# ---------------------------------------------------------------- the full run


def test_a_full_run_publishes_every_file(published):
    root, _ = published
    assert manifest.faults(root) == []
    of_pool = {
        "panel_meta.json",
        "production_factors.txt",
        "backtest_results.parquet",
        "backtest_metrics.json",
        "capacity_constraints_report.json",
    }
    for pool in ("A_SHARE", "QDII", "OTHER"):
        names = {path.name for path in (root / f"panel_{pool}").iterdir()}
        assert of_pool < names
        assert len(names) == 7
    assert (root / "gate_report" / "index.html").is_file()
    assert {path.name for path in root.iterdir()} == {
        "etf_rotation.duckdb",
        "gate_report",
        "manifest.json",
        "panel_A_SHARE",
        "panel_OTHER",
        "panel_QDII",
        "pool_metrics_summary.csv",
        "report.html",
    }


def test_files_say_what_the_database_says(published):
    root, _ = published
    with duckdb.connect(str(root / "etf_rotation.duckdb"), read_only=True) as connection:
        panel = connection.sql(
            "from signals.factor_panel where pool = 'QDII' order by symbol, trade_date"
        ).df()
        factors = connection.sql(
            "select factor_id from signals.factor_summary where pool = 'QDII' and is_production"
        ).fetchall()
        equity = connection.sql(
            "select sum(equity) from backtest.equity_daily "
            "where strategy = 'rotation' and pool = 'QDII'"
        ).fetchall()[0][0]
    folder = root / "panel_QDII"
    exported = pd.read_parquet(next(folder.glob("panel_FULL_*.parquet")))
    for column in ("trade_date", "as_of_date"):
        exported[column] = pd.to_datetime(exported[column])
    pd.testing.assert_frame_equal(exported, panel, check_dtype=False, check_exact=True)
    assert exported.shape[1] == 279
    listed = (folder / "production_factors.txt").read_text().splitlines()
    assert sorted(listed) == sorted(row[0] for row in factors)
    assert [name for name in exported.columns if name in listed] == listed
    results = pd.read_parquet(folder / "backtest_results.parquet")
    assert results["equity"].sum() == pytest.approx(equity, rel=1e-12)
    held = results["positions"].map(lambda rows: sum(row["market_value"] for row in rows))
    assert (held - results["holdings_value"]).abs().max() < 0.01
    capacity = json.loads((folder / "capacity_constraints_report.json").read_text())
    assert capacity["pool_capacity"][0]["capacity_cny"] > 0


def test_metadata_is_complete(published):
    root, _ = published
    meta = json.loads((root / "panel_A_SHARE" / "panel_meta.json").read_text())
    assert meta["last_date"] == "2024-12-31"  # the session after as_of
    catalog = (PROJECT / "seeds" / "factor_catalog.csv").read_text(encoding="utf-8")
    assert meta["factors"] == len(catalog.splitlines()) - 1
    assert meta["is_synthetic"] is False
    assert len(meta["input_fingerprint"]) == 64
    written = json.loads((root / "manifest.json").read_text())
    assert written["code_version"] == meta["code_version"]
    assert written["input_fingerprint"] == meta["input_fingerprint"]
    assert written["vars"]["as_of"] == "2024-12-30"
    assert written["row_counts"]["signals.factor_panel"] > 20_000
    database = root / "etf_rotation.duckdb"
    with duckdb.connect(str(database), read_only=True) as connection:
        same = since(connection, database, "2024-12-30")
    assert same == InputChanges(root.resolve().name, "2024-12-30")


def test_the_run_shows_progress_and_closing_tables(published):
    _, done = published
    out = done.stdout
    assert "nodes" in out
    for word in ("Gate: ", "annual return", "Orders for the open of ", "Published "):
        assert word in out, word
    assert done.stderr == ""


def test_the_robot_is_told_and_nothing_shows_a_secret(published, robot):
    root, done = published
    (message,) = robot[1][:1]
    assert message["title"].startswith("ETF rotation: published, data to 2024-12-30")
    assert "annual return" in message["text"]
    texts = [done.stdout, done.stderr]
    binary = [path.read_bytes() for path in root.parent.rglob("*") if path.is_file()]
    for secret in (TOKEN, PASSWORD):
        assert not any(secret in text for text in texts)
        assert not any(secret.encode() in content for content in binary)


def test_the_read_commands_show_the_published_run(published, capsys):
    root, _ = published
    run_id = snapshots.current(root).name
    place = ["--output-root", str(root)]
    assert main(["list", *place]) == 0
    assert re.search(rf"\* +{run_id} +passed", capsys.readouterr().out)
    assert main(["gate", *place]) == 0
    out = capsys.readouterr().out
    assert "export_index" in out
    assert "lag_dynamic" in out
    assert main(["gate", "--output-dir", str(root)]) == 0
    assert main(["gate", "--database", str(root / "etf_rotation.duckdb")]) == 0
    capsys.readouterr()
    assert main(["pools", *place]) == 0
    assert "PORTFOLIO" in capsys.readouterr().out
    assert main(["diff", run_id, run_id, *place]) == 0
    assert "metrics: 0 differ" in capsys.readouterr().out
    assert main(["restore", run_id, *place]) == 0
    assert main(["restore", "20000101T000000", *place]) == 2
    assert "no finished run" in capsys.readouterr().err


def test_the_read_commands_speak_the_chosen_language(published, capsys, monkeypatch, tmp_path):
    root, _ = published
    run_id = snapshots.current(root).name
    place = ["--output-root", str(root)]
    monkeypatch.setenv("ETF_LANGUAGE", "zh")
    for command, expected in (
        (["list"], f"* 已发布：{root}"),
        (["diff", run_id, run_id], "指标：0 处不同"),
        (["restore", run_id], f"已重新发布 {run_id}：{root}"),
    ):
        assert main([*command, *place]) == 0
        assert expected in capsys.readouterr().out
    elsewhere = tmp_path / "factor_output" / "production"
    assert main(["list", "--output-root", str(elsewhere)]) == 0
    assert f"{elsewhere} 尚未发布任何结果" in capsys.readouterr().out


# ---------------------------------------------------------------- what dbt parsed before


def project_in(folder):
    """A copy of the project that a test may change."""
    folder.mkdir()
    for name in ("models", "macros", "seeds", "tests"):
        shutil.copytree(PROJECT / name, folder / name)
    for name in ("dbt_project.yml", "profiles.yml", "selectors.yml"):
        shutil.copy(PROJECT / name, folder)
    (folder / "python").symlink_to(PROJECT / "python")
    return folder


def built(base, project, number, **dbt_vars):
    """Build two tables as a full run would; returns of them, and whether all was parsed."""
    run = base / "snapshots" / f"2026030{number}T120000"
    run.mkdir(parents=True)
    its_settings = settings.Settings(
        project=project,
        raw_root=base,
        output_root=base / "etf",
        is_synthetic=False,
        dbt_vars=dbt_vars,
        language="en",
        select=("run_settings", "price_limits"),
    )
    done = build(its_settings, run, None, Progress(io.StringIO()))
    assert done.notable == ()
    assert not (base / ".building.new").is_symlink()
    with duckdb.connect(str(run / "etf_rotation.duckdb"), read_only=True) as connection:
        found = connection.sql("from staging.run_settings").df().iloc[0]
        (limit,) = connection.execute(
            "select price_limit from seeds.price_limits where symbol = '159915.SZ'"
        ).fetchall()[0]
    log = (run / "dbt" / "logs" / "dbt.log").read_text()
    return found, float(limit), "Unable to do partial parsing" in log


def test_the_previous_parse_result_is_reused_and_never_stale(tmp_path, monkeypatch):
    project, base = project_in(tmp_path / "project"), tmp_path / "out"
    found, limit, is_parsed_whole = built(base, project, 1)
    assert is_parsed_whole
    assert (found["target_name"], found["universe"]) == ("prod", "pools")
    # The raw root was named: no synthetic data may stand in for it.
    assert not isinstance(found["sample_root"], str)

    monkeypatch.setenv("ETF_UNIVERSE", "all")
    model, seed = project / "models/staging/run_settings.sql", project / "seeds/price_limits.csv"
    model.write_text(model.read_text().replace("'{{ target.name }}' as", "'other' as"))
    seed.write_text(seed.read_text().replace("0.20", "0.21"))
    found, limit, is_parsed_whole = built(base, project, 2)
    assert not is_parsed_whole
    assert (found["target_name"], found["universe"], limit) == ("other", "all", 0.21)
    assert found["data_docs"].endswith("20260302T120000/gate_report")

    # Another var, and half a file.
    (kept,) = base.glob(".parsed_*")
    kept.write_bytes(kept.read_bytes()[:1000])
    found, limit, _ = built(base, project, 3, min_adv_cny=7)
    assert (found["min_adv_cny"], limit) == (7, 0.21)

    # The same project at another place has seeds of its own.
    _, limit, is_parsed_whole = built(base, project_in(tmp_path / "moved"), 4, min_adv_cny=7)
    assert is_parsed_whole
    assert limit == 0.2


# ---------------------------------------------------------------- parts


@pytest.fixture(scope="module")
def parts(sample, tmp_path_factory):
    return tmp_path_factory.mktemp("parts") / "synthetic" / "etf", sample


def test_a_panel_of_funds_one_names(parts, published, tmp_path):
    root, sample = parts
    arguments = ["--raw-root", sample, "--output-root", root, "--output-dir", tmp_path / "out"]
    symbols = ["--symbols", "510300.SH,513100.SH,518880.SH", "--pool-name", "MINE"]
    done = run("panels", *symbols, *arguments, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "out" / "panel_MINE"
    panel = pd.read_parquet(next(folder.glob("panel_FULL_*.parquet")))
    assert set(panel["symbol"]) == {"510300.SH", "513100.SH", "518880.SH"}
    assert set(panel["pool"]) == {"MINE"}
    assert (tmp_path / "out" / MARKER).is_file()
    assert json.loads((folder / "panel_meta.json").read_text())["is_synthetic"] is True
    assert not root.exists()
    assert main(["gate", "--output-dir", str(tmp_path / "out")]) == 0
    (folder / "production_factors.txt").unlink()
    assert main(["gate", "--output-dir", str(tmp_path / "out")]) == 1
    # A fund's own factors do not depend on the other funds of its pool.
    alone = panel[panel["symbol"] == "513100.SH"].set_index("trade_date")["rsi_14"]
    theirs = pd.read_parquet(next((published[0] / "panel_QDII").glob("panel_FULL_*.parquet")))
    theirs = theirs[theirs["symbol"] == "513100.SH"].set_index("trade_date")["rsi_14"]
    both = pd.concat([alone, theirs], axis=1, join="inner").dropna()
    assert len(both) > 400
    assert (both.iloc[:, 0] == both.iloc[:, 1]).all()


def test_backtest_only_of_one_pool(parts, tmp_path):
    root, sample = parts
    place = ["--raw-root", sample, "--output-root", root]
    done = run("backtest", "--pools", "QDII", *place, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SYNTHETIC DATA" in done.stdout
    assert "Not published (--pools, backtest)" in done.stdout
    snapshot = snapshots.runs(root.parent)[-1]
    files = snapshot["files"]
    assert "panel_QDII/backtest_metrics.json" in files
    assert "panel_QDII/capacity_constraints_report.json" in files
    assert not root.exists()


class WithoutCapacity(FinishedBuild):
    """Leaves what a build leaves that skips the capacity."""

    def __call__(self, its_settings, run, before, progress):
        assert its_settings.exclude == ("path:models/capacity+",)
        built = super().__call__(its_settings, run, before, progress)
        with duckdb.connect(str(run / "etf_rotation.duckdb")) as connection:
            connection.execute("drop schema capacity cascade")
        return built


@pytest.mark.parametrize("skipped", ["backtest", "capacity"])
def test_a_run_that_skips_is_not_published(parts, robot, tmp_path, monkeypatch, skipped):
    root, sample = parts
    if skipped == "capacity":
        # One real build shows that dbt excludes what is skipped and all that reads it.
        production = partial(Production, builder=WithoutCapacity())
        monkeypatch.setattr("etf_rotation.cli.run.Production", production)
    place = ["--raw-root", sample, "--output-root", root]
    told = len(robot[1])
    arguments = ["run", f"--skip-{skipped}", "--pools", "QDII", *place]
    done = run_here(*arguments, folder=tmp_path, DINGTALK_WEBHOOK=robot[0])
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Not published (--skip-{skipped}, --pools)" in done.stdout
    assert "nobody is notified" in done.stdout
    assert len(robot[1]) == told
    files = snapshots.runs(root.parent)[-1]["files"]
    assert ("panel_QDII/backtest_metrics.json" in files) is (skipped == "capacity")
    assert "panel_QDII/capacity_constraints_report.json" not in files
    assert not root.exists()


# ---------------------------------------------------------------- what cannot run


def damaged(real, folder):
    shutil.copytree(real, folder)
    path = next((folder / "ETF" / "daily").glob("510300.SH*"))
    path.write_bytes(b"")
    return path.name


def test_bad_input_ends_with_one_line_and_a_message(real, published, robot, tmp_path):
    name = damaged(real, tmp_path / "bad")
    root = published[0]
    before = snapshots.current(root)
    done = run_here(
        "run",
        "--output-root",
        root,
        "--raw-root",
        tmp_path / "bad",
        folder=tmp_path,
        DINGTALK_WEBHOOK=robot[0],
        ETF_LANGUAGE="zh",
    )
    assert done.returncode == 2
    assert f"raw_files: {name}: the file has no bytes; fetch it again or remove it" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert robot[1][-1]["title"] == "ETF 轮动：运行失败，未发布"
    assert name in robot[1][-1]["text"]
    assert snapshots.current(root) == before
    assert manifest.faults(root) == []


def test_a_killed_build_is_cleaned_up_by_the_next(real, published, tmp_path):
    root = published[0]
    before = snapshots.current(root)
    arguments = [str(COMMAND), "run", "--raw-root", str(real), "--output-root", str(root)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    while "nodes" not in process.stdout.readline():
        pass
    process.kill()
    process.communicate()
    assert snapshots.current(root) == before
    assert manifest.faults(root) == []
    (left,) = [
        p for p in (root.parent / "snapshots").iterdir() if not (p / "manifest.json").exists()
    ]
    said = []
    snapshots.clean_up(root.parent, said.append)
    assert not left.exists()
    assert said == [f"Removing {left.name}, which a run left unfinished."]


def test_an_interrupted_build_is_told(real, robot, tmp_path):
    arguments = [str(COMMAND), "run", "--raw-root", str(real), "--output-root", str(tmp_path / "e")]
    environment = {"PATH": os.environ["PATH"], "DINGTALK_WEBHOOK": robot[0]}
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    )
    while "nodes" not in process.stdout.readline():
        pass
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 2
    assert "interrupted" in robot[1][-1]["text"]
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["run", "--pools", "NOPE"], "no pool NOPE"),
        (["run", "--as-of", "today"], "as_of is 'today'"),
        (["run", "--vars", "[1]"], "YAML mapping"),
        (["run", "--vars", "{slipage_bps: 3}"], "no var slipage_bps; did you mean slippage_bps"),
        (["run", "--vars", "{slippage_bps: abc}"], "slippage_bps is 'abc', which must be a number"),
        (
            ["panels", "--symbols", "510300", "--pool-name", "X"],
            "510300 is no symbol like 510300.SH",
        ),
        (["panels", "--symbols", ",", "--pool-name", "X"], "--symbols names no fund"),
        (["run", "--vars", "{language: fr}"], "language is 'fr'"),
        (["panels", "--symbols", "510300.SH"], "go together"),
        (["panels", "--symbols", "A", "--pool-name", "X", "--pools", "QDII"], "leave --pools out"),
        (["panels", "--output-dir", "snapshots/20240101T000000"], "stays as it is"),
        (["panels", "--symbols", "999999.SH", "--pool-name", "X"], "no file of 999999.SH"),
        (["panels", "--symbols", "510300.SH", "--pool-name", "../x"], "1 to 40 of the characters"),
        (["gate", "--database", "/nowhere.duckdb"], "no database /nowhere.duckdb"),
        (["diff", "A", "B"], "no finished run A"),
    ],
)
def test_a_wrong_option_is_one_line(sample, tmp_path, arguments, fault):
    place = ["--output-root", str(tmp_path / "etf")]
    place += ["--raw-root", str(sample)] if arguments[0] in ("run", "panels") else []
    done = run_here(*arguments, *place, folder=tmp_path)
    assert done.returncode == 2
    assert fault in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_no_data_is_told_too(robot, tmp_path):
    done = run_here(
        "run",
        "--raw-root",
        tmp_path,
        "--output-root",
        tmp_path / "etf",
        folder=tmp_path,
        DINGTALK_WEBHOOK=robot[0],
    )
    assert done.returncode == 2
    assert "no raw data" in done.stderr
    assert "no raw data" in robot[1][-1]["text"]


def test_a_dry_run_does_nothing(sample, tmp_path):
    done = run_here(
        "run",
        "--dry-run",
        "--raw-root",
        sample,
        "--output-root",
        tmp_path / "etf",
        folder=tmp_path,
        DINGTALK_WEBHOOK=f"http://127.0.0.1:9/?access_token={TOKEN}",
    )
    assert done.returncode == 0, done.stderr
    assert "SYNTHETIC DATA" in done.stdout
    assert "notified by: dingtalk" in done.stdout
    assert TOKEN not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_test_message(robot, tmp_path):
    done = run("notify-test", folder=tmp_path, DINGTALK_WEBHOOK=robot[0], ETF_LANGUAGE="zh")
    assert done.returncode == 0, done.stdout
    assert robot[1][-1]["title"] == "ETF 轮动：测试消息"
    done = run_here("notify-test", folder=tmp_path)
    assert done.returncode == 2
    assert "No notification is configured" in done.stdout


@pytest.mark.parametrize("command", ["", *cli.commands])
def test_every_command_has_help(command, capsys):
    assert main([*filter(None, [command]), "--help"]) == 0
    out = capsys.readouterr().out
    assert "Exit codes: 0" in out
    assert f"Usage: etf-rotation {command}".rstrip() in out


# ---------------------------------------------------------------- small parts


def test_a_seed_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "etf_pools.csv").write_bytes("symbol,名称\n".encode("gbk"))
    with pytest.raises(InputError, match="seeds/etf_pools.csv: not UTF-8; save it as CSV UTF-8"):
        settings.check_seeds_are_text(tmp_path)


def test_fetch_writes_where_a_build_reads(monkeypatch):
    environment = {"ETF_RAW_ROOT": "/environment"}
    assert settings.raw_folder("/option", environment) == Path("/option")
    assert settings.raw_folder(None, environment) == Path("/environment")
    assert settings.raw_folder(None, {}) == PROJECT / "raw"
    monkeypatch.setattr(settings, "project_vars", lambda: {"raw_root": "/project"})
    assert settings.raw_folder(None, environment) == Path("/project")


def test_settings_prefer_the_command_line_to_vars_to_the_environment(sample, tmp_path):
    environment = {"ETF_AS_OF": "2024-01-05", "ETF_POOLS": "OTHER", "ETF_RAW_ROOT": "nowhere"}
    given = {
        "raw_root": str(sample),
        "output_root": str(tmp_path / "etf"),
        "as_of": "20240301",
        "vars": "{pools: [QDII, OTHER], as_of: 2024-02-01, backtest_start: 2020-01-01}",
    }
    settled = settings.resolve(given, environment)
    assert settled.dbt_vars["as_of"] == "2024-03-01"
    assert settled.dbt_vars["pools"] == "QDII,OTHER"
    assert settled.dbt_vars["backtest_start"] == "2020-01-01"
    assert settled.partial == ("--pools",)
    assert settled.is_synthetic


def test_settings_prefer_a_var_of_the_project_to_the_environment(sample, tmp_path, monkeypatch):
    """As in dbt, whose var() has the same precedence."""
    raw = os.path.relpath(sample, PROJECT)
    declared = {"pools": "QDII", "language": "zh", "raw_root": raw, "as_of": dt.date(2024, 3, 1)}
    monkeypatch.setattr(settings, "project_vars", lambda: declared)
    monkeypatch.chdir(tmp_path)
    environment = {
        "ETF_POOLS": "OTHER",
        "ETF_LANGUAGE": "en",
        "ETF_RAW_ROOT": "/nowhere",
        "ETF_AS_OF": "2024-01-05",
        "ETF_OUTPUT_ROOT": str(tmp_path / "etf"),
    }
    settled = settings.resolve({}, environment)
    assert settled.dbt_vars["pools"] == "QDII"
    assert settled.dbt_vars["as_of"] == "2024-03-01"
    assert settled.partial == ("--pools",)
    assert settled.language == "zh"
    assert settled.raw_root == PROJECT / raw


def test_options_that_make_a_run_partial(sample, tmp_path):
    given = {"raw_root": str(sample), "output_root": str(tmp_path / "etf")}
    assert settings.resolve(given, {}).partial == ()
    for name in ("skip_backtest", "skip_capacity", "skip_snapshot"):
        settled = settings.resolve(given | {name: True}, {})
        assert settled.partial == (f"--{name.replace('_', '-')}",)
    assert settings.resolve(given, {"ETF_POOLS": "QDII"}).partial == ("--pools",)


def test_a_raw_root_that_was_named_is_never_replaced_by_the_sample(sample, tmp_path, monkeypatch):
    shutil.copytree(sample, tmp_path / "sample")
    shutil.copy(PROJECT / "dbt_project.yml", tmp_path)
    monkeypatch.setattr(settings, "PROJECT", tmp_path)
    assert settings.resolve({}, {}).is_synthetic
    empty = tmp_path / "not mounted"
    for given, environment in (({"raw_root": empty}, {}), ({}, {"ETF_RAW_ROOT": str(empty)})):
        with pytest.raises(InputError, match="no raw data: .*not mounted"):
            settings.resolve(given, environment)


def test_synthetic_data_has_an_output_root_of_its_own(sample):
    settled = settings.resolve({"raw_root": str(sample)}, {})
    assert settled.output_root == PROJECT / "factor_output/synthetic/etf_rotation_production"


def test_relative_paths_are_the_callers(sample, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settled = settings.resolve({"raw_root": str(sample), "output_root": "out/etf"}, {})
    assert settled.output_root == tmp_path / "out" / "etf"
    with pytest.raises(InputError, match="no raw data"):
        settings.resolve({"raw_root": "nothing", "output_root": "out/etf"}, {})


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        (
            "Runtime Error in model raw_files (models/x.py)\n  Python model failed:\n  "
            "InputError: a.parquet: empty; fetch it",
            "a.parquet: empty; fetch it",
        ),
        (
            "Runtime Error in model x (models/x.py)\n  Python model failed:\n  Traceback (most "
            'recent call last):\n    File "/tmp/a.py", line 1\n  KeyError: 1',
            "Runtime Error in model x (models/x.py): KeyError: 1",
        ),
        ("Got 3 results, configured to fail if != 0\n\n  compiled code at /tmp/x", None),
    ],
)
def test_messages_of_dbt_become_one_line(message, wanted):
    assert plain(message) == (wanted or "Got 3 results, configured to fail if != 0")


def test_tables_line_up_with_chinese_text():
    text = render_table(["name", "value"], [["沪深300ETF", 1.5], ["x", None], ["y", 12345.6]])
    assert text.splitlines() == [
        "name          value",
        "───────────────────",
        "沪深300ETF   1.5000",
        "x",
        "y            12,346",
    ]


def test_the_command_without_an_environment_says_how_to_make_one(tmp_path):
    shutil.copytree(PROJECT / "bin", tmp_path / "bin")
    done = subprocess.run(
        [str(tmp_path / "bin" / "etf-rotation"), "list"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "bin/setup" in done.stderr


def test_read_only_commands_import_no_heavy_modules():
    """Read-only commands must not import dbt."""
    code = "import sys, etf_rotation.cli.main; print({'dbt.cli', 'pandas'} & set(sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "python")}
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == "set()"
    assert time.monotonic() - begin < 10
