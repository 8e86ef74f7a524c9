"""The command `sweep`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple

from etf_rotation.console import Progress
from etf_rotation.errors import InputError
from etf_rotation.research import sweep as sweeping
from etf_rotation.research.build import Build, Variant, read_build
from etf_rotation.research.comparison import Asked, compare
from etf_rotation.research.data import read_data
from etf_rotation.research.grid import grid
from etf_rotation.research.results import check_output, judge, write
from etf_rotation.research.summary import summary_text
from etf_rotation.research.walk_forward import read_windows
from etf_rotation.research.workers import workers


class Options(NamedTuple):
    """The command's options, except the values of the settings."""

    pool: str
    strategy: str | None
    processes: int
    cluster: str | None
    holdout_start: str | None
    walk_forward: str | None
    output: str | None


def sweep(
    database: Path, options: Options, values: Mapping[str, str | None], progress: Progress
) -> None:
    """Evaluate the variants in `values`, print a summary, and write a table.

    Raises
    ------
    InputError
        An option or the build cannot be used; raised before any work is done.
    """
    if options.processes < 1:
        raise InputError(f"--processes is {options.processes}, which must be 1 or more")
    output = Path(options.output) if options.output else None
    if output:
        check_output(output)
    windows = read_windows(options.walk_forward) if options.walk_forward else None
    build = read_build(database, options.pool, options.strategy)
    asked = Asked(_holdout_start(build, options.holdout_start), windows)
    variants, left_out = grid(build, {name: values.get(name) for name in Variant._fields})
    progress.stage(f"{database}, {build.strategy} in {build.pool}, {len(variants):,} variants")
    if left_out:
        progress.say(f"{left_out:,} combinations are left out: the rules forbid them")
    data = read_data(build, variants)
    with workers(options.processes, options.cluster) as found:
        sweeping.check(build, data, found)
        results = sweeping.evaluate(
            build,
            data,
            variants,
            found,
            lambda done, total: progress.count(done, total, "variants"),
        )
    trials, rows = judge(build, variants, results)
    comparison = compare(build, data, variants, results, asked)
    progress.say("\n" + summary_text(build, trials, rows, comparison))
    if output:
        write(rows, output)
        progress.say(f"Written to {output} ({progress.seconds:.1f} s)")
    else:
        progress.say(f"Nothing is written without --output ({progress.seconds:.1f} s)")


def _holdout_start(build: Build, given: str | None) -> date | None:
    """Return the date from the option, else from the build's var, else None."""
    text = given or build.variables["holdout_start"]
    if not text:
        return None
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise InputError(f"--holdout-start {text}: it must be a date YYYY-MM-DD") from None
