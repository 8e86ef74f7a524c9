"""A stand-in for dbt: leaves a small finished database, so that what follows can be tested often.

As a program it is the command `run` with that build, to be killed, starved or doubled:
    python finished_build.py OUTPUT_ROOT [--rows N] [--status fail] [--quick] [--fault …]
"""

from __future__ import annotations

import argparse
import datetime as dt
import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import duckdb
import yaml
from etf_rotation.cli import main as cli
from etf_rotation.cli import run as commands
from etf_rotation.cli import summary
from etf_rotation.console import Progress
from etf_rotation.gate.run_metadata import code_version
from etf_rotation.production import process
from etf_rotation.production.dbt_build import Build, Node
from etf_rotation.production.run import SHANGHAI, Outcome, Production
from etf_rotation.production.settings import PROJECT, Settings

POOLS = ("A_SHARE", "QDII")
NOON = dt.datetime(2026, 3, 2, 12, 0, 0, tzinfo=SHANGHAI)

# Rows of the published tables, with the columns that a test needs. What their contracts declare
# besides is null.
ROWS = {
    "staging.raw_rows": """
        select
            format('51{{:04}}.SH', fund) as raw_symbol,
            '20200101' as raw_trade_date,
            date '2020-01-01' + day::integer as trade_date,
            4.0 as open, 4.0 as high, 4.0 as low, 1e3 as vol, 1e4 as amount, 4.0 as pre_close,
            case when fund = 3 and day = 20 then 4.0 + {restated} else 4.0 end as close
        from range(10) as funds (fund), range(53 + {later}) as days (day)""",
    "signals.factor_panel": """
        select
            format('51{{:04}}.SH', fund) as symbol,
            date '2020-01-01' + day::integer as trade_date,
            date '2020-01-01' + day::integer - 1 as as_of_date,
            ['A_SHARE', 'QDII'][fund % 2 + 1] as pool,
            hash(fund, day, {seed}) / 1e19 as sma_5,
            case when day >= 20 then (fund * day) % 7 + {seed} end::double as rsi_14
        from range(10) as funds (fund), range({rows}) as days (day)
        -- Not as the files must be.
        order by hash(fund, day)""",
    "signals.factor_summary": """
        select pool, factor_id, 0.9 as coverage, false as zero_variance, true as is_production
        from (values ('A_SHARE'), ('QDII')) as pools (pool),
            (values ('rsi_14'), ('sma_5')) as factors (factor_id)""",
    "signals.target_weights": """
        select distinct 'rotation' as strategy, pool, 0 as tranche, date '2020-02-03' as trade_date,
            symbol, 0.2 as target_weight
        from signals.factor_panel""",
    "backtest.equity_daily": """
        select 'rotation' as strategy, pool, date '2020-02-03' + day::integer as trade_date,
            1e6 + day as equity, 1e5 as cash, 9e5 + day as holdings_value,
            0.0001 as daily_return, 0.0 as drawdown
        from (values ('A_SHARE'), ('QDII'), ('PORTFOLIO')) as pools (pool),
            range(20) as days (day)""",
    "backtest.positions_daily": """
        select strategy, pool, trade_date, '510000.SH' as symbol, 100 as shares, 9 as close,
            900 as market_value, 0.9 as weight
        from backtest.equity_daily where pool <> 'PORTFOLIO' and trade_date > date '2020-02-03'""",
    "backtest.metrics": """
        select 'rotation' as strategy, pool, date '2020-02-03' as first_date,
            date '2020-02-22' as last_date, 20 as sessions,
            0.2871e0 + {seed} as annual_return, 0.11 as benchmark_return, -0.12 as max_drawdown,
            1.5 as sharpe, 0.6 as monthly_win_rate, 3.2 as annual_turnover
        from (values ('A_SHARE'), ('QDII'), ('PORTFOLIO')) as pools (pool)""",
    "backtest.int_live_strategies": "select strategy, pool from backtest.metrics",
    "marts.pool_metrics_summary": "select *, true as is_live from backtest.metrics",
    "marts.next_session_orders": """
        select *, 'rotation' as strategy, 'Fund' as name, date '2020-02-24' as trade_date,
            date '2020-02-22' as as_of_date, 'simulated' as basis,
            shares * last_close as estimated_value
        from (values
            ('A_SHARE', 1, '510300.SH', false, 'buy', 12300, 0.25, 12300, 4.1, 4.51, 3.69,
                'rebalance: enter', '调仓：建仓'),
            ('QDII', 0, null, false, null, null, null, null, null, null, null,
                'no order: next rebalance on 2020-03-02', '无委托：下次调仓在 2020-03-02'),
            ('OTHER', 1, '518880.SH', true, 'sell', 500, 0, 0, 4.1, 4.51, 3.69,
                'rebalance: exit', '调仓：清仓')
        ) as orders (pool, sequence, symbol, is_simulated_pool, side, shares, target_weight,
            target_shares, last_close, limit_up, limit_down, reason, reason_zh)""",
    "capacity.capacity_checks": """
        select unnest(['A_SHARE', 'QDII']) as pool, date '2020-02-03' as trade_date""",
    "capacity.pool_capacity": """
        select 'A_SHARE' as pool, date '2020-02-22' as trade_date, 5e7 as capacity_cny,
            1e7 as target_capital, '510300.SH' as binding_symbol""",
    "gate.gate_checks": """
        select *, check_name as title, check_name as title_zh, message as message_zh,
            check_name = 'annual_return' as is_alert
        from (values
            ('A_SHARE', 'factor_coverage', 0.93, 0.8, 0.7, 'pass', 'ok', 'unchanged'),
            ('A_SHARE', 'annual_return', 0.05, null, 0.08, 'warn', '0.05 is below 0.08: look',
                'new'),
            ('BUILD', 'lag_static', 0, null, 0, '{status}', 'an edge: read the lagged relation',
                'unchanged')
        ) as checks (pool, check_name, value, warn_threshold, fail_threshold, status, message,
            since)""",
    "gate.gate_resolved": """
        select 'QDII' as pool, 'no_row' as check_name, 'Missing rows' as title,
            '基金缺行' as title_zh, '510001.SH.parquet' as source_file, '510001.SH' as symbol,
            date '2020-01-06' as trade_date, 1 as value, 'no row' as detail,
            '无数据行' as detail_zh""",
    "gate.run_metadata": """
        select 'engine 1' as engine_version, 'hfq' as price_adjustment,
            'abc' as panel_column_hash, timestamptz '2020-02-22 10:00:00+00' as generated_at,
            date '2020-01-01' as first_date, date '2020-02-22' as last_date,
            '{{}}' as run_parameters, 'A_SHARE,QDII' as pools, 'def' as input_fingerprint,
            '{code}' as code_version""",
}


