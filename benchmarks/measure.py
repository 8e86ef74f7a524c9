"""Run one command in a process of its own; read what dbt's nodes took."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

STAGES = {
    "factor_panel": "panel",
    "int_factors__lagged": "panel",
    "int_factor_summary__statistics": "summary",
    "factor_summary": "summary",
}
# Nothing of the caller's settings may reach a measured command: secrets least of all.
FOREIGN = ("ETF_", "DBT_", "DINGTALK_", "WECOM_", "FEISHU_", "SMTP_", "EMAIL_", "PYTHON")


class BenchError(Exception):
    """A measured command that failed, or a result that cannot be read, in one line."""


def run(command: list[str], *, cwd: Path, settings: dict[str, str] | None = None) -> dict:
    """Run a command; return its wall and CPU seconds, peak memory and last line of output.

    Parameters
    ----------
    command : list of str
        Program and arguments.
    cwd : Path
        Working directory.
    settings : dict, optional
        Environment variables, beside the caller's that are not the project's.

    Returns
    -------
    dict
        `seconds`, `cpu` (of the process and its children), `load` (the machine's load average over
        one minute when the command starts), `peak` (bytes, of the largest process), `line` (str).

    Raises
    ------
    BenchError
        If the command fails; its last lines are in the message.
    """
    outside = {name: x for name, x in os.environ.items() if not name.startswith(FOREIGN)}
    environment = outside | {"PYTHONUTF8": "1", "NO_COLOR": "1"} | (settings or {})
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        # What the command before wrote must not be written while this one is measured.
        os.sync()
        load = os.getloadavg()[0]
        started = time.monotonic()
        child = subprocess.Popen(
            command, cwd=cwd, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.terminate()
            child.wait()
            raise
        seconds = time.monotonic() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        lines = log.read().strip().splitlines()
    if child.returncode != 0:
        tail = "\n".join(lines[-15:])
        raise BenchError(f"{' '.join(map(str, command))} ended with {child.returncode}:\n{tail}")
    return {
        "seconds": seconds,
        "cpu": usage.ru_utime + usage.ru_stime,
        "load": load,
        "peak": usage.ru_maxrss * 1024,
        "line": lines[-1] if lines else "",
    }


def read_nodes(target: Path) -> list[dict]:
    """Return dbt's nodes in order of start: `name`, `stage`, `start`, `end` (seconds), `seconds`.

    Raises
    ------
    BenchError
        If dbt left no results.
    """
    try:
        results = json.loads((target / "run_results.json").read_text(encoding="utf-8"))["results"]
        nodes = json.loads((target / "manifest.json").read_text(encoding="utf-8"))["nodes"]
    except FileNotFoundError as error:
        raise BenchError(f"dbt left no {Path(error.filename).name} in {target}") from None
    timed = []
    for result in results:
        if not result["timing"]:  # a hook
            continue
        moments = [
            moment(t[end]) for t in result["timing"] for end in ("started_at", "completed_at")
        ]
        path = nodes.get(result["unique_id"], {}).get("original_file_path", "")
        timed.append(
            {
                "name": result["unique_id"].split(".")[2],
                "stage": stage_of(result["unique_id"], path),
                "start": min(moments),
                "end": max(moments),
                "seconds": result["execution_time"],
            }
        )
    return sorted(timed, key=lambda node: node["start"])


def moment(text: str) -> float:
    """Return an ISO time as seconds."""
    return dt.datetime.fromisoformat(text).timestamp()


def stage_of(unique_id: str, path: str) -> str:
    """Return the stage of a node: the panel, the summary, its folder, or its kind."""
    kind, *_, name = unique_id.split(".")
    if kind == "model":
        return STAGES.get(name, Path(path).parent.name)
    return {"seed": "seeds", "test": "tests"}.get(kind, kind)


def wall(nodes: list[dict], first: str, last: str, *, without: str = "int_expectations__") -> float:
    """Return the wall-clock seconds from the start of one node to the end of another.

    Parameters
    ----------
    nodes : list of dict
        As `read_nodes` returns them.
    first, last : str
        Names of nodes.
    without : str
        Nodes whose names begin so are not counted: the time when nothing but them ran is taken out.

    Raises
    ------
    BenchError
        If one of the two was not run.
    """
    by_name = {node["name"]: node for node in nodes}
    missing = [name for name in (first, last) if name not in by_name]
    if missing:
        raise BenchError(f"dbt ran no node {', '.join(missing)}; see --first and --last")
    start, end = by_name[first]["start"], by_name[last]["end"]
    left_out = [node for node in nodes if node["name"].startswith(without)]
    counted = [node for node in nodes if not node["name"].startswith(without)]
    edges = sorted({start, end, *(t for n in nodes for t in (n["start"], n["end"]))})
    seconds = 0.0
    for a, b in zip(edges, edges[1:], strict=False):
        inside = start <= a and b <= end
        only_left_out = _runs(left_out, a, b) and not _runs(counted, a, b)
        if inside and not only_left_out:
            seconds += b - a
    return seconds


def _runs(nodes: list[dict], a: float, b: float) -> bool:
    return any(node["start"] <= a and b <= node["end"] for node in nodes)


def by_stage(nodes: list[dict]) -> dict[str, float]:
    """Return the nodes' seconds added up by stage; side by side they may exceed the wall clock."""
    seconds: dict[str, float] = defaultdict(float)
    for node in nodes:
        seconds[node["stage"]] += node["seconds"]
    return dict(seconds)
