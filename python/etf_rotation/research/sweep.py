"""Many variants of a pool's strategy from one build, each as a build of its own would have it.

Scores, rebalance sessions, candidates, benchmark and metrics are the project's SQL models as they
stand; selection and execution are the functions that the build calls.
"""

from __future__ import annotations

import gc
import json
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from etf_rotation.backtest.account import Attempt, Closes, Parameters, Selection, Target, follow
from etf_rotation.backtest.prices import BARS_SCHEMA, read_prices
from etf_rotation.dbt_project import project_vars, render
from etf_rotation.errors import InputError
from etf_rotation.signals import selection
from etf_rotation.sql import attach, sql_text

# One query over many variants costs little more than over one; more than these only take memory.
VARIANTS_AT_A_TIME = 64

NEEDED = (
    "factor_catalog",
    "int_backtest__bars",
    "int_backtest__endings",
    "int_backtest__parameters",
    "int_backtest__sessions",
    "int_backtest__sleeves",
    "int_bars__lagged",
    "int_funds",
    "int_scored_factors",
    "metrics",
    "equity_daily",
    "pool_constraints",
    "raw_files",
    "run_settings",
    "trading_calendar",
)
# Of a view that which nobody asks for is not computed.
RESULTS = {
    "int_backtest__pool_equity": "table",
    "equity_daily": "table",
    "monthly_returns": "view",
    "drawdowns": "view",
    "metrics": "table",
}
KEY = [("pool", pa.string()), ("trade_date", pa.date32())]
SESSIONS = pa.schema([*KEY, *((name, pa.float64()) for name in Closes._fields[1:])])
TRADES = pa.schema(
    [*KEY, ("sequence", pa.int64()), ("value", pa.float64()), ("reason", pa.string())]
)


class Variant(NamedTuple):
    """What is varied; the rest is the build's."""

    factors: tuple[str, ...]  # those scored, sorted
    top_n: int
    rebalance: str
    slippage_bps: float
    commission_bps: float
    min_weight_change: float


class Result(NamedTuple):
    """A variant's row of metrics, None where it never began, and its daily returns and equity."""

    metrics: dict | None
    trades: int
    returns: np.ndarray
    equity: np.ndarray


@dataclass(frozen=True)
class Build:
    """A finished build and the pool in it that is swept."""

    database: Path
    pool: str
    variables: Mapping[str, object]
    scored: tuple[str, ...]
    parameters: Parameters
    is_synthetic: bool

    @property
    def variant(self) -> Variant:
        """What the build itself did."""
        own = self.parameters
        return Variant(
            self.scored,
            own.top_n,
            str(self.variables["rebalance"]),
            own.slippage_bps,
            own.commission_bps,
            own.min_weight_change,
        )


def read_build(database: Path, pool: str) -> Build:
    """Read what a build was made with.

    Raises
    ------
    InputError
        No such database, one without a backtest, or without the pool.
    """
    if not database.is_file():
        raise InputError(f"no database {database}")
    with closing(duckdb.connect(str(database), read_only=True)) as connection:
        tables = _tables(connection)
        missing = [name for name in NEEDED if name not in tables]
        if missing:
            raise InputError(f"{database} has no {missing[0]}: build it with 'dbt build' first")
        ((given, is_synthetic),) = connection.execute(
            f"select given_vars, (select bool_or(is_synthetic) from {tables['raw_files']}) "
            f"from {tables['run_settings']}"
        ).fetchall()
        rows = connection.sql(f"from {tables['int_backtest__parameters']} order by pool")
        parameters = {row["pool"]: row for row in rows.to_arrow_table().to_pylist()}
        if pool not in parameters:
            raise InputError(
                f"{database} has no backtest of the pool {pool}; there are {', '.join(parameters)}"
            )
        scored = connection.execute(
            f"select factor_id from {tables['factor_catalog']} "
            "where score_direction is not null order by factor_id"
        ).fetchall()
    return Build(
        database,
        pool,
        project_vars() | json.loads(given),
        tuple(factor for (factor,) in scored),
        Parameters(**parameters[pool]),
        bool(is_synthetic),
    )


