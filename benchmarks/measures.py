"""What can be measured: each method runs commands, one after the other, and returns figures."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from etf_rotation.dbt_project import PROJECT
from measure import BenchError, by_stage, read_nodes, run, wall

HERE = Path(__file__).parent
SEEDS = PROJECT / "seeds"
PEER_PYTHON = PROJECT / ".venv-bench" / "bin" / "python"

# The same pool for both, from the first session that it trades on: about ten years. {database} is
# what dbt build left, {table} one row per variant.
SWEEP_POOL, SWEEP_START = "A_SHARE", "2013-07-01"
OUR_SWEEP = "bin/etf-rotation sweep --database {database} --pool {pool} --output {table}"


@dataclass(frozen=True)
class Checkout:
    """The project at one commit, with the environment (.venv) it runs in."""

    folder: Path

    @property
    def dbt(self) -> Path:
        return self.folder / ".venv" / "bin" / "dbt"

    @property
    def program(self) -> Path:
        return self.folder / "bin" / "etf-rotation"

    def missing(self, option: str) -> str | None:
        """Return what keeps this checkout from running, None where nothing does."""
        for path in (self.dbt, self.program):
            if not path.is_file():
                return f"no {path.relative_to(self.folder)} in the folder of {option}"
        return None

    def commit(self) -> str | None:
        """Return the commit's short hash, None where git knows none."""
        command = ["git", "-C", str(self.folder), "rev-parse", "--short=7", "HEAD"]
        if shutil.which("git") is None:
            return None
        found = subprocess.run(command, check=False, capture_output=True, text=True)
        return found.stdout.strip() or None


OURS = Checkout(PROJECT)


