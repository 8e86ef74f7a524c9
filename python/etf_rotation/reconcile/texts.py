"""Texts of this package in English and Chinese, from `texts.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from etf_rotation.errors import InputError

FILE = Path(__file__).parent / "texts.toml"


class RefusedError(InputError):
    """An unusable input: a key of `texts.toml` and the values of its sentence.

    Parameters
    ----------
    key : str
        Key below `refused`.
    **values
        Values of the sentence. Never pass a whole row of a broker's file.
    """

    def __init__(self, key: str, **values: Any):
        self.key, self.values = f"refused.{key}", values
        super().__init__(text("en", self.key, **values))


@cache
def entries() -> dict[str, dict[str, str]]:
    """Return all texts by dotted key, each a dict with the keys `en` and `zh`."""
    found: dict[str, dict[str, str]] = {}

    def collect(prefix: str, table: dict[str, Any]) -> None:
        for name, value in table.items():
            key = f"{prefix}{name}"
            if all(isinstance(part, str) for part in value.values()):
                found[key] = value
            else:
                collect(f"{key}.", value)

    collect("", tomllib.loads(FILE.read_text(encoding="utf-8")))
    return found


def text(language: str, key: str, **values: Any) -> str:
    """Return one text with its fields filled in.

    Parameters
    ----------
    language : str
        `en` or `zh`.
    key : str
        Dotted key of `texts.toml`.
    **values
        Values of its fields.
    """
    return entries()[key][language].format(**values)


def words(language: str, prefix: str) -> dict[str, str]:
    """Return the unformatted texts below a prefix, by the rest of their keys."""
    return {
        key.removeprefix(f"{prefix}."): both[language]
        for key, both in entries().items()
        if key.startswith(f"{prefix}.")
    }
