"""Texts in two languages: none lacks its twin, and both name the same values."""

import re
from pathlib import Path
from string import Formatter

from etf_rotation.reconcile import texts

PACKAGE = Path(texts.__file__).parent


def places(text):
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name)


def test_every_text_has_its_twin_with_the_same_places():
    for key, both in texts.entries().items():
        assert set(both) == {"en", "zh"}, key
        assert both["en"].strip() and both["zh"].strip(), key
        assert places(both["en"]) == places(both["zh"]), key


def test_chinese_is_not_english():
    assert [key for key, both in texts.entries().items() if both["zh"] == both["en"]] == []


def test_every_text_that_the_code_names_is_there_and_no_other():
    known = set(texts.entries())
    code = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.glob("*.py"))
    named = {f"refused.{key}" for key in re.findall(r'RefusedError\(\s*"(\w+)"', code)}
    named |= {f"finding.{key}" for key in re.findall(r'\b(?:note|broken)\(\s*"(\w+)"', code)}
    cells = re.findall(r'\.(?:fault|value)\([^()]*(?:\([^()]*\)[^()]*)*"(\w+)"\)', code)
    cells += re.findall(r'table\.headers\[column\], "(\w+)"', code)
    named |= {f"refused.cell.{key}" for key in cells if f"refused.cell.{key}" in known}
    named |= {"finding.positions_not_stated", "finding.cash_not_stated"}
    missing = {key for key in named if key not in known}
    assert missing == set()
    assert {key for key in known if key.startswith(("refused.", "finding."))} - named == set()