class Measures:
    """The measures, each a method that returns its figures.

    Attributes
    ----------
    agreement : dict of str to dict
        Peer to how its panel agrees with ours, once both have been measured.
    """

    def __init__(self, given: argparse.Namespace, folder: Path):
        self.given = given
        self.folder = folder
        self.agreement: dict[str, dict] = {}

    # ---------- the peers

    def _peer(self, script: str, *arguments) -> dict:
        command = [str(PEER_PYTHON), str(HERE / "peers" / script), *map(str, arguments)]
        figures = run(command, cwd=self.folder, settings={"PYTHONPATH": str(HERE / "peers")})
        try:
            told = json.loads(figures["line"])
        except json.JSONDecodeError:
            raise BenchError(f"{script} ended with: {figures['line']}") from None
        return told | {"whole": figures["seconds"]} | cost(figures)

    def peer_panel(self, name: str, *arguments: str) -> dict:
        """Measure a peer's panel, and keep its file until ours has been compared with it."""
        parquet = self._parquet(name)
        figures = self._peer(f"{name}_panel.py", self.given.market, SEEDS, parquet, *arguments)
        # vectorbt's columns are those of the original system: nothing to compare.
        if name == "vectorbt" or name in self.agreement:
            parquet.unlink()
        return figures

    def _parquet(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"

    def vectorbt_sweep(self) -> dict:
        return self._peer("vectorbt_sweep.py", self.given.pools, SEEDS, SWEEP_POOL, SWEEP_START)

    # ---------- ours, the market

    def _panel(self, raw_root: Path, place: Path) -> dict:
        given = self.given
        database, file = place / "etf_rotation.duckdb", place / "panel.parquet"
        # Python's libraries are imported before dbt starts, as the peers' are before their clock.
        dbt = [sys.executable, str(HERE / "dbt_panel.py"), "--quiet", "build"]
        figures = run(
            [*dbt, *shlex.split(given.panel)],
            cwd=PROJECT,
            settings=dbt_settings(raw_root, place)
            | {"ETF_UNIVERSE": "all", "PYTHONPATH": str(PROJECT / "python")},
        )
        nodes = read_nodes(place / "target")
        export = run(
            [sys.executable, str(HERE / "export_panel.py"), str(database), str(file)],
            cwd=self.folder,
            settings={"PYTHONPATH": str(PROJECT / "python")},
        )
        counted = query(
            "select count(*), count(distinct symbol) from staging.stg_etf_daily", database=database
        )
        bars, funds = map(int, counted.split())
        written = json.loads(export["line"])
        return {
            "from_raw": wall(nodes, given.first, given.last) + written["seconds"],
            "from_bars": written["seconds"],
            "columns": written["columns"],
            "whole": figures["seconds"] + export["seconds"],
            "cpu": figures["cpu"] + export["cpu"],
            "load": figures["load"],
            "peak": max(figures["peak"], export["peak"]),
            "bars": bars,
            "funds": funds,
            "disk": database.stat().st_size + file.stat().st_size,
            "file": file.stat().st_size,
            "stages": by_stage(nodes),
        }

    def panel(self) -> dict:
        """Measure our panel; compare it with the files of the peers that still wait for it."""
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            figures = self._panel(self.given.market, Path(place))
            for name in ("talib", "polars"):
                parquet = self._parquet(name)
                if not parquet.is_file():
                    continue
                ours = str(Path(place, "panel.parquet"))
                command = [sys.executable, str(HERE / "agreement.py"), ours, str(parquet)]
                self.agreement[name] = json.loads(run(command, cwd=self.folder)["line"])
                parquet.unlink()
        return figures

    def grown(self, kind: str, times: int) -> dict:
        """Measure our panel of more data than there is."""
        raw_root = self.folder / f"{kind}_{times}"
        if not raw_root.exists():
            grow = [str(HERE / "grow.py"), kind, str(times), str(self.given.market), str(raw_root)]
            settings = {"PYTHONPATH": str(PROJECT / "python")}
            run([sys.executable, *grow], cwd=self.folder, settings=settings)
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            return self._panel(raw_root, Path(place))

    # ---------- ours, the pools

    def build(self, checkout: Checkout = OURS) -> dict:
        """Measure `dbt build` on the pools; ours stays there for the sweep."""
        place = self.folder / ("build" if checkout is OURS else "build-before")
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        figures = run(
            [str(checkout.dbt), "--quiet", "build"],
            cwd=checkout.folder,
            settings=dbt_settings(self.given.pools, place),
        )
        nodes = read_nodes(place / "target")
        slowest = sorted(nodes, key=lambda node: -node["seconds"])[:15]
        return {
            "whole": figures["seconds"],
            **cost(figures),
            "nodes_wall": nodes[-1]["end"] - nodes[0]["start"],
            "node_count": len(nodes),
            "stages": by_stage(nodes),
            "slowest": {node["name"]: node["seconds"] for node in slowest},
        }

    def production(self, checkout: Checkout = OURS) -> dict:
        """Measure a production run on the evening of the last bar: the gate refuses old data."""
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            figures = run(
                [str(checkout.program), "run", "--as-of", self._last_date()],
                cwd=self.folder,
                settings={
                    "ETF_RAW_ROOT": str(self.given.pools),
                    "ETF_OUTPUT_ROOT": str(Path(place, "etf_rotation_production")),
                },
            )
        return {"whole": figures["seconds"]} | cost(figures)

    def sweep(self) -> dict:
        table = self.folder / "sweep.parquet"
        table.unlink(missing_ok=True)
        database = self.folder / "build" / "etf_rotation.duckdb"
        if not database.is_file():
            raise BenchError("the sweep needs the measure build before it")
        words = shlex.split(OUR_SWEEP.format(database=database, pool=SWEEP_POOL, table=table))
        figures = run([str(PROJECT / words[0]), *words[1:]], cwd=self.folder)
        variants = int(query("select count(*) from read_parquet(?)", table))
        return {"whole": figures["seconds"], **cost(figures), "variants": variants}

    def _last_date(self) -> str:
        found = query(
            "select max(cast(trade_date as varchar)) from read_parquet(?, union_by_name = true)",
            self.given.pools / "ETF" / "daily" / "*.parquet",
        )
        digits = found.replace("-", "")[:8]
        return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"


def cost(figures: dict) -> dict:
    """Return what a command took beside its time: CPU seconds, memory, and the load it met."""
    return {name: figures[name] for name in ("cpu", "load", "peak")}


def dbt_settings(raw_root: Path, place: Path) -> dict[str, str]:
    """Return dbt's settings for a build that leaves all its files in `place`."""
    return {
        "ETF_RAW_ROOT": str(raw_root),
        "ETF_DATABASE": str(place / "etf_rotation.duckdb"),
        "DBT_TARGET_PATH": str(place / "target"),
        "DBT_LOG_PATH": str(place / "logs"),
        "OPENBLAS_NUM_THREADS": "1",
    }


def query(text: str, *arguments: object, database: Path | None = None) -> str:
    """Ask DuckDB in another process; return the first row's values.

    A child's peak memory counts what its parent had at the fork, so this process stays small.
    """
    code = (
        "import duckdb, sys; place, query, *given = sys.argv[1:]; "
        "connection = duckdb.connect(place, read_only=True) if place else duckdb.connect(); "
        "print(*connection.execute(query, given).fetchone())"
    )
    command = [sys.executable, "-c", code, str(database or ""), text, *map(str, arguments)]
    return run(command, cwd=HERE)["line"]
