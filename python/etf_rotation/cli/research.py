"""The command `sweep`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from etf_rotation.cli.inspect import published_folder
from etf_rotation.cli.options import CODES, output_option
from etf_rotation.console import Progress
from etf_rotation.production import snapshots
from etf_rotation.production.run import PASSED

# Each option takes comma-separated values; the sweep tries all combinations.
SETTINGS = (
    (
        "factors",
        "Subsets of the scored factors: all, single, pair, all-but-one, or names such as "
        "ret_20+ret_63 (default: all,single,pair,all-but-one).",
    ),
    ("top-n", "Funds to hold, such as 3,5,all (default: the strategy's, less 2, plus 2 and 4)."),
    ("keep-rank", "A held fund stays up to rank keep-rank × top-n (default: the strategy's)."),
    ("weighting", "Any of equal, inverse_volatility, own (default: the strategy's)."),
    (
        "redistribute",
        "true, false or both (default: the strategy's where the rules allow it, else true).",
    ),
    ("rebalance", "Any of monthly, weekly, daily (default: monthly,weekly)."),
    ("rebalance-offset", "Sessions after the period's first (default: the strategy's)."),
    ("tranches", "Parts of the capital, each with its own rebalances (default: the strategy's)."),
    ("min-weight-change", "Smaller changes are not traded (default: the strategy's)."),
    ("slippage-bps", "Basis points (default: the build's, and its double)."),
    ("commission-bps", "Basis points (default: the build's)."),
)


def _setting_options(command):
    for name, text in reversed(SETTINGS):
        command = click.option(f"--{name}", metavar="LIST", help=text)(command)
    return command


@click.command(epilog=CODES)
@output_option
@click.option("--database", help="A database, opened read-only (default: the published one).")
@click.option("--pool", default="A_SHARE", show_default=True, help="The pool.")
@click.option("--strategy", help="The strategy to vary (default: the pool's live one).")
@_setting_options
@click.option(
    "--holdout-start",
    metavar="YYYY-MM-DD",
    help="Compare Sharpe ratios before and since this date (default: the build's var).",
)
@click.option(
    "--walk-forward",
    metavar="36,12",
    help="Repeatedly choose the best variant of 36 months and follow it for the next 12.",
)
@click.option("--output", metavar="FILE", help="The table to write, .parquet or .csv.")
@click.option(
    "--processes",
    type=int,
    default=os.cpu_count() or 1,
    help="Number of processes (default: one per core).",
)
@click.option(
    "--cluster", metavar="ADDRESS", help="Run on the workers of this Dask scheduler instead."
)
def sweep(
    *,
    output_root: str | None,
    database: str | None,
    pool: str,
    strategy: str | None,
    holdout_start: str | None,
    walk_forward: str | None,
    output: str | None,
    processes: int,
    cluster: str | None,
    **settings: str | None,
) -> int:
    """Evaluate many variants of a pool's strategy on a finished build.

    Options with a LIST take comma-separated values. All combinations are tried.

    Choosing the best variant overfits the sample. The deflated Sharpe ratio, the
    probability of backtest overfitting and --walk-forward measure how much.
    """
    # Not imported above: numpy and the models would slow down every other command.
    from etf_rotation.research import command  # noqa: PLC0415

    options = command.Options(
        pool, strategy, processes, cluster, holdout_start, walk_forward, output
    )
    path = Path(database or published_folder(output_root) / snapshots.DATABASE)
    command.sweep(path, options, settings, Progress())
    return PASSED
