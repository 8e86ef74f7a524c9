"""Run dbt in this process and return the result of each node."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etf_rotation import dbt_project
from etf_rotation.console import Progress
from etf_rotation.production.settings import Settings
from etf_rotation.production.snapshots import DATABASE

# dbt's output besides the database; only failed runs keep it.
WORK = "dbt"
GATE_REPORT = "gate_report"
# During a build this link points to the run's directory: a path that stays the same.
BUILDING = ".building.new"
PARSED = "partial_parse.msgpack"


@dataclass(frozen=True)
class Node:
    """A node without success; `status` is dbt's: error, fail, warn or skipped."""

    name: str
    status: str
    message: str
    reads_gate: bool = False

    @property
    def is_error(self) -> bool:
        """Whether it could not be computed or checked at all."""
        return self.status in ("error", "runtime error")

    @property
    def check_status(self) -> str:
        """The node's status as a gate check: error, fail, warn, or empty."""
        if self.is_error:
            return "error"
        return self.status if self.status in ("fail", "warn") else ""


@dataclass(frozen=True)
class Build:
    """The result of a build: node counts, failed nodes, and dbt's own error."""

    nodes: int
    notable: tuple[Node, ...]
    fault: str = ""

    @property
    def could_not_run(self) -> bool:
        """Whether something was not computed because of an error."""
        return bool(self.fault) or any(node.is_error for node in self.notable)

    @property
    def has_failed(self) -> bool:
        """Whether a test failed."""
        return any(node.status == "fail" for node in self.notable)


def build(settings: Settings, run: Path, before: Path | None, progress: Progress) -> Build:
    """Build the project into `run`, in target `prod`; write nothing elsewhere.

    Parameters
    ----------
    settings : Settings
        Input and scope of the build.
    run : Path
        The run's directory; receives `etf_rotation.duckdb`, `gate_report/` and `dbt/`.
    before : Path or None
        The published database, with which the gate compares.
    progress : Progress
        Counts the nodes.
    """
    counter = _Counter(progress)
    # Quiet, because errors are printed once, at the end. The log has every detail.
    arguments = ["--quiet", "--no-print", "--log-level", "none", "--log-level-file", "info"]
    arguments += ["build", "--target", "prod", "--vars", json.dumps(settings.dbt_vars)]
    if settings.select or settings.exclude:
        # Without unit tests: they check the code, not the data.
        arguments += ["--exclude-resource-type", "unit_test"]
        for option in ("select", "exclude"):
            values = getattr(settings, option)
            arguments += [f"--{option}", *values] if values else []
        # Cautious, because a test that also reads an excluded model has nothing to
        # check.
        arguments += ["--indirect-selection", "cautious"]
    else:
        arguments += ["--selector", "data_and_research"]
    variables = {
        "ETF_DATA_DOCS": str(run / GATE_REPORT),
        "ETF_PUBLISHED_DATABASE": str(before or ""),
        "ETF_RAW_ROOT": str(settings.raw_root),
    }
    # Redirected, because dbt prints an interruption's stack before it has parsed
    # --quiet.
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        redirect_stdout(nowhere),
        _parsed_before(settings, run) as building,
    ):
        result = dbt_project.invoke(
            arguments,
            database=building / DATABASE,
            folder=run / WORK,
            project=settings.project,
            variables=variables,
            callbacks=[counter],
        )
    if isinstance(result.exception, (KeyboardInterrupt, SystemExit)):
        raise result.exception
    nodes = [] if result.result is None else list(result.result)
    notable = tuple(
        Node(node.node.name, str(node.status), plain(node.message or ""), _reads_gate(node.node))
        for node in nodes
        if str(node.status) not in ("success", "pass", "no-op")
    )
    fault = plain(str(result.exception)) if result.exception else ""
    if not nodes and not fault:
        fault = "dbt built nothing"
    return Build(len(nodes), notable, fault)


@contextmanager
def _parsed_before(settings: Settings, run: Path) -> Iterator[Path]:
    """Reuse dbt's parse result of the previous run, to save 2 s; yield the build path.

    dbt compares files, vars, environment and the database's path with the parse result,
    and parses again what differs. It ignores the project's location and would load the
    seeds of another project. Each project therefore has its own file.
    """
    base = settings.base
    project = hashlib.sha256(str(settings.project.resolve()).encode()).hexdigest()[:12]
    kept, lent = base / f".parsed_{project}", run / WORK / "target" / PARSED
    building, new = base / BUILDING, base / f".parsed_{project}.new"
    building.unlink(missing_ok=True)
    building.symlink_to(run.relative_to(base))
    try:
        if settings.partial:
            yield building
            return
        if kept.is_file():
            lent.parent.mkdir(parents=True)
            shutil.copyfile(kept, lent)
        yield building
        if lent.is_file():
            shutil.copyfile(lent, new)
            os.replace(new, kept)
    finally:
        building.unlink()


def plain(message: str) -> str:
    """Return dbt's message on one line, without its decoration."""
    lines = [line.strip() for line in message.splitlines()]
    lines = [line for line in lines if line and not line.startswith("compiled code at")]
    raised = [number for number, line in enumerate(lines) if line.startswith("InputError: ")]
    if raised:
        return " ".join(lines[raised[0] :]).removeprefix("InputError: ")
    if any(line.startswith("Traceback ") for line in lines):
        # The first line names the model; of the stack only the last line is useful.
        return f"{lines[0]}: {lines[-1]}"
    return " ".join(lines)


def _reads_gate(node: Any) -> bool:
    # Left out: a test on gate_checks repeats that table with less detail.
    return any(name.endswith(".gate_checks") for name in node.depends_on_nodes)


class _Counter:
    """Follows dbt's events."""

    def __init__(self, progress: Progress):
        self.progress = progress
        self.total = 0
        self.done = 0

    def __call__(self, event: Any) -> None:
        if event.info.name == "ConcurrencyLine":
            self.total = event.data.node_count
        elif event.info.name == "NodeFinished":
            self.done += 1
            info = event.data.node_info
            self.progress.nodes(self.done, self.total, f"{info.resource_type} {info.node_name}")


Builder = Callable[[Settings, Path, Path | None, Progress], Build]
