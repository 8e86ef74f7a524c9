"""The SQL of the factor families, rendered from their models without dbt."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from jinja2.compiler import CodeGenerator, Frame, MacroRef

from etf_rotation.dbt_project import PROJECT

BARS = "int_bars__lagged"
# Tables of the staging that the models read.
TABLES = ("stg_etf_daily", "trading_calendar")
MACROS = ("rolling", "smoothing", "exact", "bands")


class _ReturnError(Exception):
    """Carries the value of a macro, as in dbt."""


def _return(value: object) -> None:
    raise _ReturnError(value)


def _with_return(macro: Callable) -> Callable:
    def call(*arguments: object, **named: object) -> object:
        try:
            return macro(*arguments, **named)
        except _ReturnError as returned:
            return returned.args[0]

    return call


class _Generator(CodeGenerator):
    """Lets macros return values: Jinja's own return text only."""

    def macro_def(self, macro_ref: MacroRef, frame: Frame) -> None:
        self.write("environment.with_return(")
        super().macro_def(macro_ref, frame)
        self.write(")")


class _Environment(Environment):
    code_generator_class = _Generator
    with_return = staticmethod(_with_return)


def queries() -> dict[str, str]:
    """Return the query of the lagged bars and of each family, by the model's name.

    Each reads the staging's tables `TABLES` and no other relation. All have one row per
    bar in the same order, and `bar_id` as the first column. Together they have the
    columns of `signals.factor_panel`, and some more of the bars.
    """
    environment = _Environment(
        undefined=StrictUndefined, autoescape=False, extensions=["jinja2.ext.do"]
    )
    environment.globals |= {"return": _return, "config": lambda **_: ""}
    macros = "".join(
        (PROJECT / "macros" / f"{name}.sql").read_text(encoding="utf-8") for name in MACROS
    )
    module = environment.from_string(macros).module
    environment.globals |= {k: v for k, v in vars(module).items() if not k.startswith("_")}
    models = {path.stem: path for path in (PROJECT / "models" / "factors").glob("*.sql")}
    models[BARS] = PROJECT / "models" / "signals" / f"{BARS}.sql"
    rendered: dict[str, str] = {}

    def ref(name: str) -> str:
        return f"staging.{name}" if name in TABLES else f"({render(name)})"

    def render(name: str) -> str:
        if name not in rendered:
            text = models[name].read_text(encoding="utf-8")
            rendered[name] = environment.from_string(text).render(ref=ref)
        return rendered[name]

    families = sorted(name for name in models if name.startswith("factors_"))
    return {name: render(name) for name in (BARS, *families)}


def catalog(seeds: Path = PROJECT / "seeds") -> list[str]:
    """Return the factors in the order of the seed `factor_catalog`, which is the panel's."""
    with (seeds / "factor_catalog.csv").open(encoding="utf-8", newline="") as file:
        return [row["factor_id"] for row in csv.DictReader(file)]
