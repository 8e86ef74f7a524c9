"""Many variants of a pool's strategy from one build, each equal to a separate build.

Rebalance sessions, percentile ranks, eligibility and benchmark come from the project's
SQL models, execution from the function that the build calls. Three parts are written a
second time, for many variants at once: the mean of the ranks (`data`), the selection of
funds (`choices`) and the metrics (`measures`). Tests compare each with builds, and
every sweep checks the build's own variant first.
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

# Up to about this number, more accounts per simulation make each cheaper. Beyond it
# they only take memory.
ACCOUNTS_AT_A_TIME = 320
# Accounts × sessions × funds per simulation, which bounds memory in large pools.
CELLS_AT_A_TIME = 40_000_000


class Result(NamedTuple):
    """A variant's metrics, None if it never began, and its equity from `first` on."""

    metrics: dict | None
    trades: int
    first: int  # the pool's session; the number of sessions if it never began
    equity: np.ndarray  # CNY
    capital: float  # CNY

    @property
    def returns(self) -> np.ndarray:
        """Daily returns, plain ratios; the first is relative to the capital."""
        return daily_returns(self.equity[None, :], self.capital)[0]


def check(build: Build, data: PoolData | None = None, workers: Workers | None = None) -> None:
    """Reject a build if its own variant cannot be reproduced bit for bit.

    Parameters
    ----------
    build : Build
        The build to read.
    data : PoolData, optional
        Data read for variants that include the build's own.
    workers : Workers, optional
        Workers of a cluster are checked too: another kind of machine could round
        differently.

    Raises
    ------
    InputError
        The build was made by other code, or a worker of the cluster returns other bits.
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
    """Simulate and measure variants in one pass."""
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
    """Evaluate variants on several workers; the workers do not change a bit.

    Parameters
    ----------
    build : Build
        What they are variants of.
    data : PoolData
        Data read for these variants.
    variants : sequence of Variant
        Variants in any order.
    workers : Workers
        Workers to run on.
    progress : callable
        Called with the number of finished variants and the total.

    Returns
    -------
    list of Result
        Results in the order of `variants`.
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
    """Split variants into pieces of similar work; equal selections stay together."""
    order = sorted(
        range(len(variants)),
        key=lambda n: (variants[n].factors, variants[n].weighting, variants[n].top_n or 0, n),
    )
    cells = len(data.prices.dates) * len(data.prices.symbols)
    most = max(min(ACCOUNTS_AT_A_TIME, CELLS_AT_A_TIME // cells), 1)
    accounts = np.cumsum([variants[n].tranches for n in order])
    # A multiple of the workers, so that none is idle at the end.
    pieces = math.ceil(accounts[-1] / most / workers) * workers
    piece = ((accounts - 1) * pieces // accounts[-1]).tolist()
    chunks: dict[int, list[int]] = {}
    for n, own in zip(order, piece, strict=True):
        chunks.setdefault(own, []).append(n)
    return list(chunks.values())
