"""Files of the dbt project as dbt reads them: vars, profile, and models to run outside dbt."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping
from functools import cache
from types import SimpleNamespace

import yaml
from jinja2 import Environment, StrictUndefined, Template

from etf_rotation.dbt_project import PROJECT
from etf_rotation.errors import InputError

# Files of macros that a model rendered here may use.
MACROS = ("settings", "exact", "limit_price")


def project_vars() -> dict:
    """Return the vars of `dbt_project.yml`."""
    return yaml.safe_load((PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))["vars"]


def memory_limit() -> str:
    """Return the memory that DuckDB may use, such as 1GB: what profiles.yml says here and now."""
    environment = Environment(undefined=StrictUndefined, autoescape=False)
    environment.filters["as_number"] = int
    text = (PROJECT / "profiles.yml").read_text(encoding="utf-8")
    profile = environment.from_string(text).render(
        env_var=os.environ.get,
        flags=SimpleNamespace(PROFILES_DIR=PROJECT),
    )
    outputs = yaml.safe_load(profile)["etf_rotation"]["outputs"]
    return outputs["prod"]["config_options"]["memory_limit"]


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
