"""The sentences of this package, in English and in Chinese, from `texts.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from etf_rotation.errors import InputError

FILE = Path(__file__).parent / "texts.toml"


class RefusedError(InputError):
    """Input that cannot be used: a key of `texts.toml` and the values that its sentence names.

    Parameters
    ----------
    key : str
        Key below `refused`.
    **values
        What the sentence names. No value is a whole row of a broker's file.
    """

    def __init__(self, key: str, **values: Any):
        self.key, self.values = f"refused.{key}", values
        super().__init__(text("en", self.key, **values))


@cache
def entries() -> dict[str, dict[str, str]]:
    """Return every text by its dotted key; each has the keys `en` and `zh`."""
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
    """Return one text, filled in.

    Parameters
    ----------
    language : str
        `en` or `zh`.
    key : str
        Dotted key of `texts.toml`.
    **values
        The values of its places.
    """
    return entries()[key][language].format(**values)


def words(language: str, prefix: str) -> dict[str, str]:
    """Return the texts below a prefix, by the rest of their keys, with their places unfilled."""
    return {
        key.removeprefix(f"{prefix}."): both[language]
        for key, both in entries().items()
        if key.startswith(f"{prefix}.")
    }
