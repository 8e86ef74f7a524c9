"""A sentence in English and Chinese, written by the code that knows the fact."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bilingual:
    """One text in both languages; `+` joins two of them language by language."""

    en: str
    zh: str

    def __add__(self, other: Bilingual) -> Bilingual:
        return Bilingual(self.en + other.en, self.zh + other.zh)
