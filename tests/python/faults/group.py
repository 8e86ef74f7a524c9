"""A fault, how it must end, and the build that must catch it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from faults.workspace import Built, Workspace

STOPPED, FAILED, WARNED = "stopped", "failed", "warned"


# Words that no name of a table, column or file holds.
WORDS = "a|after|and|as|has|in|is|it|no|not|of|on|rows?|such|the|this|to|was"


# A folder's name may hold some with a hyphen.
ENGLISH = re.compile(rf"(?<![-\w])(?:{WORDS})(?![-\w])")


@dataclass
class Fault:
    """A fault, and how it must end.

    Parameters
    ----------
    name : str
        What is wrong.
    outcome : str
        `stopped` before anything is computed, `failed` by the gate, or `warned`.
    caught_by : str
        The check, or the model or test that stops, as a pattern where it is one of several.
    inject : callable
        Takes the workspace, and returns the words that the message must hold.
    besides : tuple of str
        Checks that must fail too, for one follows from the other.
    """

    name: str
    outcome: str
    caught_by: str
    inject: Callable[[Workspace], list[str]]
    besides: tuple[str, ...] = ()


@dataclass
class Group:
    """Faults in different files, funds or models: one build must name each of them.

    Parameters
    ----------
    faults : list of Fault
        What goes into it.
    build : tuple of str
        Arguments of the build.
    after_healthy : bool
        Whether to start from the healthy database and build what the faults concern.
    variables : dict
        Environment of the build; `{folder}` is the workspace's.
    """

    faults: list[Fault]
    build: tuple[str, ...] = ()
    after_healthy: bool = False
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """All that is wrong."""
        return ", ".join(fault.name for fault in self.faults)

    def run(self, workspace: Workspace) -> tuple[Built, list[list[str]]]:
        """Put the faults in and build; return that, and the words wanted for each fault."""
        workspace.reset(with_database=self.after_healthy)
        words = [fault.inject(workspace) for fault in self.faults]
        variables = {
            name: value.format(folder=workspace.folder) for name, value in self.variables.items()
        }
        return workspace.build(*self.build, **variables), words

    def check(self, fault: Fault, built: Built, words: list[str]) -> None:
        """Assert that the build caught a fault as it must be."""
        if fault.outcome == STOPPED:
            found = _stopped_by(fault, built, self.after_healthy)
        else:
            found = self._found_by_the_gate(fault, built)
        text = "\n".join(found)
        for word in words:
            assert word in text, (word, text)

    def _found_by_the_gate(self, fault: Fault, built: Built) -> list[str]:
        failing = [other for other in self.faults if other.outcome == FAILED]
        assert built.exit_code == (1 if failing else 0), built.errors
        expected = {name for one in failing for name in (one.caught_by, *one.besides)}
        others = {row["check_name"] for row in built.checks if row["status"] == "fail"}
        assert others <= expected, others - expected
        for row in built.checks:
            assert not ENGLISH.search(row["message_zh"]), row["message_zh"]
        found = built.messages(fault.caught_by, {FAILED: "fail", WARNED: "warn"}[fault.outcome])
        assert found, [row for row in built.checks if row["status"] != "pass"]
        if fault.outcome == FAILED:
            # As the end of the build shows it.
            (test,) = [line for line in built.errors if line.startswith("assert_no_gate_check_f")]
            assert all(message in test for message in found), (found, test)
        return found


def _stopped_by(fault: Fault, built: Built, after_healthy: bool) -> list[str]:
    assert built.exit_code == 1
    assert "stg_etf_daily" not in built.ran or after_healthy
    assert "gate_checks" not in built.ran
    found = [line for line in built.errors if re.match(f"({fault.caught_by}):", line)]
    assert found, built.errors
    return found


def run(group: Group, workspace: Workspace) -> None:
    """Put faults in, build, and assert that each was caught as it must be."""
    built, words = group.run(workspace)
    for fault, wanted in zip(group.faults, words, strict=True):
        group.check(fault, built, wanted)


PUBLISHED = {"ETF_PUBLISHED_DATABASE": "{folder}/published.duckdb"}


GATE = (
    *("int_gate_observations", "gate_violations", "gate_checks", "int_gate_checks__built"),
    *("assert_no_gate_check_fails", "assert_no_gate_check_warns"),
)


CAPACITY = ("int_capacity__weights", "int_capacity__checks", "capacity_checks")


def gate_after(*models: str, extra: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the arguments of a build of some models and of the gate, with the gate's tests only.

    The rest is that of the healthy build: of no concern to what must catch the fault.
    """
    return ("--select", *models, *GATE, "--indirect-selection", "empty", *extra)


# Up to the bars, which no stopped build computes. What a fault of a seed breaks besides is shown by
# the groups without a selection.
BARS = ("--select", "+stg_etf_daily", "--indirect-selection", "empty")


STAGING = gate_after("path:models/staging", "assert_raw_expectations_hold")

# With every test of the raw rows, the bars and the factors.
TO_THE_PANEL = (
    *("--select", "path:models/staging", "path:models/factors", "+factor_panel", *GATE),
    *("--indirect-selection", "cautious"),
)
