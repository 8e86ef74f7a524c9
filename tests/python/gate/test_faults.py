"""Every fault is caught by its own check, and healthy input passes."""

import csv
import datetime as dt
import re

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from etf_rotation.dbt_project import PROJECT
from faults.elsewhere import ELSEWHERE
from faults.group import TO_THE_PANEL, gate_after, run
from faults.injections.bars import stale_data, stranger
from faults.matrix import BAD_ROWS, GROUPS
from faults.workspace import PRICES, STRANGER, Workspace

TYPES_OF_DATES = {
    "510300.SH": (pa.int64(), int),
    "510500.SH": (pa.date32(), lambda text: dt.datetime.strptime(text, "%Y%m%d").date()),
    "159919.SZ": (pa.timestamp("ns"), lambda text: dt.datetime.strptime(text, "%Y%m%d")),
    "159922.SZ": (pa.string(), lambda text: f"{text[:4]}-{text[4:6]}-{text[6:]}"),
}


@pytest.fixture(scope="module")
def workspace(healthy, tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("faults"), healthy)


def test_the_healthy_build_passes_with_alerts_on_returns_at_most(workspace):
    workspace.reset(with_database=True)
    rows = workspace.query("select check_name, status from gate.gate_checks")
    found = {row["check_name"] for row in rows if row["status"] != "pass"}
    assert rows
    assert found <= {
        "annual_return",
        "max_drawdown",
        "sharpe",
        "monthly_win_rate",
        "excess_t",
        "relative_drawdown",
    }


OTHERS = [group for group in GROUPS if group is not BAD_ROWS]


@pytest.mark.parametrize("group", OTHERS, ids=[group.name[:60] for group in OTHERS])
def test_faults_are_caught(group, workspace):
    run(group, workspace)


def test_only_the_bad_rows_leave_and_healthy_funds_stay(workspace):
    bars = (
        "select symbol, count(*) as n, sum(volume) as volume from staging.stg_etf_daily group by 1"
    )
    workspace.reset(with_database=True)
    # All except the cross-sectional factors.
    (among,) = workspace.query(
        "select string_agg(factor_id) as ids from seeds.factor_catalog "
        "where family = 'cross_section'"
    )
    panel = (
        "select symbol, count(*) as n, bit_xor(hash(panel)) as content "
        f"from (select * exclude ({among['ids']}) from signals.factor_panel) as panel group by 1"
    )
    before = {row["symbol"]: (row["n"], row["volume"]) for row in workspace.query(bars)}
    panel_before = {row["symbol"]: row for row in workspace.query(panel)}
    run(BAD_ROWS, workspace)
    after = {row["symbol"]: (row["n"], row["volume"]) for row in workspace.query(bars)}
    panel_after = {row["symbol"]: row for row in workspace.query(panel)}
    lost = {symbol: before[symbol][0] - after[symbol][0] for symbol in before}
    one_row = ["510300.SH", "510500.SH", "159919.SZ", "159922.SZ", "512880.SH"]
    one_row += ["513100.SH", "513500.SH", "513050.SH", "511260.SH", "512010.SH"]
    assert {symbol: n for symbol, n in lost.items() if n} == dict.fromkeys(one_row, 1)
    for symbol in set(before) - set(one_row):
        assert after[symbol] == before[symbol]
        assert panel_after[symbol] == panel_before[symbol]


def test_every_check_is_broken_by_a_fault():
    with (PROJECT / "seeds" / "gate_thresholds.csv").open(encoding="utf-8", newline="") as file:
        # test_publish breaks those of the files.
        rows = [row for row in csv.DictReader(file) if row["applies_to"] != "files"]
    checks = {row["check_name"] for row in rows}
    broken = {fault.caught_by for group in GROUPS for fault in group.faults}
    assert checks - broken == set()


