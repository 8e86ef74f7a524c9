"""Many variants of a pool's strategy from one build, each as a build of its own would have it.

Rebalance sessions, percentile ranks, eligibility and benchmark come from the project's SQL models,
execution from the function that the build calls. What is written here once more, for many variants
at a time, is the mean of the ranks (`data`), the choice of the funds (`choices`) and the metrics
(`measures`); tests hold each against builds, and every sweep checks the build's own variant first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import NamedTuple

import duckdb
import numpy as np

from etf_rotation.errors import InputError
from etf_rotation.garbage import no_garbage_collection
from etf_rotation.research.build import Build, Variant
from etf_rotation.research.curves import simulate
from etf_rotation.research.data import PoolData, read_data
from etf_rotation.research.measures import Settings, daily_returns, metrics
from etf_rotation.research.workers import Workers

# More accounts in one walk make each cheaper, up to about this number; more only take memory.
ACCOUNTS_AT_A_TIME = 320
# Accounts × sessions × funds of one walk, for pools that are long or wide.
CELLS_AT_A_TIME = 40_000_000


class Result(NamedTuple):
    """A variant's row of metrics, None where it never began, and its equity from `first` on."""

    metrics: dict | None
    trades: int
    first: int  # the pool's session; their number where it never began
    equity: np.ndarray  # CNY
    capital: float  # CNY

    @property
    def returns(self) -> np.ndarray:
        """Daily returns, plain ratios, the first relative to the capital."""
        return daily_returns(self.equity[None, :], self.capital)[0]


def check(build: Build, data: PoolData | None = None, workers: Workers | None = None) -> None:
    """Refuse a build whose own variant does not come out as the build has it, bit for bit.

    Parameters
    ----------
    build : Build
        The build to read.
    data : PoolData, optional
        Read for variants that the build's own is among.
    workers : Workers, optional
        Those of a cluster are checked too: a machine of another kind could round otherwise.

    Raises
    ------
    InputError
        The build's code was another one, or a worker of the cluster gives other bits.
    """
    data = read_data(build, [build.variant]) if data is None else data
    of_strategy = {"strategy": build.strategy, "pool": build.pool}
    with closing(duckdb.connect(str(build.database), read_only=True)) as connection:
        rows = connection.sql(
            "select * exclude (strategy, pool) from backtest.metrics "
            "where strategy = $strategy and pool = $pool",
            params=of_strategy,
        )
        rows = rows.to_arrow_table().to_pylist()
        equity = connection.execute(
            "select equity from backtest.equity_daily "
            "where strategy = $strategy and pool = $pool order by trade_date",
            of_strategy,
        ).fetchnumpy()["equity"]

    def is_same(result: Result) -> bool:
        expected = [result.metrics] if result.metrics else []
        return rows == expected and np.array_equal(equity, result.equity)

    arguments = build, data, [build.variant]
    if not is_same(evaluate_together(*arguments)[0]):
        raise InputError(
            f"{build.database}: the backtest of {build.strategy} in {build.pool} there is not what "
            "this code makes of the same factors, seeds and vars: it has changed since; build it "
            "again"
        )
    found = workers.on_each(evaluate_together, *arguments) if workers else {}
    for address, (result,) in sorted(found.items()):
        if not is_same(result):
            raise InputError(f"the worker {address} does not compute the bits of the build")


def evaluate_together(build: Build, data: PoolData, variants: Sequence[Variant]) -> list[Result]:
    """Simulate and measure variants in one walk."""
    capital, dates = build.parameters.target_capital, data.prices.dates
    with no_garbage_collection():
        curves = simulate(build, data, variants)
        settings = Settings(build.variables)
        rows = metrics(curves, data.benchmark_returns, dates, capital, settings)
        return [
            Result(row, trades, first, equity[first - curves.begin :].copy(), capital)
            for row, trades, first, equity in zip(
                rows, curves.trades.tolist(), curves.first.tolist(), curves.equity, strict=True
            )
        ]


def evaluate(
    build: Build,
    data: PoolData,
    variants: Sequence[Variant],
    workers: Workers,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Result]:
    """Evaluate variants on several workers; neither their number nor their place changes a bit.

    Parameters
    ----------
    build : Build
        What they are variants of.
    data : PoolData
        Read for these variants.
    variants : sequence of Variant
        In any order.
    workers : Workers
        Where to run.
    progress : callable
        Called with how many variants are done, and of how many.

    Returns
    -------
    list of Result
        As `variants`.
    """
    chunks = _chunks(variants, data, workers.count)
    work = [[variants[n] for n in chunk] for chunk in chunks]
    results: list[Result | None] = [None] * len(variants)
    done = 0
    with closing(workers.map(evaluate_together, (build, data), work)) as evaluated:
        for chunk, found in zip(chunks, evaluated, strict=True):
            for n, result in zip(chunk, found, strict=True):
                results[n] = result
            done += len(chunk)
            progress(done, len(variants))
    return results


def _chunks(variants: Sequence[Variant], data: PoolData, workers: int) -> list[list[int]]:
    """Cut into pieces of about as many accounts each; variants that choose alike stay together."""
    order = sorted(
        range(len(variants)),
        key=lambda n: (variants[n].factors, variants[n].weighting, variants[n].top_n or 0, n),
    )
    cells = len(data.prices.dates) * len(data.prices.symbols)
    most = max(min(ACCOUNTS_AT_A_TIME, CELLS_AT_A_TIME // cells), 1)
    accounts = np.cumsum([variants[n].tranches for n in order])
    # As many pieces for each worker, so that none waits for another.
    pieces = math.ceil(accounts[-1] / most / workers) * workers
    piece = ((accounts - 1) * pieces // accounts[-1]).tolist()
    chunks: dict[int, list[int]] = {}
    for n, own in zip(order, piece, strict=True):
        chunks.setdefault(own, []).append(n)
    return list(chunks.values())
