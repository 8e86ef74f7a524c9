"""From an empty folder to a published run: fetch, run, the next day, a restatement."""

import datetime as dt
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pyarrow.parquet as pq
import pytest
from conftest import PROJECT, SEEDS, bare_environment, run_here
from etf_rotation.errors import InputError
from etf_rotation.fetch import command, store
from etf_rotation.fetch.command import SHANGHAI
from etf_rotation.fetch.texts import RefusedError
from etf_rotation.notification.messages import compose
from etf_rotation.production.lock import raw_read_lock
from etf_rotation.production.run import Outcome
from etf_rotation.sample import write_sample
from vendors import TOKEN, Bar, Market, Vendors, rounded

COMMAND = PROJECT / "bin" / "etf-rotation"
RESTATED = "510300.SH"


def market_of(sample):
    """The facts behind a synthetic sample, whose funds split, pay out, pause and end."""
    seed = duckdb.sql(
        f"select symbol, trade_date, share_ratio from '{SEEDS / 'corporate_actions.csv'}'"
    ).fetchall()
    ratios = {(symbol, day): float(ratio) for symbol, day, ratio in seed}
    market = Market()
    for path in sorted((sample / "ETF" / "daily").glob("*.parquet")):
        rows = [row for row in pq.read_table(path).to_pylist() if row["vol"]]
        symbol, bars = rows[0]["ts_code"], []
        for row in rows:
            day = dt.datetime.strptime(row["trade_date"], "%Y%m%d").date()
            prices = [row[name] for name in ("open", "high", "low", "close", "pre_close")]
            shares, money = round(row["vol"] * 100), rounded(row["amount"] * 1000, 2)
            if bars:
                before, ratio = bars[-1].close, bars[-1].close / row["pre_close"]
                if (symbol, day) in ratios or abs(ratio - 1) > 0.15:
                    market.splits[symbol, day] = ratios.get((symbol, day), ratio)
                elif abs(ratio - 1) > 1e-9:
                    market.dividends[symbol, day] = rounded(before - row["pre_close"])
            bars.append(Bar(day, *prices, shares, money))
        market.bars[symbol] = bars
    return market


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    folder = tmp_path_factory.mktemp("facts") / "sample"
    write_sample(folder, pools_csv=SEEDS / "etf_pools.csv", sessions=500)
    return market_of(folder)


def last_days(market):
    return sorted({bar.date for bars in market.bars.values() for bar in bars})[-3:]


