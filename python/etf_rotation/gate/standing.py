"""Warnings that the published build has too. Readers see them folded; failures are never folded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def is_standing(row: Mapping) -> bool:
    """Return whether a check only repeats a warning of the published build.

    Parameters
    ----------
    row : mapping
        Of `gate.gate_checks`, or of a check that has no `since`: of the files, or of a node.
    """
    return row["status"] == "warn" and row.get("since") == "unchanged"


def named(rows: Iterable[Mapping], column: str, comma: str, semicolon: str) -> str:
    """Return the checks of some rows, each once with its pools.

    Parameters
    ----------
    rows : iterable of mapping
        Of `gate.gate_checks`.
    column : str
        What a check is called by: `check_name`, `title` or `title_zh`.
    comma, semicolon : str
        What stands between pools, and between checks.
    """
    pools: dict[str, list[str]] = {}
    for row in rows:
        pools.setdefault(row[column], []).append(row["pool"])
    return semicolon.join(f"{name} {comma.join(of)}" for name, of in pools.items())