@pytest.mark.parametrize("test", [test for tests in ELSEWHERE.values() for test in tests])
def test_faults_that_are_tested_elsewhere_are(test):
    file, name = test.split("[")[0].split("::")
    assert f"\ndef {name}(" in (PROJECT / "tests" / "python" / file).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("signals/new.sql", "select * from {{ ref('stg_etf_daily') }}"),
        ("strategies/new.sql", "select * from {{ ref('factors_returns') }}"),
        ("backtest/new.sql", "select * from {{ ref('int_bars') }}"),
        ("marts/new.py", "def model(dbt, session):\n    return dbt.ref('stg_etf_daily')\n"),
    ],
    ids=["signals", "strategies", "backtest", "marts in Python"],
)
def test_dbt_refuses_a_model_that_reads_past_the_lag(model, text, workspace):
    workspace.reset()
    path = workspace.project / "models" / model
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    parsed = workspace.build(command="parse")
    assert parsed.exit_code == 2
    assert "private to the 'unlagged' group" in parsed.errors[0]


def test_a_strategy_may_read_lagged_relations(workspace):
    workspace.reset(with_database=True)
    path = workspace.project / "models" / "strategies" / "new.sql"
    path.parent.mkdir(exist_ok=True)
    lagged = ("factor_panel", "int_bars__lagged", "int_factors__lagged", "int_scored_factors")
    free = ("trading_calendar", "int_funds", "run_settings")
    references = "".join(f"-- depends_on: {{{{ ref('{name}') }}}}\n" for name in lagged + free)
    path.write_text(f"{references}select 1 as one", encoding="utf-8")
    built = workspace.build(*gate_after("new"))
    assert built.is_success, built.errors
    assert built.messages("lag_static", "pass") == ["ok"]


def test_a_stale_gate_is_noticed_by_a_later_test(workspace):
    workspace.reset(with_database=True)
    _rename(workspace, "gate.int_gate_observations", "mislaid")
    assert not workspace.build("--select", "run_settings", "gate_checks+").is_success
    _rename(workspace, "gate.mislaid", "int_gate_observations")
    tested = workspace.build("--select", "assert_no_gate_check_fails", command="test")
    assert not tested.is_success
    rebuilt = workspace.build("--select", "gate_checks+")
    assert rebuilt.is_success, rebuilt.errors
    tested = workspace.build("--select", "assert_no_gate_check_fails", command="test")
    assert tested.is_success, tested.errors


def test_a_build_of_some_models_is_not_judged(workspace):
    workspace.reset(with_database=True)
    assert workspace.build("--select", "run_settings", "selection_log").is_success


def test_the_pages_can_be_read_offline(workspace):
    pages = list((workspace.healthy / "dbt" / "target" / "gate_report").rglob("*.html"))
    assert {page.parent.name for page in pages if page.name == "index.html"} >= {"raw", "published"}
    fetched = (
        r"<(script|link|img|iframe|video|source)\b[^>]*\b(src|href)=[\"']?(https?:)?//|@import"
    )
    for page in pages:
        assert not re.search(fetched, page.read_text(encoding="utf-8")), page


def test_a_build_of_the_past_may_be_old(workspace):
    workspace.reset(with_database=True)
    stale_data(workspace)
    in_production = gate_after("run_settings", "raw_files", extra=("--target", "prod"))
    built = workspace.build(*in_production, ETF_AS_OF="2022-06-30")
    assert built.is_success, built.errors
    # The check passes but reports it.
    (message,) = built.messages("freshness", "pass")
    assert "2022-06-30 is the last bar" in message


def test_an_as_of_that_is_no_date_is_named(workspace):
    workspace.reset()
    built = workspace.build(ETF_AS_OF="2022-13-01")
    assert built.exit_code == 2
    assert "as_of is '2022-13-01', which must be a date YYYY-MM-DD" in built.errors[0]


