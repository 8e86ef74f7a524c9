"""Numbers formatted for readers."""

from __future__ import annotations

import json
import math
from typing import Any

from etf_rotation.report.plots import rounded

UNKNOWN = "–"


def percent(value: float | None, digits: int = 1) -> str:
    """Format a ratio in percent, with a typographic minus sign."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    text = f"{value:.{digits}%}"
    return text.replace("-", "−") if text.strip("-0.%") else text.lstrip("-")


def points(value: float | None) -> str:
    """Format a ratio in percent without the percent sign, for a narrow table."""
    return "" if value is None else percent(value)[:-1]


def number(value: float | None, digits: int = 0) -> str:
    """Format a number with separated thousands."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    text = f"{value:,.{digits}f}"
    return text.replace("-", "−") if text.strip("-0.,") else text.lstrip("-")


def measured(value: float | None, is_percent: bool) -> str:
    """Format a check's value: in percent, as a whole number, or to two digits."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if is_percent:
        return percent(value, 0 if round(value, 4) == round(value, 2) else 1)
    return number(value, 0 if float(rounded(value, 4) or 0).is_integer() else 2)


UNITS = {"en": ((1e9, " bn"), (1e6, " m")), "zh": ((1e8, " 亿"), (1e4, " 万"))}


def money(value: float | None, language: str) -> str:
    """Format an amount in CNY to three significant digits, as 70.5 m or 7,050 万."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    value = rounded(value, 3) or 0.0
    for unit, name in UNITS[language]:
        if abs(value) >= unit:
            return f"{rounded(value / unit, 3):,}{name}".replace("-", "−")
    return number(value)


def setting(value: object) -> str:
    """Format the value of a var as a user would write it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def tint(value: float | None, full: float = 0.1) -> int:
    """Return a return's color strength, 0 to 100 in steps of 10; `full` gives 100."""
    return 0 if value is None else min(10, round(abs(value) / full * 10)) * 10


RATIOS = {"sharpe", "sortino", "calmar", "annual_turnover", "beta", "information_ratio"}
MONEY = {"total_costs"}


def metric(value: Any, name: str) -> str:
    """Format a metric by its kind: a date, a ratio, money, or percent."""
    if name.endswith("_date"):
        return str(value or UNKNOWN)
    if name in MONEY:
        return number(value)
    return number(value, 2) if name in RATIOS else percent(value)
