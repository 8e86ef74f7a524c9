"""Time the project side by side with TA-Lib, polars and vectorbt, and write docs/benchmarks.md.

Everything runs one after the other, each measured command in a process of its own, in rounds: so
that a machine that slows down slows all of them. What cannot run is skipped and named; then the
pages are not written. The figures are kept in target/bench.json; --pages writes the pages from it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pages
import yaml
from etf_rotation.dbt_project import PROJECT
from measure import BenchError
from measures import OUR_SWEEP, OURS, PEER_PYTHON, SWEEP_POOL, SWEEP_START, Checkout, Measures

# The suites are not counted, so they are not run either.
PANEL = (
    "--select +stg_etf_daily +trading_calendar --exclude int_expectations__raw "
    "--exclude-resource-type test unit_test"
)
# Kind, times, and the free bytes that it needs: the database and the parquet file of its panel.
GROWTH = [
    ("funds", 2, 10e9),
    ("funds", 4, 20e9),
    ("history", 2, 10e9),
    ("history", 4, 20e9),
    ("funds", 15, 52e9),  # of the market of 2026: 10 million bars
]
ONCE = {"funds-15"}  # minutes, and tens of GB: measured in the first round only

PACKAGES = ["duckdb", "dbt-core", "dbt-duckdb", "great-expectations", "numpy", "pyarrow"]


@dataclass(frozen=True)
class Measure:
    """One line of the benchmark: its name, what keeps it from running, and what runs it."""

    name: str
    missing: str | None
    function: Callable[[], dict]


class Bench:
    """All measures in rounds; `rounds` holds what was found, and `kept` what was found before."""

    def __init__(self, given: argparse.Namespace, folder: Path, kept: dict | None = None):
        self.given = given
        self.folder = folder
        self.kept = kept or {}
        self.does = Measures(given, folder)
        self.rounds: dict[str, list[dict]] = {}
        self.skipped: dict[str, str] = {}

    # ---------- what there is to measure

    def measures(self) -> list[Measure]:
        """Return every measure that can run, in order; note the others."""
        table = [*self._panels(), *self._growth(), *self._pools()]
        chosen = self.given.only or [measure.name for measure in table]
        unknown = set(chosen) - {measure.name for measure in table}
        if unknown:
            names = ", ".join(measure.name for measure in table)
            raise BenchError(f"no measure {', '.join(sorted(unknown))}; there are {names}")
        for measure in table:
            if measure.missing or measure.name not in chosen:
                self.skipped[measure.name] = measure.missing or "not asked for"
        return [measure for measure in table if measure.name not in self.skipped]

    def _panels(self) -> list[Measure]:
        does, market = self.does, self._missing_market()
        peers = market or self._missing_peers()
        # Next to one another what is nearest to one another: the machine's pace drifts.
        return [
            Measure("polars", peers, lambda: does.peer_panel("polars")),
            Measure("talib", peers, lambda: does.peer_panel("talib")),
            Measure("panel", market, does.panel),
            Measure(
                "vectorbt-rust", peers, lambda: does.peer_panel("vectorbt", "--engine", "rust")
            ),
            Measure("vectorbt", peers, lambda: does.peer_panel("vectorbt", "--engine", "numba")),
        ]

    def _growth(self) -> list[Measure]:
        free = shutil.disk_usage(self.folder).free
        measures = []
        for kind, times, needed in GROWTH:
            narrow = f"{free / 1e9:.0f} GB free in TMPDIR, {needed / 1e9:.0f} needed"
            missing = self._missing_market() or (narrow if free < needed else None)
            grown = lambda kind=kind, times=times: self.does.grown(kind, times)  # noqa: E731
            measures.append(Measure(f"{kind}-{times}", missing, grown))
        return measures

    def _pools(self) -> list[Measure]:
        does, pools = self.does, self._missing(self.given.pools, "--pools or ETF_RAW_ROOT")
        sweep = None if self._has_our_sweep() else "bin/etf-rotation has no sweep"
        measures = [
            Measure("vectorbt-sweep", pools or self._missing_peers(), does.vectorbt_sweep),
            Measure("build", pools, does.build),
            Measure("sweep", pools or sweep, does.sweep),
            Measure("production", pools, does.production),
        ]
        if self.given.against:
            before = Checkout(self.given.against)
            missing = pools or before.missing("--against")
            build = Measure("build-before", missing, lambda: does.build(before))
            measures.insert(2, build)
            measures.append(Measure("production-before", missing, lambda: does.production(before)))
        return measures

    def _missing_market(self) -> str | None:
        return self._missing(self.given.market, "--market or ETF_MARKET_ROOT")

    @staticmethod
    def _missing_peers() -> str | None:
        return None if PEER_PYTHON.is_file() else "no .venv-bench: run make bench"

    @staticmethod
    def _missing(root: Path | None, option: str) -> str | None:
        if root is None:
            return f"no raw data given: {option}"
        if not any((root / "ETF" / "daily").glob("*.parquet")):
            return f"no .parquet file in the folder ETF/daily of {option}"
        return None

    @staticmethod
    def _has_our_sweep() -> bool:
        program, *words = shlex.split(OUR_SWEEP)
        found = subprocess.run(
            [PROJECT / program, words[0], "--help"], check=False, capture_output=True
        )
        return found.returncode == 0

    # ---------- all of it

    def measure(self) -> dict:
        """Run every measure `runs` times, in rounds; return all figures.

        A measure that fails is named, left out from then on, and the others go on.
        """
        measures = self.measures()
        for name, reason in self.skipped.items():
            say(f"skipped: {name} ({reason})")
        for number in range(1, self.given.runs + 1):
            for measure in measures:
                name = measure.name
                if name in self.skipped or (name in ONCE and number > 1):
                    continue
                started = time.monotonic()
                try:
                    figures = measure.function()
                except BenchError as error:
                    say(f"round {number} of {self.given.runs}, {name}: FAILED, {error}")
                    self.skipped[name] = str(error)
                    for found in (self.rounds, self.kept.get("rounds", {})):
                        found.pop(name, None)
                    continue
                self.rounds.setdefault(name, []).append(figures)
                seconds = time.monotonic() - started
                say(
                    f"round {number} of {self.given.runs}, {name}: {summary(figures)}; "
                    f"in all {seconds:.0f} s"
                )
                self.keep()
        return self.results()

    def keep(self) -> None:
        """Write what has been found so far."""
        self.given.results.parent.mkdir(parents=True, exist_ok=True)
        self.given.results.write_text(json.dumps(self.results(), indent=1), encoding="utf-8")

    def results(self) -> dict:
        """Return what has been found so far, and what it depends on."""
        rounds = self.kept.get("rounds", {}) | self.rounds
        skipped = self.kept.get("skipped", {}) | self.skipped
        before = Checkout(self.given.against).commit() if self.given.against else None
        return {
            "date": time.strftime("%Y-%m-%d"),
            "runs": self.kept.get("runs", self.given.runs),
            **conditions(),
            "rounds": rounds,
            "agreement": self.kept.get("agreement", {}) | self.does.agreement,
            "skipped": {name: reason for name, reason in skipped.items() if name not in rounds},
            "panel_arguments": self.given.panel,
            "sweep": {"pool": SWEEP_POOL, "start": SWEEP_START},
            "before": before or self.kept.get("before"),
        }


def say(text: str) -> None:
    print(text, flush=True)


def summary(figures: dict) -> str:
    """Return a measure's figures for the progress line."""
    seconds = figures.get("seconds") or {
        name: figures[name] for name in ("from_raw", "from_bars", "whole") if name in figures
    }
    parts = [f"{name} {value:.2f} s" for name, value in seconds.items()]
    parts += [f"CPU {figures['cpu']:.2f} s", f"peak {figures['peak'] / 2**30:.2f} GiB"]
    return ", ".join([*parts, f"load {figures['load']:.1f}"])


