"""The last result of each fund, in `{raw_root}/.fetch/state.json`.

The file holds no time of day: fetching twice changes no byte.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

FOLDER = ".fetch"
STATE = "state.json"

# Kinds of result, in the order of the summary.
GAINED, UP_TO_DATE, LATE, RESTATED, DISAGREES, FAILED, ENDED = (
    "gained",
    "up_to_date",
    "late",
    "restated",
    "disagrees",
    "failed",
    "ended",
)
KINDS = (GAINED, UP_TO_DATE, LATE, RESTATED, DISAGREES, FAILED, ENDED)
FINE = (GAINED, UP_TO_DATE, ENDED)


@dataclass(frozen=True)
class Result:
    """The result of a fund.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    asked : str
        Last session of the request, ISO.
    reason : dict
        The reason by language; empty if there is none.
    rows : int
        Rows gained.
    """

    kind: str
    asked: str
    reason: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0

    def why(self, language: str) -> str:
        """Return the reason in a language."""
        return self.reason.get(language, "")


def load(root: Path) -> dict[str, Result]:
    """Return the results by symbol; an unreadable file counts as none."""
    try:
        content = json.loads((root / FOLDER / STATE).read_text(encoding="utf-8"))
        return {
            symbol: Result(**entry) for symbol, entry in content.items() if entry["kind"] in KINDS
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def save(root: Path, results: Mapping[str, Result]) -> None:
    """Replace the file atomically, unless it is unchanged."""
    entries = {}
    for symbol, result in sorted(results.items()):
        entry = asdict(result)
        # The file does not record whether the rows came with this call or an earlier
        # one.
        del entry["rows"]
        entry["kind"] = UP_TO_DATE if result.kind == GAINED else result.kind
        entries[symbol] = entry
    text = json.dumps(entries, indent=1, ensure_ascii=False) + "\n"
    path = root / FOLDER / STATE
    if path.is_file() and path.read_text(encoding="utf-8", errors="replace") == text:
        return
    temporary = path.with_name(f".{STATE}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