@cache
def contracts() -> dict[str, dict[str, str | None]]:
    """Return the columns that each model declares, and their types where a contract has them."""
    models = [
        model
        for path in (PROJECT / "models").rglob("*.yml")
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models") or ()
    ]
    return {
        model["name"]: {
            column["name"]: column.get("data_type") for column in model.get("columns") or ()
        }
        for model in models
    }


def create(connection: duckdb.DuckDBPyConnection, table: str, rows: str) -> None:
    """Create the table of a model from rows of some of its columns; the others are null.

    Without a contract the rows may have more columns than the model declares, as the panel has.
    """
    schema, _, model = table.partition(".")
    declared = contracts()[model]
    given = connection.sql(rows).columns
    if any(declared.values()):
        more = set(given) - declared.keys()
        assert not more, f"the contract of {model} has no column {', '.join(sorted(more))}"
    columns = [
        f"{name if name in given else 'null'}::{type_ or 'varchar'} as {name}"
        for name, type_ in declared.items()
        if type_ or name not in given
    ]
    columns += [name for name in given if not declared.get(name)]
    connection.execute(f"create schema if not exists {schema}")
    connection.execute(f"create table {table} as select {', '.join(columns)} from ({rows})")


@cache
def finished_database(**facts) -> bytes:
    """Return the content of the finished database with these facts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "etf_rotation.duckdb"
        with duckdb.connect(str(path)) as connection:
            for name, rows in ROWS.items():
                create(connection, name, rows.format(**facts))
        return path.read_bytes()


class FinishedBuild:
    """Called in place of `build.build`."""

    def __init__(
        self,
        *,
        rows=60,
        seed=0,
        status="pass",
        hold=False,
        query=False,
        nodes=(),
        fault="",
        later=0,
        restated=0,
    ):
        self.rows, self.seed, self.status = rows, seed, status
        self.hold, self.query = hold, query
        self.nodes, self.fault = nodes, fault
        self.later, self.restated = later, restated

    def __call__(
        self, settings: Settings, run: Path, before: Path | None, progress: Progress
    ) -> Build:
        self.before = before
        content = finished_database(
            rows=self.rows,
            seed=self.seed,
            status=self.status,
            later=self.later,
            restated=self.restated,
            code=code_version(PROJECT),
        )
        (run / "etf_rotation.duckdb").write_bytes(content)
        (run / "gate_report").mkdir()
        (run / "gate_report" / "index.html").write_text("<html></html>")
        (run / "dbt").mkdir()
        (run / "dbt" / "dbt.log").write_text("built")
        if self.hold:
            sys.stdin.read()  # until whoever started it has seen enough
        if self.query:
            print("in a query", flush=True)
            pairs = "range(1000000) as a (a), range(1000000) as b (b)"
            duckdb.sql(f"select sum(hash(a + b)) from {pairs}").fetchall()
        nodes = tuple(Node(*node) for node in self.nodes)
        return Build(60, nodes, self.fault)


def settings(output_root: Path, **changes) -> Settings:
    """Settings of a full run on real data."""
    values = {
        "project": PROJECT,
        "raw_root": Path("/nowhere"),
        "output_root": output_root,
        "is_synthetic": False,
        "dbt_vars": {},
        "language": "en",
    }
    return Settings(**values | changes)


def fail_at(fault: str) -> None:
    """Make the n-th call of a function of `os` or `shutil` fail, before or after it is done.

    `fault` is such as `os.replace:2:after:SIGTERM` or `os.fsync:9:before:EIO`. A signal reaches
    this very process while the call returns.
    """
    name, number, when, what = fault.split(":")
    module = {"os": os, "shutil": shutil}[name.partition(".")[0]]
    original = getattr(module, name.partition(".")[2])
    calls = iter(range(1, 10_000))

    def call(*arguments, **keywords):
        call.has_failed |= (is_meant := next(calls) == int(number))
        if is_meant and when == "before":
            _break(what)
        result = original(*arguments, **keywords)
        if is_meant and when == "after":
            _break(what)
        return result

    call.has_failed = False
    setattr(module, name.partition(".")[2], call)


def _break(what: str) -> None:
    if what.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, what))
        return
    if what == "KeyboardInterrupt":
        raise KeyboardInterrupt
    number = getattr(errno, what)
    raise OSError(number, os.strerror(number))


def leave_little(production: Production, run: Path, outcome: Outcome) -> None:
    """In place of `Production._fill`: a run of two small files, for tests of what follows."""
    production.progress.stage(f"run {run.name}: {production.settings.raw_root}")
    (run / "panel_A_SHARE").mkdir()
    for name in ("pool_metrics_summary.csv", "panel_A_SHARE/panel_meta.json"):
        (run / name).write_text("{}")
    outcome.code = 0


def produce(root: Path, *, at: dt.datetime = NOON, **options) -> Outcome:
    """One run with the stand-in build, in this process, at a given time."""
    builder_options = {
        name: options.pop(name)
        for name in ("rows", "seed", "status", "nodes", "fault", "later", "restated")
        if name in options
    }
    builder = FinishedBuild(**builder_options)
    return Production(settings(root, **options), Progress(), "run", lambda: at, builder).run()


def start(root: Path, *options: str, prefix: Sequence[str] = (), **popen) -> subprocess.Popen:
    """The command `run` with the stand-in build, as a process."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "python")} | popen.pop("env", {})
    command = [*prefix, sys.executable, __file__, str(root), *options]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment, text=True, **streams | popen)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("output_root", type=Path)
    parser.add_argument("--hold", action="store_true")
    parser.add_argument("--query", action="store_true")
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--status", default="pass")
    parser.add_argument("--fault", action="append", default=[])
    parser.add_argument("--no-tables", action="store_true")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    options = {name: getattr(given, name) for name in ("rows", "seed", "status", "hold", "query")}
    builder = FinishedBuild(**options)
    commands.resolve = lambda options, environment: settings(given.output_root)
    commands.Production = partial(Production, builder=builder)
    if given.quick:
        Production._fill = leave_little
    if given.no_tables:
        summary.metrics_table = lambda *given: {}["no such table"]
    print("imported", flush=True)
    for fault in given.fault:
        fail_at(fault)
    return cli.main(["run", "--output-root", str(given.output_root)])


if __name__ == "__main__":
    process.take_over()
    process.leave(main())
