"""Time the project side by side with TA-Lib and vectorbt, and write docs/benchmarks.md.

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
from importlib.metadata import version
from pathlib import Path

import pages
from etf_rotation.dbt_project import PROJECT
from measure import BenchError, by_stage, read_nodes, run, wall

HERE = Path(__file__).parent
SEEDS = PROJECT / "seeds"
PEER_PYTHON = PROJECT / ".venv-bench" / "bin" / "python"
SCRIPTS = Path(sys.executable).parent

# The suites are not counted, so they are not run either.
PANEL = (
    "--select +factor_panel --exclude int_expectations__raw --exclude-resource-type test unit_test"
)
GROWTH = [("funds", 2), ("funds", 4), ("history", 2), ("history", 4)]

GROWTH_DISK = 20e9  # bytes: the market four times over, built

# The same pool for both, from the first session that it trades on: about ten years. {database} is
# what dbt build left, {table} one row a variant.
SWEEP_POOL, SWEEP_START = "A_SHARE", "2013-07-01"
OUR_SWEEP = "bin/etf-rotation sweep --database {database} --pool {pool} --output {table}"

PACKAGES = ["duckdb", "dbt-core", "dbt-duckdb", "great-expectations", "numpy", "pyarrow"]


class Bench:
    """The measures, each a method that returns figures; `rounds` holds what was found."""

    def __init__(self, given: argparse.Namespace, folder: Path):
        self.given = given
        self.folder = folder
        self.rounds: dict[str, list[dict]] = {}
        self.skipped: dict[str, str] = {}
        self.agreement: dict | None = None

    # ---------- what there is to measure

    def measures(self) -> list[tuple[str, object]]:
        """Return name and function of every measure that can run; note the others."""
        given = self.given
        market = self._missing(given.market, "--market or ETF_MARKET_ROOT")
        free = shutil.disk_usage(self.folder).free
        narrow = f"{free / 1e9:.0f} GB free in TMPDIR, {GROWTH_DISK / 1e9:.0f} needed"
        growth = market or (narrow if free < GROWTH_DISK else None)
        pools = self._missing(given.pools, "--pools or ETF_RAW_ROOT")
        peers = None if PEER_PYTHON.is_file() else "no .venv-bench: run make bench"
        sweep = None if self._has_our_sweep() else "bin/etf-rotation has no sweep"
        table = [
            ("talib", market or peers, self.talib),
            # Next to one another what is nearest to one another: the machine's pace drifts.
            ("panel", market, self.panel),
            ("vectorbt rust", market or peers, lambda: self.vectorbt("rust")),
            ("vectorbt", market or peers, lambda: self.vectorbt("numba")),
            *(
                (
                    f"{kind} × {times}",
                    growth,
                    lambda kind=kind, times=times: self.grown(kind, times),
                )
                for kind, times in GROWTH
            ),
            ("vectorbt sweep", pools or peers, self.vectorbt_sweep),
            ("build", pools, self.build),
            ("sweep", pools or sweep, self.sweep),
            ("production", pools, self.production),
        ]
        chosen = given.only or [name for name, _, _ in table]
        unknown = set(chosen) - {name for name, _, _ in table}
        if unknown:
            raise BenchError(f"no measure {', '.join(sorted(unknown))}")
        for name, reason, _ in table:
            if reason or name not in chosen:
                self.skipped[name] = reason or "not asked for"
        return [(name, function) for name, _, function in table if name not in self.skipped]

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

    # ---------- the peers

    def _peer(self, script: str, *arguments) -> dict:
        command = [str(PEER_PYTHON), str(HERE / "peers" / script), *map(str, arguments)]
        figures = run(command, cwd=self.folder, settings={"PYTHONPATH": str(HERE / "peers")})
        try:
            told = json.loads(figures["line"])
        except json.JSONDecodeError:
            raise BenchError(f"{script} ended with: {figures['line']}") from None
        return told | {"whole": figures["seconds"]} | cost(figures)

    def talib(self) -> dict:
        return self._peer("talib_panel.py", self.given.market, SEEDS, self.folder / "talib.parquet")

    def vectorbt(self, engine: str) -> dict:
        parquet = self.folder / "vectorbt.parquet"
        figures = self._peer(
            "vectorbt_panel.py", self.given.market, SEEDS, parquet, "--engine", engine
        )
        parquet.unlink()
        return figures

    def vectorbt_sweep(self) -> dict:
        return self._peer("vectorbt_sweep.py", self.given.pools, SEEDS, SWEEP_POOL, SWEEP_START)

    # ---------- ours

    def _dbt(self, raw_root: Path, place: Path, *arguments: str) -> dict:
        settings = {
            "ETF_RAW_ROOT": str(raw_root),
            "ETF_DATABASE": str(place / "etf_rotation.duckdb"),
            "DBT_TARGET_PATH": str(place / "target"),
            "DBT_LOG_PATH": str(place / "logs"),
            "OPENBLAS_NUM_THREADS": "1",
        }
        dbt = [str(SCRIPTS / "dbt")]
        if "+factor_panel" in arguments:
            settings |= {"ETF_UNIVERSE": "all", "PYTHONPATH": str(PROJECT / "python")}
            dbt = [sys.executable, str(HERE / "dbt_panel.py")]
        figures = run([*dbt, "--quiet", "build", *arguments], cwd=PROJECT, settings=settings)
        return figures | {"nodes": read_nodes(place / "target")}

    def _panel(self, raw_root: Path, place: Path) -> dict:
        figures = self._dbt(raw_root, place, *shlex.split(self.given.panel))
        nodes = figures.pop("nodes")
        given = self.given
        counted = self._query(
            "select count(*), count(distinct symbol) from staging.stg_etf_daily",
            database=place / "etf_rotation.duckdb",
        )
        bars, funds = map(int, counted.split())
        # As the peers do: all columns into one parquet file.
        file = place / "panel.parquet"
        database = str(place / "etf_rotation.duckdb")
        export = run(
            [sys.executable, str(HERE / "export_panel.py"), database, str(file)],
            cwd=self.folder,
            settings={"PYTHONPATH": str(PROJECT / "python")},
        )
        seconds = json.loads(export["line"])["seconds"]
        return {
            "from_raw": wall(nodes, given.first, given.last) + seconds,
            "from_bars": wall(nodes, given.bars, given.last) + seconds,
            "export": seconds,
            "whole": figures["seconds"] + export["seconds"],
            "cpu": figures["cpu"] + export["cpu"],
            "load": figures["load"],
            "peak": max(figures["peak"], export["peak"]),
            "bars": bars,
            "funds": funds,
            "disk": sum(path.stat().st_size for path in place.glob("**/*") if path.is_file()),
            "stages": by_stage(nodes),
        }

    def panel(self) -> dict:
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            figures = self._panel(self.given.market, Path(place))
            parquet = self.folder / "talib.parquet"
            if self.agreement is None and parquet.is_file():
                database = str(Path(place, "etf_rotation.duckdb"))
                command = [sys.executable, str(HERE / "agreement.py"), database, str(parquet)]
                self.agreement = json.loads(run(command, cwd=self.folder)["line"])
        return figures

    def grown(self, kind: str, times: int) -> dict:
        raw_root = self.folder / f"{kind}_{times}"
        if not raw_root.exists():
            grow = [str(HERE / "grow.py"), kind, str(times), str(self.given.market), str(raw_root)]
            settings = {"PYTHONPATH": str(PROJECT / "python")}
            run([sys.executable, *grow], cwd=self.folder, settings=settings)
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            return self._panel(raw_root, Path(place))

    def build(self) -> dict:
        place = self.folder / "build"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        figures = self._dbt(self.given.pools, place)
        nodes = figures["nodes"]
        slowest = sorted(nodes, key=lambda node: -node["seconds"])[:15]
        return {
            "whole": figures["seconds"],
            **cost(figures),
            "nodes_wall": nodes[-1]["end"] - nodes[0]["start"],
            "node_count": len(nodes),
            "stages": by_stage(nodes),
            "slowest": {node["name"]: node["seconds"] for node in slowest},
        }

    def sweep(self) -> dict:
        table = self.folder / "sweep.parquet"
        table.unlink(missing_ok=True)
        database = self.folder / "build" / "etf_rotation.duckdb"
        if not database.is_file():
            raise BenchError("the sweep needs the measure build before it")
        words = shlex.split(OUR_SWEEP.format(database=database, pool=SWEEP_POOL, table=table))
        figures = run([str(PROJECT / words[0]), *words[1:]], cwd=self.folder)
        counted = self._query("select count(*) from read_parquet(?)", table)
        return {
            "whole": figures["seconds"],
            **cost(figures),
            "variants": int(counted),
        }

    def _query(self, query: str, *arguments: object, database: Path | None = None) -> str:
        """Ask DuckDB in another process; return the first row's values.

        A child's peak memory counts what its parent had at the fork, so this process stays small.
        """
        code = (
            "import duckdb, sys; place, query, *given = sys.argv[1:]; "
            "connection = duckdb.connect(place, read_only=True) if place else duckdb.connect(); "
            "print(*connection.execute(query, given).fetchone())"
        )
        command = [sys.executable, "-c", code, str(database or ""), query, *map(str, arguments)]
        return run(command, cwd=self.folder)["line"]

    def _last_date(self) -> str:
        found = self._query(
            "select max(cast(trade_date as varchar)) from read_parquet(?, union_by_name = true)",
            self.given.pools / "ETF" / "daily" / "*.parquet",
        )
        digits = found.replace("-", "")[:8]
        return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"

    def production(self) -> dict:
        # As on the evening of the last bar: the gate refuses old data.
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            figures = run(
                [str(PROJECT / "bin" / "etf-rotation"), "run", "--as-of", self._last_date()],
                cwd=self.folder,
                settings={
                    "ETF_RAW_ROOT": str(self.given.pools),
                    "ETF_OUTPUT_ROOT": str(Path(place, "etf_rotation_production")),
                },
            )
        return {"whole": figures["seconds"]} | cost(figures)

    # ---------- all of it

    def measure(self) -> dict:
        """Run every measure `runs` times, in rounds; return all figures.

        A measure that fails is named, left out from then on, and the others go on.
        """
        measures = self.measures()
        for name, reason in self.skipped.items():
            say(f"skipped: {name} ({reason})")
        for number in range(1, self.given.runs + 1):
            for name, function in measures:
                if name in self.skipped:
                    continue
                started = time.monotonic()
                try:
                    figures = function()
                except BenchError as error:
                    say(f"round {number} of {self.given.runs}, {name}: FAILED, {error}")
                    self.skipped[name] = str(error)
                    self.rounds.pop(name, None)
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
        return {
            "date": time.strftime("%Y-%m-%d"),
            "runs": self.given.runs,
            "machine": machine(),
            "versions": {name: version(name) for name in PACKAGES},
            "rounds": self.rounds,
            "agreement": self.agreement,
            "skipped": self.skipped,
            "panel_arguments": self.given.panel,
            "sweep": {"pool": SWEEP_POOL, "start": SWEEP_START},
        }


def say(text: str) -> None:
    print(text, flush=True)


def cost(figures: dict) -> dict:
    """Return what a command took beside its time: CPU seconds, memory, and the load it met."""
    return {name: figures[name] for name in ("cpu", "load", "peak")}


def summary(figures: dict) -> str:
    """Return a measure's figures for the progress line."""
    seconds = figures.get("seconds") or {
        name: figures[name] for name in ("from_raw", "from_bars", "whole") if name in figures
    }
    parts = [f"{name} {value:.2f} s" for name, value in seconds.items()]
    parts += [f"CPU {figures['cpu']:.2f} s", f"peak {figures['peak'] / 2**30:.2f} GiB"]
    return ", ".join([*parts, f"load {figures['load']:.1f}"])


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
    new.add_argument("--only", nargs="+", metavar="MEASURE", help="these measures, no pages")
    new.add_argument("--panel", default=PANEL, help=f"dbt's arguments for the panel ({PANEL})")
    new.add_argument("--first", default="raw_files", help="first node of the panel (raw_files)")
    new.add_argument("--bars", default="int_bars", help="first node after the bars (int_bars)")
    new.add_argument("--last", default="factor_panel", help="last node of the panel (factor_panel)")
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
            with tempfile.TemporaryDirectory(prefix="etf_bench_") as folder:
                bench = Bench(given, Path(folder))
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
