"""SQL models as they stand, to be run outside dbt on other relations."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from functools import cache
from types import SimpleNamespace

import yaml
from jinja2 import Environment, StrictUndefined, Template

from etf_rotation.dbt import PROJECT
from etf_rotation.errors import InputError

# Files of macros that a model rendered here may use.
MACROS = ("settings", "exact", "limit_price")


def project_vars() -> dict:
    """Return the vars of `dbt_project.yml`."""
    return yaml.safe_load((PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))["vars"]


def render(name: str, ref: Callable[[str], str], variables: Mapping) -> str:
    """Return the SQL of a model.

    Parameters
    ----------
    name : str
        The model, a file of SQL below `models`.
    ref : callable
        Gives the relation to read in place of a model or seed.
    variables : mapping
        Values of the vars.

    Raises
    ------
    InputError
        What the model itself refuses, such as a var out of its range.
    KeyError
        A var that is not given.
    """
    return _template(name).render(
        ref=ref,
        var=lambda var, *default: variables.get(var, *default) if default else variables[var],
        modules=SimpleNamespace(datetime=dt),
        exceptions=SimpleNamespace(raise_compiler_error=_refuse),
    )


@cache
def _template(name: str) -> Template:
    (path,) = (PROJECT / "models").rglob(f"{name}.sql")
    macros = "".join(
        (PROJECT / "macros" / f"{name}.sql").read_text(encoding="utf-8") for name in MACROS
    )
    environment = Environment(
        undefined=StrictUndefined, autoescape=False, extensions=["jinja2.ext.do"]
    )
    return environment.from_string(macros + path.read_text(encoding="utf-8"))


def _refuse(message: str) -> None:
    raise InputError(message)