def test_a_build_of_the_past_does_not_miss_a_fund_that_came_later(workspace):
    workspace.reset(with_database=True)
    later = "512100.SH"
    workspace.write(later, workspace.rows(later)[-50:])
    built = workspace.build(*TO_THE_PANEL, ETF_AS_OF="2022-03-31")
    assert built.is_success, built.errors
    assert built.messages("fund_without_file", "pass") == ["ok"] * 3
    assert workspace.query(f"select 1 from staging.stg_etf_daily where symbol = '{later}'") == []


def test_unusual_but_healthy_input_passes(workspace):
    workspace.reset()
    # Listed last week; suspended for a month; ended a year ago; a half-day.
    workspace.write("516160.SH", workspace.rows("516160.SH")[-5:])
    rows = workspace.rows("513660.SH")
    for row in rows[100:122]:
        row.update({"vol": 0.0, "amount": 0.0}, **dict.fromkeys(PRICES, rows[99]["close"]))
    rows[122]["pre_close"] = rows[99]["close"]
    move = rows[122]["close"] / rows[99]["close"]
    for row in rows[122:]:
        for name in PRICES:
            row[name] = round(row[name] / move, 3)
        row["vol"] *= move
    for before, row in zip(rows[122:], rows[123:], strict=False):
        row["pre_close"] = before["close"]
    workspace.write("513660.SH", rows)
    workspace.write("515790.SH", workspace.rows("515790.SH")[:-250])
    rows = workspace.rows("510050.SH")
    rows[200] |= {"vol": rows[200]["vol"] / 2, "amount": rows[200]["amount"] / 2}
    workspace.write("510050.SH", rows)
    # A pool of four funds; a fund of no pool, where all are read.
    seed = workspace.project / "seeds" / "etf_pools.csv"
    gone = ("512100.SH", "512400.SH")
    lines = seed.read_text(encoding="utf-8").splitlines(keepends=True)
    seed.write_text("".join(line for line in lines if not line.startswith(gone)), encoding="utf-8")
    for symbol in gone:
        workspace.path(symbol).unlink()
    stranger(workspace)
    # More columns, dates of every type, other sources of adjustments, volume in shares.
    path = workspace.path("512880.SH")
    table = pq.read_table(path)
    pq.write_table(table.append_column("change", table["close"]).select(range(9, -1, -1)), path)
    for symbol, (type_, convert) in TYPES_OF_DATES.items():
        rows = [row | {"trade_date": convert(row["trade_date"])} for row in workspace.rows(symbol)]
        workspace.write(symbol, rows, trade_date=type_)
    for symbol, name in (("510300.SH", "adj_factor"), ("513100.SH", "adj_close")):
        _adjust_by(workspace.path(symbol), name)
    for symbol in (*workspace.funds(), STRANGER):
        rows = workspace.rows(symbol)
        workspace.write(symbol, [row | {"vol": row["vol"] and row["vol"] * 100} for row in rows])

    built = workspace.build("--vars", "{raw_volume_unit: share, universe: all}")

    assert built.is_success, built.errors
    odd = [row for row in built.checks if row["status"] != "pass"]
    # Four funds never are the five that the pool OTHER wants: it has no backtest to
    # judge.
    unjudged = [row for row in odd if row["pool"] == "OTHER"]
    assert len(unjudged) > len(ALERTS)
    assert all(row["message"].startswith("no value, nothing was judged") for row in unjudged)
    # The fund that ended is named, and was paid out where the strategy held it. And one
    # fund does not differ from a market that is itself.
    found = {
        (row["pool"], row["check_name"]): row
        for row in odd
        if row["pool"] != "OTHER" and row["check_name"] not in {*ALERTS, *AGAINST_EQUAL_WEIGHT}
    }
    ended, alone = ("A_SHARE", "fund_ended"), ("MARKET", "zero_variance_factors")
    assert {key: row["status"] for key, row in found.items()} == {ended: "warn", alone: "warn"}
    assert workspace.path("515790.SH").name in found[ended]["message"]
    assert "paid out at " in found[ended]["message"]
    # MARKET is read for research and checked, but never traded.
    market = "select distinct pool from signals.{} where symbol = '{}'"
    assert workspace.query(market.format("factor_panel", STRANGER)) == [{"pool": "MARKET"}]
    assert workspace.query(market.format("target_weights", STRANGER)) == []