def _tables(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    rows = connection.execute("select table_name, schema_name from duckdb_tables()").fetchall()
    return {name: f"{schema}.{name}" for name, schema in rows}


class Bench:
    """One process's work: the pool's data in a database of its own, and the walks on it.

    Parameters
    ----------
    build : Build
        The build to read.
    rebalances : sequence of str
        Those that variants will ask for.
    """

    def __init__(self, build: Build, rebalances: Sequence[str]) -> None:
        self.build = build
        self.connection = duckdb.connect(config={"threads": 1})
        attach(self.connection, build.database, "build")
        with closing(duckdb.connect(str(build.database), read_only=True)) as connection:
            tables = _tables(connection)
        self.relations = {name: f"build.{table}" for name, table in tables.items()}
        sessions = self._rows("int_backtest__sessions", "trade_date")["trade_date"].to_pylist()
        self.days = {trade_date: n for n, trade_date in enumerate(sessions)}
        self.dates = np.array(sessions, dtype="datetime64[D]")
        self.rebalances = {name: self._rebalance_sessions(name) for name in rebalances}
        self._load()

        bars = selection.read_checked(
            "bars",
            self._rows("int_backtest__bars", "trade_date, symbol"),
            BARS_SCHEMA,
            selection.FundKey._fields,
        )
        endings = self._rows("int_backtest__endings", "trade_date, symbol")
        self.prices = read_prices(bars, sessions, endings)
        self.columns = {symbol: n for n, symbol in enumerate(self.prices.symbols)}
        (constraints,) = self._rows("pool_constraints", "pool").to_pylist()
        self.constraints = selection.Constraints(
            *(constraints[name] for name in selection.Constraints._fields)
        )

    def _rebalance_sessions(self, rebalance: str) -> list[int]:
        """Return the sessions of a rhythm; one after the last bar is tomorrow's and left alone."""
        rows = self.connection.execute(
            f"select trade_date from ({self._sql('int_rebalance_sessions', rebalance=rebalance)}) "
            "where pool = $pool order by trade_date",
            {"pool": self.build.pool},
        ).fetchall()
        return [self.days[trade_date] for (trade_date,) in rows if trade_date in self.days]

    def _load(self) -> None:
        """Keep of the build what the pool's variants need, under the names of its models."""
        wanted = sorted(set().union(*self.rebalances.values()))
        self.connection.register(
            "wanted", pa.table({"session": wanted, "trade_date": self.dates[wanted]})
        )
        self._create(
            "rebalance_sessions",
            "select $pool as pool, trade_date, calendar.previous_trade_date as as_of_date "
            f"from wanted inner join {self.relations['trading_calendar']} as calendar "
            "using (trade_date)",
        )
        for name in ("int_bars__lagged", "int_scored_factors"):
            on_wanted = "trade_date in (select trade_date from wanted)"
            self._create(name, f"from {self.relations[name]} where pool = $pool and {on_wanted}")
        for name in ("int_funds", "int_backtest__parameters", "pool_constraints"):
            self._create(name, f"from {self.relations[name]} where pool = $pool")
        benchmark = self._sql("int_backtest__benchmark")
        self._create("benchmark", f"from ({benchmark}) where pool = $pool")
        calendar, sleeves = (
            self.relations[name] for name in ("trading_calendar", "int_backtest__sleeves")
        )
        self._create("trading_calendar", f"from {calendar}", {})
        self._create("int_backtest__sleeves", f"from {sleeves} limit 0", {})
        local = ("int_bars__lagged", "int_scored_factors", "int_funds", "pool_constraints")
        self.relations |= {name: name for name in (*local, "trading_calendar")}

    def _create(self, name: str, query: str, values: Mapping | None = None) -> None:
        values = {"pool": self.build.pool} if values is None else values
        self.connection.execute(f"create or replace table {name} as {query}", values)

    def _rows(self, name: str, order: str) -> pa.Table:
        query = f"from {self.relations[name]} where pool = $pool order by {order}"
        return self.connection.sql(query, params={"pool": self.build.pool}).to_arrow_table()

    def _sql(self, model: str, relations: Mapping[str, str] | None = None, **variables) -> str:
        relations = self.relations | (relations or {})
        return render(model, relations.__getitem__, {**self.build.variables, **variables})

    def evaluate(self, variants: Sequence[Variant]) -> list[Result]:
        """Walk and measure variants.

        Parameters
        ----------
        variants : sequence of Variant
            Fast where those with the same factors, rebalance and top_n follow one another.
        """
        walked = []
        factors = chosen = None
        for variant in variants:
            if variant.factors != factors:
                factors, chosen = variant.factors, None
                self._score(factors)
                rankings = self._rankings()
            if (variant.rebalance, variant.top_n) != chosen:
                chosen = variant.rebalance, variant.top_n
                selections = self._select(rankings, *chosen)
            varied = {name: getattr(variant, name) for name in Variant._fields[3:]}
            parameters = replace(self.build.parameters, top_n=variant.top_n, **varied)
            account = follow(self.prices, selections, parameters)
            fills = [fill for fill in account.attempts if fill.is_filled]
            walked.append((account.closes(), fills))
        return self._measure(walked)

    def _score(self, factors: Sequence[str]) -> None:
        names = ", ".join(sql_text(factor) for factor in factors)
        self._create(
            "factor_catalog",
            "select * replace (case when factor_id in ({}) then score_direction end as "
            "score_direction) from {}".format(names, self.relations["factor_catalog"]),
            {},
        )
        self._create("scores", self._sql("scores", {"factor_catalog": "factor_catalog"}), {})

    def _rankings(self) -> dict[int, list[selection.Candidate]]:
        """Return the eligible funds of every rebalance session, best first."""
        relations = {"int_rebalance_sessions": "rebalance_sessions", "scores": "scores"}
        names = selection.Candidate._fields
        # Most rows are of funds that are not listed yet.
        columns = self.connection.sql(
            f"select session, {', '.join(names)} "
            f"from ({self._sql('int_selection__candidates', relations)}) "
            "inner join wanted using (trade_date) where has_bar order by all"
        ).to_arrow_table()
        sessions, *values = (columns[name].to_pylist() for name in columns.column_names)
        funds = map(selection.Candidate._make, zip(*values, strict=True))
        min_adv_cny = float(self.build.variables["min_adv_cny"])
        rankings: dict[int, list[selection.Candidate]] = {
            n: [] for n in set().union(*self.rebalances.values())
        }
        for session, fund in zip(sessions, funds, strict=True):
            if selection.why_not_eligible(fund, min_adv_cny) is None:
                rankings[session].append(fund)
        for ranking in rankings.values():
            ranking.sort(key=selection.by_score)
        return rankings

    def _select(
        self, rankings: Mapping[int, list[selection.Candidate]], rebalance: str, top_n: int
    ) -> dict[int, Selection]:
        constraints = self.constraints._replace(top_n=top_n)
        weight = selection.nominal_weight(constraints)
        selections = {}
        for session in self.rebalances[rebalance]:
            ranking, targets = rankings[session], {}
            as_of_date = self.prices.dates[session - 1]
            for fund, reason in zip(
                ranking, selection.walk_down(ranking, constraints), strict=True
            ):
                if reason == "selected":
                    column = self.columns[fund.symbol]
                    targets[column] = Target(as_of_date, weight, fund.rank, fund.adv20)
                elif reason == "top_n_filled":
                    break
            selections[session] = Selection(len(ranking), targets)
        return selections

    def _measure(self, walked: Sequence[tuple[Closes | None, Sequence[Attempt]]]) -> list[Result]:
        results = []
        sessions, trades = [SESSIONS.empty_table()], [TRADES.empty_table()]
        for n, (closes, fills) in enumerate(walked):
            if closes is None:
                results.append(Result(None, 0, np.empty(0), np.empty(0)))
                continue
            results.append(Result(None, len(fills), np.empty(0), closes.equity))
            sessions.append(_labeled(n, self.dates[closes.first :], closes[1:], SESSIONS))
            on = self.dates[[fill.session for fill in fills]]
            values, reasons = [fill.value for fill in fills], [fill.reason for fill in fills]
            trades.append(_labeled(n, on, (np.arange(len(fills)), values, reasons), TRADES))

        self._build_results(len(walked), pa.concat_tables(sessions), pa.concat_tables(trades))
        metrics = self.connection.sql("from metrics order by pool").to_arrow_table()
        returns = (
            self.connection.sql("select daily_return from equity_daily order by pool, trade_date")
            .to_arrow_table()["daily_return"]
            .to_numpy()
        )
        for row in metrics.to_pylist():
            n = int(row.pop("pool"))
            own, returns = np.split(returns, [row["sessions"]])
            results[n] = results[n]._replace(metrics=row, returns=own.copy())
        return results

    def _build_results(self, count: int, sessions: pa.Table, trades: pa.Table) -> None:
        """Build the result models with each variant as a pool."""
        self.connection.register("sessions", sessions)
        self.connection.register("trades", trades)
        self.connection.register("variants", pa.table({"pool": map(_label, range(count))}))
        self._create(
            "int_backtest__ledger",
            "select *, 'session' as kind, null::double as price_pnl, "
            "null::double as corporate_action_value from sessions",
            {},
        )
        for name in ("int_backtest__parameters", "benchmark"):
            self.connection.execute(
                f"create or replace view {name}_of_variants as "
                f"select own.* replace (variants.pool as pool) from {name} as own, variants"
            )
        relations = {
            "int_backtest__ledger": "int_backtest__ledger",
            "int_backtest__parameters": "int_backtest__parameters_of_variants",
            "int_backtest__benchmark": "benchmark_of_variants",
            "int_backtest__sleeves": "int_backtest__sleeves",
            "trades": "trades",
        }
        for model, kind in RESULTS.items():
            self.connection.execute(
                f"create or replace {kind} {model} as {self._sql(model, relations)}"
            )
            relations[model] = model


def _label(number: int) -> str:
    # In the order of the numbers.
    return f"{number:06}"


def _labeled(
    number: int, dates: np.ndarray, columns: Iterable[np.ndarray], schema: pa.Schema
) -> pa.Table:
    pools = pa.DictionaryArray.from_arrays(np.zeros(len(dates), np.int32), [_label(number)])
    return pa.table([pools.cast(pa.string()), dates, *columns], schema=schema)


def check(build: Build) -> None:
    """Refuse a build whose own variant does not come out as the build has it, bit for bit.

    Raises
    ------
    InputError
        Its code was another one.
    """
    (result,) = Bench(build, [build.variant.rebalance]).evaluate([build.variant])
    with closing(duckdb.connect(str(build.database), read_only=True)) as connection:
        metrics = connection.sql(
            "select * exclude (pool) from backtest.metrics where pool = $pool",
            params={"pool": build.pool},
        )
        rows = metrics.to_arrow_table().to_pylist()
        equity = connection.execute(
            "select equity from backtest.equity_daily where pool = $pool order by trade_date",
            {"pool": build.pool},
        ).fetchnumpy()["equity"]
    if rows != ([result.metrics] if result.metrics else []) or not np.array_equal(
        equity, result.equity
    ):
        raise InputError(
            f"{build.database}: the backtest of {build.pool} there is not what this code makes of "
            "the same factors, seeds and vars: it has changed since; build it again"
        )


def evaluate(
    build: Build,
    variants: Sequence[Variant],
    processes: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Result]:
    """Evaluate variants in several processes; their number changes no bit.

    Parameters
    ----------
    build : Build
        The build to read.
    variants : sequence of Variant
        In any order.
    processes : int
        One or more; one is this process itself.
    progress : callable
        Told how many variants are done, and of how many.

    Returns
    -------
    list of Result
        As `variants`.
    """
    order = sorted(
        range(len(variants)),
        key=lambda n: (variants[n].factors, variants[n].rebalance, variants[n].top_n, n),
    )
    chunks = list(_chunks(order, variants))
    rebalances = sorted({variant.rebalance for variant in variants})
    work = [[variants[n] for n in chunk] for chunk in chunks]
    results: list[Result | None] = [None] * len(variants)
    done = 0
    with closing(_evaluated(build, rebalances, work, processes)) as evaluated:
        for chunk, found in zip(chunks, evaluated, strict=True):
            for n, result in zip(chunk, found, strict=True):
                results[n] = result
            done += len(chunk)
            progress(done, len(variants))
    return results


def _chunks(order: Sequence[int], variants: Sequence[Variant]) -> Iterator[list[int]]:
    """Cut into pieces of a good size, between two subsets of factors where that can be."""
    chunk: list[int] = []
    for n in order:
        is_new = bool(chunk) and variants[chunk[-1]].factors != variants[n].factors
        if len(chunk) >= 2 * VARIANTS_AT_A_TIME or (is_new and len(chunk) >= VARIANTS_AT_A_TIME):
            yield chunk
            chunk = []
        chunk.append(n)
    if chunk:
        yield chunk


def _evaluated(
    build: Build, rebalances: Sequence[str], work: Sequence[Sequence[Variant]], processes: int
) -> Iterator[list[Result]]:
    if processes == 1:
        bench = Bench(build, rebalances)
        yield from map(bench.evaluate, work)
        return
    # A process that is forked would share the threads of DuckDB, which does not work.
    executor = ProcessPoolExecutor(
        processes, get_context("spawn"), initializer=_start, initargs=(build, rebalances)
    )
    try:
        yield from executor.map(_evaluate, work)
    except BrokenProcessPool:
        raise InputError(
            "a process of the sweep was ended from outside, perhaps for want of memory; try "
            "again with fewer --processes"
        ) from None
    finally:
        executor.shutdown(cancel_futures=True)


_bench: Bench


def _start(build: Build, rebalances: Sequence[str]) -> None:
    global _bench  # noqa: PLW0603
    # On Ctrl-C the parent ends the work, and says so once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A fifth of the time goes into looking for cycles among what walks leave, and there are none.
    gc.disable()
    _bench = Bench(build, rebalances)


def _evaluate(variants: Sequence[Variant]) -> list[Result]:
    results = _bench.evaluate(variants)
    gc.collect()
    return results
