"""`make faults`: inject every fault and print who caught it, as a table."""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import time
from pathlib import Path

import pytest

from faults.elsewhere import ELSEWHERE
from faults.matrix import GROUPS
from faults.workspace import PROJECT, Workspace, make_healthy


class _Reports:
    """Gathers the outcome of each test that pytest runs, and its seconds."""

    def __init__(self):
        self.outcomes, self.seconds = {}, {}

    def pytest_runtest_logreport(self, report):
        test = report.nodeid.rsplit("/", 1)[-1]
        self.seconds[test] = self.seconds.get(test, 0) + report.duration
        if report.when == "call" or not report.passed:
            self.outcomes[test] = report.outcome


def main() -> int:
    """Run every fault and print who caught it; 1 if one got through."""
    began = time.monotonic()
    lines = missed = 0

    def say(name: str, outcome: str, caught_by: str, seconds: float) -> None:
        print(f"{name:46}{outcome:9}{caught_by:50}{seconds:7.1f}", flush=True)

    print(f"{'fault':46}{'outcome':9}{'caught by':50}{'seconds':>7}")
    with tempfile.TemporaryDirectory() as folder:
        healthy = Path(folder) / "healthy"
        make_healthy(healthy)
        workspace = Workspace(Path(folder) / "workspace", healthy)
        for group in GROUPS:
            start = time.monotonic()
            built, words = group.run(workspace)
            share = (time.monotonic() - start) / len(group.faults)
            for fault, wanted in zip(group.faults, words, strict=True):
                caught_by = fault.caught_by
                try:
                    group.check(fault, built, wanted)
                except AssertionError as error:
                    missed += 1
                    caught_by = f"NOT CAUGHT: {error}"
                lines += 1
                say(fault.name, fault.outcome, caught_by, share)
    reports = _Reports()
    tests = [PROJECT / "tests" / "python" / test for tests in ELSEWHERE.values() for test in tests]
    with contextlib.redirect_stdout(io.StringIO()) as output:
        pytest.main(["--no-header", *map(str, tests)], plugins=[reports])
    for name, tests in ELSEWHERE.items():
        for test in tests:
            outcome = reports.outcomes.get(test, "not run")
            lines += 1
            missed += outcome not in ("passed", "skipped")
            caught_by = test.split("::test_")[-1].split("[")[0].replace("_", " ")
            say(name, outcome, caught_by, reports.seconds.get(test, 0))
    if "failed" in reports.outcomes.values():
        print(output.getvalue())
    print(f"{lines} faults, {missed} missed, {time.monotonic() - began:.0f} s")
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
