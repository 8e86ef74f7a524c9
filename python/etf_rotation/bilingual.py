"""A sentence in English and Chinese, written where the fact is known."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bilingual:
    """One text in both languages; `+` joins two texts language by language."""

    en: str
    zh: str

    def __add__(self, other: Bilingual) -> Bilingual:
        return Bilingual(self.en + other.en, self.zh + other.zh)
