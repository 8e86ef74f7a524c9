"""The command `sweep`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from etf_rotation.cli.inspect import published_folder
from etf_rotation.cli.options import CODES, output_option
from etf_rotation.console import Progress
from etf_rotation.errors import InputError
from etf_rotation.production import snapshots
from etf_rotation.production.run import PASSED


@click.command(epilog=CODES)
@output_option
@click.option("--database", help="A database, only read (default: the published one).")
@click.option("--pool", default="A_SHARE", show_default=True, help="The pool.")
@click.option(
    "--factors",
    default="all,single,pair,all-but-one",
    show_default=True,
    help="Subsets of the scored factors, separated by commas: all, single, pair, all-but-one, or "
    "names such as ret_20+ret_63.",
)
@click.option(
    "--top-n",
    help="Numbers of funds to hold, such as 3,5,7 (default: the build's, less 2, plus 2 and 4).",
)
@click.option(
    "--rebalance",
    default="monthly,weekly",
    show_default=True,
    help="Any of monthly, weekly, daily.",
)
@click.option("--slippage-bps", help="Basis points (default: the build's, and its double).")
@click.option("--commission-bps", help="Basis points (default: the build's).")
@click.option("--min-weight-change", help="Of equity (default: the build's).")
@click.option("--output", metavar="FILE", help="The table to write, .parquet or .csv.")
@click.option(
    "--processes", type=int, default=os.cpu_count() or 1, help="Default: one for each core."
)
def sweep(
    *,
    output_root: str | None,
    database: str | None,
    pool: str,
    output: str | None,
    processes: int,
    **lists: str | None,
) -> int:
    """Try many variants of a pool's strategy on a finished build, and judge the best as such.

    Choosing the best is fitting to the sample; the deflated Sharpe ratio says how much of it luck
    explains.
    """
    # numpy and the models are only read where they are needed: the other commands start at once.
    from etf_rotation.research import grid, results, sweep  # noqa: PLC0415

    progress = Progress()
    if processes < 1:
        raise InputError(f"--processes is {processes}, which must be 1 or more")
    if output:
        results.check_output(Path(output))
    path = Path(database or published_folder(output_root) / snapshots.DATABASE)
    build = sweep.read_build(path, pool)
    variants = grid.variants(build, lists)
    progress.stage(f"{path}, pool {build.pool}, {len(variants):,} variants")
    sweep.check(build)
    outcomes = sweep.evaluate(
        build,
        variants,
        processes,
        lambda done, total: progress.count(done, total, "variants"),
    )
    trials, rows = results.judge(build, variants, outcomes)
    progress.say("\n" + results.closing(build, trials, rows))
    if output:
        results.write(rows, Path(output))
        progress.say(f"Written to {output} ({progress.seconds:.1f} s)")
    else:
        progress.say(f"Nothing is written without --output ({progress.seconds:.1f} s)")
    return PASSED
