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

# Each takes values separated by commas, which are tried in every combination.
SETTINGS = (
    (
        "factors",
        "Subsets of the scored factors: all, single, pair, all-but-one, or names such as "
        "ret_20+ret_63 (default: all,single,pair,all-but-one).",
    ),
    ("top-n", "Funds to hold, such as 3,5,all (default: the strategy's, less 2, plus 2 and 4)."),
    ("keep-rank", "A fund stays up to this multiple of top-n (default: the strategy's)."),
    ("weighting", "Any of equal, inverse_volatility, own (default: the strategy's)."),
    (
        "redistribute",
        "true, false or both (default: the strategy's where the rules allow it, else true).",
    ),
    ("rebalance", "Any of monthly, weekly, daily (default: monthly,weekly)."),
    ("rebalance-offset", "Sessions after the period's first (default: the strategy's)."),
    ("tranches", "Parts that rebalance on sessions of their own (default: the strategy's)."),
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
@click.option("--database", help="A database, only read (default: the published one).")
@click.option("--pool", default="A_SHARE", show_default=True, help="The pool.")
@click.option("--strategy", help="The strategy to vary (default: the live one of the pool).")
@_setting_options
@click.option(
    "--holdout-start",
    metavar="YYYY-MM-DD",
    help="Compare Sharpe ratios before and since this date (default: the build's var).",
)
@click.option(
    "--walk-forward",
    metavar="36,12",
    help="Choose the best of the trailing months, follow it for the next ones, and so on.",
)
@click.option("--output", metavar="FILE", help="The table to write, .parquet or .csv.")
@click.option(
    "--processes", type=int, default=os.cpu_count() or 1, help="Default: one for each core."
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
    """Try many variants of a pool's strategy on a finished build, and judge the best as such.

    Options with a LIST take values separated by commas, which are tried in every combination.

    Choosing the best is fitting to the sample. The deflated Sharpe ratio, the probability of
    backtest overfitting and --walk-forward say how much.
    """
    # numpy and the models are only read where they are needed: the other commands start at once.
    from etf_rotation.research import command  # noqa: PLC0415

    options = command.Options(
        pool, strategy, processes, cluster, holdout_start, walk_forward, output
    )
    path = Path(database or published_folder(output_root) / snapshots.DATABASE)
    command.sweep(path, options, settings, Progress())
    return PASSED
