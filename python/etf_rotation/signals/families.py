"""The SQL of the factor families, rendered from their models without dbt."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from etf_rotation import dbt_project
from etf_rotation.dbt_project import PROJECT

BARS = "int_bars__lagged"
# Tables of the staging that the models read.
TABLES = ("stg_etf_daily", "trading_calendar")
FACTORS = PROJECT / "models" / "factors"


def queries() -> Iterator[tuple[str, str]]:
    """Yield the model's name and the query, of the lagged bars and then of each family.

    Each reads the staging's tables `TABLES` and no other relation. All have one row per
    bar in the same order, and `bar_id` as the first column. Together they have the
    columns of `signals.factor_panel`, and some more of the bars.
    """
    rendered: dict[str, str] = {}

    def ref(name: str) -> str:
        return f"staging.{name}" if name in TABLES else f"({render(name)})"

    def render(name: str) -> str:
        if name not in rendered:
            rendered[name] = dbt_project.render(name, ref, {})
        return rendered[name]

    families = sorted(path.stem for path in FACTORS.glob("factors_*.sql"))
    for name in (BARS, *families):
        yield name, render(name)


def catalog(seeds: Path = PROJECT / "seeds") -> list[str]:
    """Return the factors in the order of the seed `factor_catalog`, which is the panel's."""
    with (seeds / "factor_catalog.csv").open(encoding="utf-8", newline="") as file:
        return [row["factor_id"] for row in csv.DictReader(file)]