def test_a_year_without_a_rebalance_trade_passes(workspace):
    workspace.reset(with_database=True)
    seed = workspace.project / "seeds" / "strategies.csv"
    with seed.open(encoding="utf-8", newline="") as file:
        rows = [row | {"min_weight_change": "0.9"} for row in csv.DictReader(file)]
    with seed.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    built = workspace.build("--select", "strategies", "int_strategies+")
    assert built.is_success, built.errors


def test_a_short_history_is_not_checked_and_the_message_says_so(workspace):
    workspace.reset(with_database=True)
    built = workspace.build(
        "--select", "int_rebalance_sessions+", "--vars", "{backtest_start: 2022-06-01}"
    )
    assert built.is_success, built.errors
    rules = {row["check_name"] for row in built.checks if row["is_alert"]} | {"volatility_scaling"}
    assert rules == {*ALERTS, "volatility_scaling"}
    for row in built.checks:
        if row["check_name"] in rules:
            assert (row["value"], row["status"]) == (None, "warn"), row
            assert "21 sessions of returns, 60 are needed" in row["message"]
            assert "只有 21 个交易日的收益，至少需要 60 个" in row["message_zh"]
    # Figures that look-ahead would inflate are checked anyway.
    months = [row for row in built.checks if row["check_name"] == "largest_month"]
    assert all(row["value"] is not None for row in months)
    for metrics in workspace.query("from backtest.metrics where pool = 'QDII'"):
        assert metrics["sessions"] == 21
        assert metrics["annual_return"] is None
        assert metrics["total_return"] is not None
    curve = workspace.query("select distinct net_annual_return as net from capacity.capacity_curve")
    assert curve == [{"net": None}]


def test_a_pool_can_be_added_by_the_steps_of_the_page(workspace):
    pages = [PROJECT / "docs" / name for name in ("change.md", "change.zh-CN.md")]
    blocks = [
        re.findall(r"```\n((?:\S*,?BOND,.*\n)+)```", page.read_text(encoding="utf-8"))
        for page in pages
    ]
    assert blocks[0] == blocks[1]
    funds, limits, strategy = blocks[0]
    workspace.reset(with_database=True)
    for line in funds.splitlines():
        symbol, _, rest = line.split(",", 2)
        workspace.replace("seeds/etf_pools.csv", f"{symbol},OTHER,{rest}", line)
    for seed, line in (("pool_constraints", limits), ("strategies", strategy)):
        path = workspace.project / "seeds" / f"{seed}.csv"
        path.write_text(path.read_text(encoding="utf-8") + line, encoding="utf-8")
    built = workspace.build()
    assert built.is_success, built.errors
    held = workspace.query("select distinct symbol from backtest.trades where pool = 'BOND'")
    assert {row["symbol"] for row in held} == {line[:9] for line in funds.splitlines()}
    (pool,) = workspace.query("from marts.pool_metrics_summary where pool = 'BOND'")
    assert (pool["strategy"], pool["is_live"]) == ("rotation", True)


