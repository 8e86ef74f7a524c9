"""Faults that have tests of their own: of the program around the build, and of formulas."""

from __future__ import annotations

# Faults of the program around the build, and of formulas, have tests of their own.
ELSEWHERE = {
    "a factor that reads tomorrow's bar": (
        "test_lookahead.py::test_a_peek_is_found_and_named[a factor]",
    ),
    "disk full": (
        "production/test_snapshots.py::test_a_full_disk_leaves_what_was_published",
        "production/test_snapshots.py::test_a_limit_on_file_size_leaves_what_was_published",
    ),
    "the process killed at any moment": (
        "production/test_snapshots.py::test_killed_at_any_moment_what_is_published_is_whole",
    ),
    "two builds at once": (
        "production/test_snapshots.py::test_a_second_run_is_refused_and_names_the_first",
    ),
    "a failed build, what is published untouched": (
        "production/test_snapshots.py::test_a_failed_gate_publishes_nothing",
    ),
}