def run(folder, settings, *arguments, **more):
    return subprocess.run(
        [str(COMMAND), *map(str, arguments)],
        cwd=folder,
        env={**bare_environment(), "ETF_FETCH_SPACING": "0", **settings, **more},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def counts(root):
    return {
        path.name: pq.read_metadata(path).num_rows for path in store.daily(root).glob("*.parquet")
    }


@pytest.fixture(scope="module")
def story(market, tmp_path_factory):
    """Two days of a newcomer; each step's process and what the raw folder then held."""
    folder = tmp_path_factory.mktemp("newcomer")
    root, output = folder / "raw", folder / "published" / "etf"
    _, before, last = last_days(market)
    steps, held = {}, {}
    with Vendors(market).serve() as urls:
        settings = {**urls, "ETF_RAW_ROOT": str(root)}

        def step(name, *arguments, in_a_process=False):
            if in_a_process:
                steps[name] = run(folder, settings, *arguments)
            else:
                steps[name] = run_here(*arguments, folder=folder, ETF_FETCH_SPACING="0", **settings)
            held[name] = counts(root)

        step("first fetch", "fetch", "--to", before, in_a_process=True)
        first = ("run", "--as-of", before, "--output-root", output)
        step("first run", *first, in_a_process=True)
        step("next fetch", "fetch", "--to", last)
        old = next(bar for bar in market.bars[RESTATED] if bar.date == before)
        low = rounded(old.low - 0.001)
        market.change(RESTATED, before, low=low)
        step("restated", "fetch", "--to", last)
        accept = ("fetch", "--to", last, "--accept-restatement", RESTATED)
        step("accepted", *accept)
        summary = folder / "summary"
        summary.write_text("Fetched 47 funds\n  gained (47): rows 47\n")
        steps["next run"] = run_here(
            *("run", "--as-of", last, "--output-root", output),
            folder=folder,
            **settings,
            ETF_FETCH_SUMMARY=str(summary),
        )
        market.change(RESTATED, before, low=old.low)
    return SimpleNamespace(
        folder=folder,
        root=root,
        output=output,
        steps=steps,
        held=held,
        days=(before, last),
        low=low,
    )


def said(step):
    return f"{step.stdout}\n{step.stderr}"


def test_fetch_then_run_publishes_from_an_empty_folder(story):
    fetched, published = story.steps["first fetch"], story.steps["first run"]
    assert fetched.returncode == 0, said(fetched)
    assert len(story.held["first fetch"]) == 47
    assert "Next: bin/etf-rotation run" in fetched.stdout
    assert published.returncode == 0, said(published)
    assert "Published " in published.stdout
    assert story.output.is_symlink()


def test_fetched_rows_pass_the_quarantine_and_the_gate(story, market):
    database = story.output / "etf_rotation.duckdb"
    with duckdb.connect(str(database), read_only=True) as connection:
        assert connection.sql("select count(*) from staging.quarantine").fetchall() == [(0,)]
        bars = connection.sql("select count(*) from staging.stg_etf_daily").fetchall()[0][0]
        adjusted = connection.sql("""
            select symbol, trade_date, adj / lag(adj) over (
                partition by symbol order by trade_date
            ) as ratio
            from staging.stg_etf_daily
            qualify abs(ratio - 1) > 1e-9
        """).fetchall()
    last = story.days[1]
    facts = [bar for bars in market.bars.values() for bar in bars if bar.date <= last]
    assert bars == len(facts)
    found = {(symbol, day): ratio for symbol, day, ratio in adjusted}
    actions = market.splits.keys() | market.dividends.keys()
    assert found.keys() == {(symbol, day) for symbol, day in actions if day <= last}
    for (symbol, day), cash in market.dividends.items():
        row = [bar.date for bar in market.bars[symbol]].index(day)
        before = market.bars[symbol][row - 1].close
        assert found[symbol, day] == pytest.approx(before / (before - cash), rel=0.001)
    for key, ratio in market.splits.items():
        assert found[key] == pytest.approx(ratio, rel=0.001)


def test_the_next_days_fetch_adds_one_session_to_each_file(story, market):
    assert story.steps["next fetch"].returncode == 0, said(story.steps["next fetch"])
    before, last = story.days
    for name, rows in story.held["next fetch"].items():
        symbol = name.removesuffix("_daily.parquet")
        traded = any(bar.date == last for bar in market.bars[symbol])
        assert rows - story.held["first fetch"][name] == traded, name


def test_a_restated_bar_is_refused_accepted_and_named_by_the_next_run(story):
    before, _ = story.days
    refused, accepted, next_run = (story.steps[n] for n in ("restated", "accepted", "next run"))
    assert refused.returncode == 1
    assert f"{RESTATED} {before} low: " in refused.stdout
    assert f"restated, not written (1): {RESTATED} (from {before}, rows 1)" in refused.stdout
    assert accepted.returncode == 0, said(accepted)
    assert next_run.returncode == 0, said(next_run)
    assert f"HISTORY CHANGED ({RESTATED} restated from {before}, rows 1)" in next_run.stdout
    manifest = json.loads((story.output / "manifest.json").read_text())
    (since,) = manifest["since_published"]["restated"]
    assert (since["symbol"], since["first_date"], since["rows"]) == (RESTATED, str(before), 1)


def test_status_and_the_chinese_summary_come_out_of_the_command(story, market):
    settings = {"ETF_RAW_ROOT": str(story.root), "ETF_LANGUAGE": "zh"}
    shown = run(story.folder, settings, "fetch", "--status")
    assert shown.returncode == 0
    assert f"原始数据：{story.root}" in shown.stdout
    (line,) = [line for line in shown.stdout.splitlines() if line.startswith(RESTATED)]
    assert line.split()[1:] == [str(story.days[1]), "eastmoney", "已是最新"]


def test_the_summary_of_fetch_is_in_the_notification(tmp_path):
    outcome = Outcome(fetched="Fetched 47 funds\n  gained (46): rows 46\n  late (1): 513100.SH")
    text = compose(outcome, "en").text
    assert "**Fetched 47 funds**\n\n- gained (46): rows 46\n- late (1): 513100.SH" in text
    assert "Fetched" not in compose(Outcome(), "en").text


# -- what happens at the same time -----------------------------------------------------


def start(folder, settings, *arguments):
    return subprocess.Popen(
        [str(COMMAND), *map(str, arguments)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_fetch_leaves_complete_files_and_the_next_one_continues(market, tmp_path):
    last = last_days(market)[-1]
    root = tmp_path / "raw"
    vendors = Vendors(market)
    with vendors.serve() as urls:
        settings = {**urls, "ETF_RAW_ROOT": str(root), "TUSHARE_TOKEN": TOKEN}
        for number in (5, 20):
            process = start(
                tmp_path, settings | {"ETF_FETCH_SPACING": "0.02"}, "fetch", "--to", last
            )
            try:
                wait_for(
                    lambda number=number: (
                        len(list(store.daily(root).glob("[!.]*.parquet"))) >= number
                    )
                )
                process.send_signal(signal.SIGKILL)
            finally:
                process.kill()
                process.communicate()
            held = counts(root)
            assert number <= len(held) < 47
            for name, rows in held.items():
                symbol = name.removesuffix("_daily.parquet")
                assert rows == sum(bar.date <= last for bar in market.bars[symbol])
        done = run(tmp_path, settings, "fetch", "--to", last)
    assert done.returncode == 0, said(done)
    assert len(counts(root)) == 47
    assert not list(store.daily(root).glob(".*"))
    for path in root.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()
    assert TOKEN not in said(done)


def test_a_second_fetch_and_a_run_wait_for_the_first(tmp_path):
    root = tmp_path / "raw"
    now = dt.datetime.now(SHANGHAI)
    with command.lock(root, "fetch", now):
        with pytest.raises(RefusedError, match=rf"in use by process {os.getpid()} \(fetch"):
            command.lock(root, "fetch", now).__enter__()
        with pytest.raises(InputError, match="raw files in .* are being written by process"):
            raw_read_lock(root).__enter__()
        (store.daily(root) / "510300.SH.parquet").write_bytes(b"x")
        done = run(
            tmp_path, {"ETF_RAW_ROOT": str(root)}, "run", "--output-root", tmp_path / "out" / "etf"
        )
        assert done.returncode == 2
        assert "are being written by process" in done.stderr
    in_use = pytest.raises(RefusedError, match="in use by ")
    with raw_read_lock(root), raw_read_lock(root), in_use:
        command.lock(root, "fetch", now).__enter__()
    with command.lock(root, "import", now):
        pass


def test_a_folder_without_a_fetch_needs_no_lock(tmp_path):
    with raw_read_lock(tmp_path):
        pass
    assert list(Path(tmp_path).iterdir()) == []
