"""Standing warnings: warnings that the published build has too.

Reports fold them. Failures are never folded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def is_standing(row: Mapping) -> bool:
    """Return whether a check only repeats a warning of the published build.

    Parameters
    ----------
    row : mapping
        A row of `gate.gate_checks`, or a check without `since`: on files, or on a node.
    """
    return row["status"] == "warn" and row.get("since") == "unchanged"


def named(rows: Iterable[Mapping], column: str, comma: str, semicolon: str) -> str:
    """List the checks of some rows, each once with its pools.

    Parameters
    ----------
    rows : iterable of mapping
        Of `gate.gate_checks`.
    column : str
        Column with the check's name: `check_name`, `title` or `title_zh`.
    comma, semicolon : str
        Separators between pools, and between checks.
    """
    pools: dict[str, list[str]] = {}
    for row in rows:
        pools.setdefault(row[column], []).append(row["pool"])
    return semicolon.join(f"{name} {comma.join(of)}" for name, of in pools.items())
