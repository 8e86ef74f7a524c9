"""What reconciling finds, as data: a key of `texts.toml` and the values that its line names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from etf_rotation.reconcile.texts import text


@dataclass(frozen=True)
class Finding:
    """One line. A break makes the command exit with 1; the rest is for the reader to know.

    `blocks_holdings` says that the account is not known well enough to be handed on.
    """

    key: str
    values: dict[str, str] = field(default_factory=dict)
    is_break: bool = False
    blocks_holdings: bool = False

    def line(self, language: str) -> str:
        """Return the sentence."""
        return text(language, f"finding.{self.key}", **self.values)

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "key": self.key,
            "values": self.values,
            "is_break": self.is_break,
            "blocks_holdings": self.blocks_holdings,
        }


def note(key: str, **values: object) -> Finding:
    """Return something to know."""
    return Finding(key, {name: str(value) for name, value in values.items()})


def broken(key: str, *, blocks_holdings: bool = True, **values: object) -> Finding:
    """Return something that does not hold."""
    return Finding(key, {name: str(value) for name, value in values.items()}, True, blocks_holdings)