def conditions() -> dict:
    """Return what all figures depend on: the project, the packages and the machine."""
    project = yaml.safe_load((PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))
    return {
        "project": {"version": project["version"], "commit": OURS.commit()},
        "versions": {name: version(name) for name in PACKAGES},
        "machine": machine(),
    }


def kept_figures(path: Path) -> dict:
    """Return the figures that are kept, to which others are added.

    Raises
    ------
    BenchError
        If there are none, or they were measured under other conditions.
    """
    if not path.is_file():
        raise BenchError(f"--add: no figures in {path}")
    kept = json.loads(path.read_text(encoding="utf-8"))
    for name, now in conditions().items():
        if kept.get(name) != now:
            raise BenchError(f"--add: the figures in {path} are of another {name}: measure all")
    return kept


def machine() -> dict:
    """Return what the figures depend on: processor, cores, memory, system, Python."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        cpu = names[0].split(":", 1)[1].strip() if names else cpu
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    new = argparse.ArgumentParser(description=__doc__, prog="make bench")

    def root(name: str) -> Path | None:
        return Path(os.environ[name]).resolve() if os.environ.get(name) else None

    def folder(text: str) -> Path:
        return Path(text).resolve()

    new.add_argument(
        "--market",
        type=folder,
        default=root("ETF_MARKET_ROOT"),
        help="raw root of the whole market (ETF_MARKET_ROOT)",
    )
    new.add_argument(
        "--pools",
        type=folder,
        default=root("ETF_RAW_ROOT"),
        help="raw root of the pools' funds (ETF_RAW_ROOT)",
    )
    new.add_argument("--runs", type=int, default=3, help="rounds to take the median of (3)")
    new.add_argument("--only", nargs="+", metavar="MEASURE", help="these measures alone")
    new.add_argument(
        "--add",
        action="store_true",
        help="keep the other measures' figures of an earlier run, instead of starting afresh",
    )
    new.add_argument(
        "--against",
        type=folder,
        metavar="CHECKOUT",
        help="measure dbt build and the production run of this older checkout, too (needs a .venv)",
    )
    new.add_argument("--panel", default=PANEL, help=f"dbt's arguments for the panel ({PANEL})")
    new.add_argument("--first", default="raw_files", help="first node (raw_files)")
    new.add_argument("--last", default="stg_etf_daily", help="last node (stg_etf_daily)")
    new.add_argument(
        "--results",
        type=folder,
        default=PROJECT / "target" / "bench.json",
        help="where the figures are kept (target/bench.json)",
    )
    new.add_argument(
        "--docs", type=folder, default=PROJECT / "docs", help="folder for the pages (docs)"
    )
    new.add_argument(
        "--pages",
        action="store_true",
        help="measure nothing, write the pages from the figures that are kept",
    )
    return new


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Measure, keep the figures, print the ratios, and write the pages if nothing is missing."""
    given = parser().parse_args()
    # Gigabytes lie in the temporary folder: they go when the command is stopped, too.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if given.pages:
            results = json.loads(given.results.read_text(encoding="utf-8"))
        else:
            kept = kept_figures(given.results) if given.add else None
            with tempfile.TemporaryDirectory(prefix="etf_bench_") as folder:
                bench = Bench(given, Path(folder), kept)
                results = bench.measure()
                bench.keep()
        print(pages.ratios(results))
        if results["skipped"]:
            say(f"no pages written: {len(results['skipped'])} measures are missing")
            return 1
        for path in pages.write(results, given.docs):
            say(f"wrote {path.name}")
    except (BenchError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
