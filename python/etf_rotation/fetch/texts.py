"""The sentences of fetch and import in the user's language."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from etf_rotation.errors import InputError

TEXTS = Path(__file__).with_name("texts.toml")
LANGUAGES = ("en", "zh")
LIST_LENGTH = 8  # names per line; the rest is counted


class RefusedError(InputError):
    """An unusable input or answer; `key` names the sentence, `facts` fill it in."""

    def __init__(self, key: str, **facts: object):
        super().__init__(Texts("en").text(key, **facts))
        self.key = key
        self.facts = facts


class Texts:
    """The sentences of `texts.toml` in one language.

    Parameters
    ----------
    language : str
        `en` or `zh`.
    """

    def __init__(self, language: str):
        self.language = language

    def text(self, key: str, **facts: object) -> str:
        """Return a sentence; errors and lists among the facts use the same language."""
        said = {name: self._fact(fact) for name, fact in facts.items()}
        return sentences()[key][self.language].format(**said)

    def _fact(self, fact: object) -> object:
        if isinstance(fact, Exception):
            return self.refusal(fact)
        return self.names(fact) if isinstance(fact, list) else fact

    def refusal(self, error: Exception) -> str:
        """Return the message of an error."""
        if isinstance(error, RefusedError):
            return self.text(error.key, **error.facts)
        return " ".join(str(error).split())

    def names(self, names: list[str]) -> str:
        """Return the first names in one line, and the number of the others."""
        shown = ", ".join(names[:LIST_LENGTH])
        if len(names) > LIST_LENGTH:
            shown += self.text("and_more", count=len(names) - LIST_LENGTH)
        return shown


def in_each_language(error: Exception) -> dict[str, str]:
    """Return the message of an error by language."""
    return {language: Texts(language).refusal(error) for language in LANGUAGES}


@cache
def sentences() -> dict[str, dict[str, str]]:
    """Return every sentence by key and language."""
    return tomllib.loads(TEXTS.read_text(encoding="utf-8"))
