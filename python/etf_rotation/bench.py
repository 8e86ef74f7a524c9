"""Time a whole build by stage, in a process of its own, and its peak memory."""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from etf_rotation.dbt import PROJECT

STAGES = {
    "factor_panel": "panel",
    "int_factors__lagged": "panel",
    "int_factor_summary__statistics": "summary",
    "factor_summary": "summary",
}


def stage_of(unique_id: str, path: str) -> str:
    """Return the stage of a node: the panel, the summary, its folder, or its kind."""
    kind, *_, name = unique_id.split(".")
    if kind == "model":
        return STAGES.get(name, Path(path).parent.name)
    return {"seed": "seeds", "test": "tests"}.get(kind, kind)


def time_build(raw_root: str, select: list[str]) -> dict[str, float]:
    """Run `dbt build` once; return seconds by stage, of the whole, and of dbt around the nodes.

    Parameters
    ----------
    raw_root : str
        Folder above ETF/daily.
    select : list of str
        Further arguments for dbt.

    Raises
    ------
    subprocess.CalledProcessError
        If the build fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        places = {
            "ETF_RAW_ROOT": raw_root,
            "ETF_DATABASE": f"{folder}/etf_rotation.duckdb",
            "DBT_TARGET_PATH": f"{folder}/target",
            "DBT_LOG_PATH": f"{folder}/logs",
        }
        started = time.monotonic()
        subprocess.run(
            [Path(sys.executable).parent / "dbt", "--quiet", "build", *select],
            cwd=PROJECT,
            env=os.environ | places,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        whole = time.monotonic() - started
        results = json.loads(Path(folder, "target/run_results.json").read_text())
        nodes = json.loads(Path(folder, "target/manifest.json").read_text())["nodes"]
    seconds: dict[str, float] = defaultdict(float)
    for result in results["results"]:
        path = nodes[result["unique_id"]]["original_file_path"]
        seconds[stage_of(result["unique_id"], path)] += result["execution_time"]
    return dict(seconds) | {
        "nodes, wall": results["elapsed_time"],
        "whole, wall": whole,
    }


def main() -> None:
    """Print the medians of a few builds as a table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m etf_rotation.bench")
    parser.add_argument("raw_root", help="folder above ETF/daily")
    parser.add_argument("--runs", type=int, default=3, help="builds to take the median of (3)")
    parser.add_argument("dbt", nargs="*", help="further arguments for dbt build, after --")
    arguments = parser.parse_args()
    raw_root = str(Path(arguments.raw_root).resolve())
    runs = []
    for number in range(1, arguments.runs + 1):
        runs.append(time_build(raw_root, arguments.dbt))
        print(f"run {number}: {runs[-1]['whole, wall']:.1f} s", flush=True)
    print(f"{'stage':<20}{'median s':>10}{'least':>8}{'most':>8}")
    for stage in sorted(runs[0], key=lambda name: statistics.median(r[name] for r in runs)):
        values = [run[stage] for run in runs]
        print(
            f"{stage:<20}{statistics.median(values):>10.2f}{min(values):>8.2f}{max(values):>8.2f}"
        )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"peak memory of one build: {peak:.2f} GiB")


if __name__ == "__main__":
    main()
