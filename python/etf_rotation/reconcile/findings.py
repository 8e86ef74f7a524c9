"""Findings as data: a key of `texts.toml` and the values of its sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from etf_rotation.reconcile.texts import text


@dataclass(frozen=True)
class Finding:
    """One finding. A break sets exit code 1; any other finding is a note.

    `blocks_holdings` is true if the holdings file must not be written without
    `--accept`.
    """

    key: str
    values: dict[str, str] = field(default_factory=dict)
    is_break: bool = False
    blocks_holdings: bool = False

    def line(self, language: str) -> str:
        """Return the sentence."""
        return text(language, f"finding.{self.key}", **self.values)

    def as_dict(self) -> dict[str, Any]:
        """Return a value that JSON can represent."""
        return {
            "key": self.key,
            "values": self.values,
            "is_break": self.is_break,
            "blocks_holdings": self.blocks_holdings,
        }


def note(key: str, **values: object) -> Finding:
    """Return a note."""
    return Finding(key, {name: str(value) for name, value in values.items()})


def broken(key: str, *, blocks_holdings: bool = True, **values: object) -> Finding:
    """Return a break."""
    return Finding(key, {name: str(value) for name, value in values.items()}, True, blocks_holdings)