def test_a_factor_can_be_added_by_the_steps_of_the_page(workspace):
    page = (PROJECT / "docs" / "change.md").read_text(encoding="utf-8")
    row = re.search(r"```\n(ret_40,.*)\n```", page)[1]
    formula = re.search(r"```sql\n(.*?)```", page, re.DOTALL)[1]
    workspace.reset(with_database=True)
    returns, seed = "models/factors/factors_returns.sql", "seeds/factor_catalog.csv"
    for _ in range(2):
        workspace.replace(returns, "20, 30, 60, 63", "20, 30, 40, 60, 63")
    (workspace.project / "models/factors/factors_distance.sql").write_text(formula)
    workspace.replace("models/signals/int_factors__lagged.sql", "'macd', ", "'macd', 'distance', ")
    family = '        dbt.ref("factors_distance"),\n'
    workspace.replace("models/gate/int_lag__differences.py", "    ]\n", f"{family}    ]\n")
    workspace.replace(seed, "\nret_60,", f"\n{row}\nret_60,")
    workspace.replace(seed, "\nret_60,", "\nzscore_20,momentum,Z,n=20,close,ratio,20,,Z\nret_60,")
    workspace.replace("models/signals/factor_panel.sql", "    ret_60", "    ret_40,\n    ret_60")
    lagged = "int_factors__lagged+1", "--indirect-selection", "empty"
    models = "factor_catalog", "factors_distance", "factors_returns", "int_lag__differences"
    select = "--select", *models, *lagged

    forgotten = workspace.build(*select)
    assert not forgotten.is_success
    listed = "models/signals/factor_panel.sql does not list zscore_20; the seed factor_catalog does"
    assert listed in " ".join(forgotten.errors)

    workspace.replace("models/signals/factor_panel.sql", "    ret_60", "    zscore_20,\n    ret_60")
    built = workspace.build(*select)
    assert built.is_success, built.errors
    columns = [row["column_name"] for row in workspace.query("describe signals.factor_panel")]
    place = columns.index("ret_30")
    assert columns[place : place + 4] == ["ret_30", "ret_40", "zscore_20", "ret_60"]
    (first,) = workspace.query(
        "select count(*) as rows from signals.factor_panel as panel "
        "inner join staging.stg_etf_daily as bars "
        "on panel.symbol = bars.symbol and panel.as_of_date = bars.trade_date "
        "where (ret_40 is null) <> (bar_number < 41) or (zscore_20 is null) <> (bar_number < 20)"
    )
    assert first["rows"] == 0
    assert workspace.query("from gate.int_lag__differences") == []


def test_every_leaf_is_waited_for():
    macro = (PROJECT / "macros" / "gate.sql").read_text(encoding="utf-8")
    listed = macro.split("gate_leaves", 1)[1].split("])", 1)[0]
    models = {path.stem: path.read_text(encoding="utf-8") for path in _models()}
    read = {
        name
        for name in models
        for text in models.values()
        if f"ref('{name}')" in text or f'ref("{name}")' in text
    }
    checks = {name for name in models if name.startswith("check_")}
    families = {name for name in models if name.startswith("factors_")}
    research = {path.stem for path in (PROJECT / "models" / "research").glob("*.*")}
    rankings = {path.stem for path in (PROJECT / "models" / "strategies").glob("*.sql")}
    leaves = set(models) - read - checks - families - research - rankings
    assert leaves == {name for name in models if f"'{name}'" in listed}


ALERTS = {"annual_return", "max_drawdown", "sharpe", "monthly_win_rate", "annual_turnover"}
AGAINST_EQUAL_WEIGHT = {"excess_t", "relative_drawdown"}


def _rename(workspace, table: str, name: str) -> None:
    with duckdb.connect(str(workspace.database)) as connection:
        connection.execute(f"alter table {table} rename to {name}")


def _adjust_by(path, name: str) -> None:
    """Put the chain of pre_close into another column, and take pre_close away."""
    rows = pq.read_table(path).to_pylist()
    factor, previous = 1.0, None
    for row in rows:
        if previous is not None and row["vol"]:
            factor *= previous / row["pre_close"]
        row[name] = factor if name == "adj_factor" else row["close"] * factor
        if row["vol"]:
            previous = row["close"]
    schema = pq.read_schema(path)
    schema = schema.remove(schema.get_field_index("pre_close")).append(pa.field(name, pa.float64()))
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def _models():
    folder = PROJECT / "models"
    return [path for path in folder.rglob("*") if path.suffix in (".sql", ".py")]
