"""The texts for readers, from `texts.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "zh")
PATH = Path(__file__).with_name("texts.toml")


@cache
def texts(section: str, language: str) -> dict:
    """Return the texts of a section in one language.

    Parameters
    ----------
    section : str
        A table of `texts.toml`, such as `report`.
    language : str
        One of `LANGUAGES`.

    Returns
    -------
    dict
        Text by key; a key with parts holds a dict of the same form. Do not change it:
        all callers share it.
    """
    return _in_language(tomllib.loads(PATH.read_text(encoding="utf-8"))[section], language)


def _in_language(table: dict, language: str) -> dict:
    return {
        key: value[language] if value.keys() == set(LANGUAGES) else _in_language(value, language)
        for key, value in table.items()
    }
