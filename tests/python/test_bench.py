"""The benchmark's own parts: grown data, the clock over dbt's nodes, the peer's values, pages."""

import datetime as dt
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import PROJECT
from etf_rotation.errors import InputError
from etf_rotation.staging.trading_calendar import sessions_between
from reference_factors import reference_factors

BENCH = PROJECT / "benchmarks"
sys.path[:0] = [str(BENCH), str(BENCH / "peers")]

import agreement  # noqa: E402
import bars as peer_bars  # noqa: E402
import bench  # noqa: E402
import grow  # noqa: E402
import measure  # noqa: E402
import pages  # noqa: E402
import talib_panel  # noqa: E402

SESSIONS = sessions_between(dt.date(2019, 1, 2), dt.date(2020, 6, 30))["trade_date"].to_pylist()


def raw_fund(symbol, seed, count=300, first=20):
    """One fund's raw rows: without a trade on the first session, and with a split on the way."""
    rng = np.random.default_rng(seed)
    close = 2 * np.exp(np.cumsum(rng.normal(0, 0.02, count)))
    open_ = close * (1 + rng.normal(0, 0.005, count))
    pre_close = np.r_[2.0, close[:-1]]
    prices = np.column_stack(
        [pre_close, open_, np.maximum(open_, close) * 1.01, np.minimum(open_, close) * 0.99, close]
    )
    prices[count // 2 :] /= 4
    volume = rng.integers(1_000, 9_000, count).astype(float)
    volume[0] = 0
    return pa.table(
        {
            "ts_code": [symbol] * count,
            "trade_date": [f"{day:%Y%m%d}" for day in SESSIONS[first : first + count]],
            **dict(zip(["pre_close", "open", "high", "low", "close"], prices.T, strict=True)),
            "vol": volume,
            "amount": volume * close / 10,
        }
    )


@pytest.fixture
def raw_root(tmp_path):
    daily = tmp_path / "raw" / "ETF" / "daily"
    daily.mkdir(parents=True)
    for number, symbol in enumerate(["800000.SH", "510300.SH", "159915.SZ"]):
        pq.write_table(raw_fund(symbol, number), daily / f"{symbol}_daily.parquet")
    return tmp_path / "raw"


def grown(raw_root, kind, times):
    folder = raw_root.parent / f"{kind}{times}" / "ETF" / "daily"
    folder.mkdir(parents=True)
    {"funds": grow.more_funds, "history": grow.longer_histories}[kind](raw_root, folder, times)
    return folder.parents[1]


# ---------- grown data


def test_more_funds_are_the_same_bars_under_symbols_of_their_own(raw_root):
    before = peer_bars.read(raw_root, PROJECT / "seeds")
    after = peer_bars.read(grown(raw_root, "funds", 4), PROJECT / "seeds")
    assert len(after.symbols) == len(set(after.symbols)) == 4 * len(before.symbols)
    assert set(before.symbols) <= set(after.symbols)
    assert len(after.close) == 4 * len(before.close)
    assert sorted(set(after.close)) == sorted(set(before.close))
    # Copies side by side would compress as no real funds do.
    first = [after.close[rows][0] for rows in after.slices()]
    assert all(a != b for a, b in zip(first, first[1:], strict=False))


def test_longer_histories_end_as_they_did_and_jump_nowhere(raw_root):
    before = peer_bars.read(raw_root, PROJECT / "seeds")
    after = peer_bars.read(grown(raw_root, "history", 3), PROJECT / "seeds")
    sessions = set(grow.session_dates().tolist())
    assert set(after.date.tolist()) <= sessions
    for old, new in zip(before.slices(), after.slices(), strict=True):
        n = old.stop - old.start
        assert new.stop - new.start == 3 * n
        assert (np.diff(after.date[new]) > 0).all()
        assert (after.date[new][-n:] == before.date[old]).all()
        r_old, r_new = (np.diff(np.log(x)) for x in (before.close[old], after.close[new]))
        for block in range(3):
            assert r_new[block * n : block * n + n - 1] == pytest.approx(r_old, abs=1e-6)


def test_a_seam_is_no_ex_rights_event():
    table = grow.lengthened(raw_fund("510300.SH", 1), 3).to_pandas()
    traded = table[table["vol"] > 0]
    gaps = traded["close"].to_numpy()[:-1] / traded["pre_close"].to_numpy()[1:] - 1
    # The split that the history has, three times over.
    assert (np.abs(gaps) > 1e-9).sum() == 3


def test_histories_stop_at_the_exchanges_first_session(raw_root):
    after = peer_bars.read(grown(raw_root, "history", 40), PROJECT / "seeds")
    assert after.date.min() >= grow.session_dates()[0] > 19900000
    assert len(after.close) < 40 * 3 * 299


def test_dates_that_are_no_text_are_refused_by_name(raw_root, tmp_path):
    path = next((raw_root / "ETF" / "daily").glob("510300*"))
    table = pq.read_table(path)
    dates = pa.array(SESSIONS[20:320])
    pq.write_table(table.set_column(1, "trade_date", dates), path)
    with pytest.raises(InputError, match=r"510300\.SH_daily\.parquet: trade_date must be text"):
        grow.longer_histories(raw_root, tmp_path, 2)
    with pytest.raises(InputError, match="holds no .parquet file"):
        grow.raw_files(tmp_path)


# ---------- the peer's values


def assert_equals_the_reference(parquet, raw_root):
    """The panel of a peer has every factor, as the reference computes it."""
    panel = pq.read_table(parquet).to_pandas()
    catalog = pd.read_csv(PROJECT / "seeds" / "factor_catalog.csv")
    assert set(panel.columns) == {"symbol", "trade_date", *catalog["factor_id"]}
    b = peer_bars.read(raw_root, PROJECT / "seeds")
    assert (panel["trade_date"] == b.date).all()
    for symbol, rows in zip(b.symbols, b.slices(), strict=True):
        columns = ["open", "high", "low", "close", "volume", "amount"]
        wanted = reference_factors(pd.DataFrame({x: getattr(b, x)[rows] for x in columns}))
        found = panel[panel["symbol"] == symbol]
        assert len(found) == len(wanted)
        for name in wanted.columns[:-5]:  # the cross-section needs the pool
            apart, nulls = agreement.difference(
                wanted[name].to_numpy(), found[name].to_numpy(), np.array([0])
            )
            assert apart < 1e-6 and nulls == 0, (symbol, name, apart, nulls)


def test_talib_computes_every_factor_as_the_reference_does(raw_root, tmp_path):
    b = peer_bars.read(raw_root, PROJECT / "seeds")
    pools = peer_bars.pools(PROJECT / "seeds")
    with np.errstate(divide="ignore", invalid="ignore"):
        talib_panel.write_panel(b, pools, tmp_path / "panel.parquet")
    assert_equals_the_reference(tmp_path / "panel.parquet", raw_root)


@pytest.mark.skipif(
    not bench.PEER_PYTHON.is_file(),
    reason="polars-talib is in .venv-bench alone, which make bench sets up",
)
def test_polars_computes_every_factor_as_the_reference_does(raw_root, tmp_path):
    script, parquet = BENCH / "peers" / "polars_panel.py", tmp_path / "panel.parquet"
    command = [str(bench.PEER_PYTHON), str(script), str(raw_root), str(PROJECT / "seeds")]
    told = json.loads(measure.run([*command, str(parquet)], cwd=tmp_path)["line"])
    assert told["columns"] == 275
    assert_equals_the_reference(parquet, raw_root)


def test_a_difference_is_relative_to_the_funds_largest_value():
    x = np.array([1.0, 4.0, np.nan, 100.0])
    y = np.array([1.0, 4.4, 2.0, 100.0])
    assert agreement.difference(x, y, np.array([0, 2])) == (pytest.approx(0.1), 1)


# ---------- the clock


def node(name, start, end):
    return {"name": name, "stage": "staging", "start": start, "end": end, "seconds": end - start}


def test_the_wall_clock_leaves_out_only_what_the_suites_ran_alone():
    nodes = [
        node("seed", 0, 9),
        node("raw_files", 10, 12),
        node("int_expectations__raw", 12, 18),
        node("beside", 15, 16),
        node("factor_panel", 18, 20),
        node("later", 20, 90),
    ]
    assert measure.wall(nodes, "raw_files", "factor_panel") == 10 - 5
    assert measure.wall(nodes, "beside", "factor_panel") == 5 - 2
    with pytest.raises(measure.BenchError, match="dbt ran no node raw, "):
        measure.wall(nodes, "raw", "panel")


def test_nodes_are_read_from_what_dbt_left(sample):
    nodes = measure.read_nodes(sample.folder / "target")
    seconds = measure.wall(nodes, "raw_files", "factor_panel")
    assert 0 < seconds <= nodes[-1]["end"] - nodes[0]["start"]
    assert {"panel", "staging", "factors", "tests", "seeds"} <= set(measure.by_stage(nodes))


def test_a_failed_command_tells_its_last_lines_and_settings_stay_outside(tmp_path, monkeypatch):
    monkeypatch.setenv("DINGTALK_SECRET", "x")
    code = "import os, sys; print('DINGTALK_SECRET' in os.environ); sys.exit({})"
    figures = measure.run([sys.executable, "-c", code.format(0)], cwd=tmp_path)
    assert figures["line"] == "False"
    assert figures["peak"] > 2**20
    assert figures["cpu"] > 0 and figures["load"] >= 0
    with pytest.raises(measure.BenchError, match="ended with 3:\nFalse"):
        measure.run([sys.executable, "-c", code.format(3)], cwd=tmp_path)


# ---------- the pages


def figures(seconds, scale=1):
    """Made-up figures of one round; `scale` is the number of bars in 100,000."""
    bars = 100_000 * scale
    return {
        "from_raw": seconds + scale, "from_bars": seconds, "whole": 9.0,
        "cpu": 8.0, "load": 0.5,
        "peak": 2**30 * (1 + scale), "bars": bars, "funds": 10 * scale, "disk": 5_000 * bars,
        "file": 2_000 * bars, "columns": 275, "stages": {},
    }  # fmt: skip


def agreement_of(worst):
    return {
        "columns": 275, "within_1e_9": 250, "within_1e_6": 275, "worst_column": worst,
        "worst": 1e-7, "columns_with_other_nulls": 1, "most_other_nulls": 2,
    }  # fmt: skip


def results():
    cost = {"peak": 2**30, "cpu": 4.0, "load": 1.5, "whole": 9.5}
    peer = cost | {"versions": {"TA-Lib": "1"}, "columns": 275, "variants": 1000}
    build = {
        "whole": 30.0, "nodes_wall": 20.0, "node_count": 3,
        "stages": {"panel": 2.0}, "slowest": {"factor_panel": 2.0},
    }  # fmt: skip
    rounds = {
        "talib": [peer | {"seconds": {"read": 1.0, "panel": x}} for x in (1.0, 3.0, 5.0)],
        "polars": [peer | {"seconds": {"read": 1.0, "panel": 4.0}}] * 3,
        "vectorbt": [peer | {"seconds": {"read": 1.0, "panel": 20.0}}] * 3,
        "vectorbt-rust": [peer | {"seconds": {"read": 1.0, "panel": 12.0}}] * 3,
        "vectorbt-sweep": [
            peer | {"seconds": {"sweep": 20.0}, "funds": 18, "sessions": 2_000}
        ] * 3,
        "sweep": [cost | {"whole": 10.0, "variants": 2_000}] * 3,
        "panel": [figures(1.0)] * 3,
        **{f"{kind}-{n}": [figures(1.0, n)] * 3 for kind in ("funds", "history") for n in (2, 4)},
        "funds-15": [figures(1.0, 15)],
        "build": [cost | build] * 3,
        "production": [cost | {"whole": 40.0}] * 3,
    }  # fmt: skip
    return {
        "date": "2026-01-01", "runs": 3, "versions": {"duckdb": "2"}, "rounds": rounds,
        "project": {"version": "1.2.3", "commit": "abcdef1"}, "before": None,
        "machine": {"cpu": "c", "cores": 2, "memory": 16 * 2**30, "system": "s", "python": "3.11"},
        "agreement": {"talib": agreement_of("obv"), "polars": agreement_of("r2_20")},
        "skipped": {}, "sweep": {"pool": "A_SHARE", "start": "2013-07-01"},
    }  # fmt: skip


def test_ratios_are_the_median_of_the_rounds_and_the_sweep_counts_variants():
    ratio = {row["name"]: row["ratio"] for row in pages.comparisons(results())}
    assert ratio["talib_raw"] == {"median": 2.0, "least": 1.0, "most": 3.0}
    assert ratio["talib_bars"]["median"] == 3.0
    assert ratio["talib_whole"]["median"] == 9.5 / 9
    assert ratio["polars_raw"]["median"] == 2.5
    assert ratio["vectorbt_raw"]["median"] == 10.5
    assert ratio["rust_raw"]["median"] == 6.5
    assert ratio["vectorbt_sweep"]["median"] == 4.0


def test_the_older_checkout_is_compared_in_cpu_seconds_round_by_round(tmp_path):
    found = results()
    assert pages.against(found) == []
    found["before"] = "9c3ae24"
    found["rounds"]["build-before"] = [
        found["rounds"]["build"][0] | {"cpu": cpu} for cpu in (8.0, 5.0, 10.0)
    ]
    (row,) = pages.against(found)
    assert row["ratio"] == {"median": 0.5, "least": 0.4, "most": 0.8}
    for page in pages.write(found, tmp_path):
        text = page.read_text(encoding="utf-8")
        assert "| **0.50**" in text and text.count("9c3ae24") == 4
    assert "ours / 9c3ae24: 0.50 (0.40 to 0.80, asked 0.60 at most)" in pages.ratios(found)


def test_sides_that_ran_in_different_rounds_make_no_page(tmp_path):
    found = results()
    del found["rounds"]["polars"][0]
    with pytest.raises(measure.BenchError, match="not measured in the same rounds: panel, raw"):
        pages.write(found, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_plan_is_the_line_through_the_measured_sizes():
    plan = pages.plan(results())
    assert plan["fixed"]["from_raw"] == pytest.approx(1)
    assert plan["per_bar"]["disk"] == pytest.approx(5_000)
    stocks = next(case for case in plan["cases"] if case["name"] == "stocks")
    assert stocks["from_raw"] == pytest.approx(1 + 300)
    assert stocks["peak"] == pytest.approx(2**30 * 301)
    assert plan["ends"]["memory"] == pytest.approx(1_500_000)


def test_both_pages_carry_the_same_figures(tmp_path):
    english, chinese = (
        path.read_text(encoding="utf-8") for path in pages.write(results(), tmp_path)
    )
    # test_docs refuses it of the pages in docs.
    assert "](http" not in english + chinese
    assert "**2.00** (1.00 to 3.00)" in english
    assert "**2.00**（1.00 至 3.00）" in chinese

    assert "version 1.2.3 (commit abcdef1)" in english and "1.2.3（提交 abcdef1）" in chinese
    assert "funds × 15, once" in english and "“基金 × 15”只测一次" in chinese
    assert "| build | 30.0 · 30.0 · 30.0 | 4.0 · 4.0 · 4.0 | 1.5 · 1.5 · 1.5 |" in english

    def numbers(text):
        cells = [
            cell.strip() for row in text.splitlines() if row[:1] == "|" for cell in row.split("|")
        ]
        return [cell for cell in cells if cell.replace(".", "").replace(",", "").isdigit()]

    assert numbers(english) == numbers(chinese) != []


def test_what_is_not_there_is_skipped_by_name_and_no_page_is_written(tmp_path, monkeypatch, capsys):
    for name in ("ETF_MARKET_ROOT", "ETF_RAW_ROOT"):
        monkeypatch.delenv(name, raising=False)
    kept = tmp_path / "kept.json"
    options = ["--market", str(tmp_path), "--results", str(kept), "--docs", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["bench", *options])
    assert bench.main() == 1
    told = capsys.readouterr().out
    assert "skipped: panel (no .parquet file in the folder ETF/daily of --market" in told
    assert "skipped: build (no raw data given: --pools or ETF_RAW_ROOT)" in told
    assert json.loads(kept.read_text())["rounds"] == {}
    assert not list(Path(tmp_path).glob("*.md"))


def test_a_measure_that_fails_is_named_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    given = bench.parser().parse_args(["--runs", "2", "--results", str(tmp_path / "kept.json")])
    one = bench.Bench(given, tmp_path, {"rounds": {"broken": [{"whole": 9.0}]}})

    def broken():
        raise measure.BenchError("it broke")

    sound = {"whole": 1.0, "peak": 2**30, "cpu": 1.0, "load": 0.0}
    table = [
        bench.Measure(name, None, function)
        for name, function in [
            ("broken", broken), ("sound", lambda: sound), ("funds-15", lambda: sound)
        ]
    ]  # fmt: skip
    monkeypatch.setattr(one, "measures", lambda: table)
    found = one.measure()
    assert found["skipped"] == {"broken": "it broke"}
    assert len(found["rounds"]["sound"]) == 2
    assert len(found["rounds"]["funds-15"]) == 1  # tens of GB: once is enough
    assert capsys.readouterr().out.count("broken: FAILED, it broke") == 1


def test_figures_are_added_only_to_those_of_the_same_conditions(tmp_path):
    path = tmp_path / "kept.json"
    with pytest.raises(measure.BenchError, match="--add: no figures in"):
        bench.kept_figures(path)
    kept = bench.conditions() | {
        "runs": 5, "rounds": {"talib": [{"whole": 1.0}] * 5}, "before": "9c3ae24",
        "skipped": {"funds-15": "not asked for", "panel": "it broke"}, "agreement": {},
    }  # fmt: skip
    path.write_text(json.dumps(kept), encoding="utf-8")
    given = bench.parser().parse_args(["--runs", "1", "--results", str(path)])
    one = bench.Bench(given, tmp_path, bench.kept_figures(path))
    one.rounds["funds-15"] = [{"whole": 2.0}]
    one.skipped["talib"] = "not asked for"
    found = one.results()
    assert {name: len(rounds) for name, rounds in found["rounds"].items()} == {
        "talib": 5, "funds-15": 1,
    }  # fmt: skip
    assert found["skipped"] == {"panel": "it broke"}
    assert (found["runs"], found["before"]) == (5, "9c3ae24")
    path.write_text(json.dumps(kept | {"machine": {"cores": 64}}), encoding="utf-8")
    with pytest.raises(measure.BenchError, match="are of another machine: measure all"):
        bench.kept_figures(path)


def test_a_checkout_without_an_environment_is_named_and_measures_have_names(raw_root, tmp_path):
    options = ["--pools", str(raw_root), "--against", str(tmp_path), "--results", "kept.json"]
    one = bench.Bench(bench.parser().parse_args(options), tmp_path)
    one.measures()
    for name in ("build-before", "production-before"):
        assert one.skipped[name] == "no .venv/bin/dbt in the folder of --against"
    with pytest.raises(measure.BenchError, match="no measure funds-3; there are polars, talib"):
        bench.Bench(bench.parser().parse_args(["--only", "funds-3"]), tmp_path).measures()
