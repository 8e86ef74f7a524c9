"""Every text for readers exists in English and in Chinese."""

import csv
import re
import string
import tomllib

import pytest
from conftest import PROJECT
from etf_rotation.texts import LANGUAGES, PATH

HAN = re.compile("[一-鿿]")


def leaves(table, path=()):
    """The texts of a file, as (key, its values by language)."""
    for key, value in table.items():
        if any(isinstance(one, dict) for one in value.values()):
            yield from leaves(value, (*path, key))
        else:
            yield ".".join((*path, key)), value


TEXTS = dict(leaves(tomllib.loads(PATH.read_text(encoding="utf-8"))))


def fields(text):
    """The names that a text leaves open."""
    return sorted(field for _, field, _, _ in string.Formatter().parse(text) if field)


@pytest.mark.parametrize("key", TEXTS)
def test_a_text_stands_in_both_languages_with_the_same_fields(key):
    text = TEXTS[key]
    assert set(text) == set(LANGUAGES)
    assert all(value.strip() for value in text.values())
    assert fields(text["en"]) == fields(text["zh"])
    assert not HAN.search(text["en"])


def test_every_check_has_title_and_remedy_in_both_languages():
    path = PROJECT / "seeds" / "gate_thresholds.csv"
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for name in ("title", "remedy"):
                assert row[name] and not HAN.search(row[name]), row["check_name"]
                assert HAN.search(row[f"{name}_zh"]), row["check_name"]
