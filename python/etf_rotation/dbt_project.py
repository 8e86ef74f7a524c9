"""The dbt project: its vars and profile, its rendered models, and dbt in-process."""

from __future__ import annotations

import datetime as dt
import gc
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import yaml
from jinja2 import DictLoader, Environment, StrictUndefined, Template
from jinja2.compiler import CodeGenerator, Frame, MacroRef

from etf_rotation.errors import InputError

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult


def project_folder(package: Path) -> Path:
    """Return the dbt project's folder: the package's checkout or the working directory.

    An installed package has no project around it. It serves the project in whose folder
    it is started.
    """
    checkout = package.resolve().parents[1]
    return checkout if (checkout / "dbt_project.yml").is_file() else Path.cwd()


PROJECT = project_folder(Path(__file__).parent)
# Macro files available to a model that is rendered here.
MACROS = ("settings", "exact", "limit_price", "score", "rolling", "smoothing", "bands")


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables within a `with` block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def invoke(
    arguments: Sequence[str],
    *,
    database: Path,
    folder: Path,
    project: Path = PROJECT,
    variables: dict[str, str] | None = None,
    callbacks: Sequence = (),
    writes_json: bool = False,
) -> dbtRunnerResult:
    """Run one dbt command, then release the database that it opened.

    Parameters
    ----------
    arguments : sequence of str
        The command and its flags, as after `dbt` on a command line.
    database : Path
        The DuckDB file. Its stem becomes the catalog's name and must differ from every
        schema's.
    folder : Path
        Folder for `target/` and `logs/`.
    project : Path
        The dbt project's folder.
    variables : dict, optional
        Environment variables for the run, such as ETF_RAW_ROOT.
    callbacks : sequence of callable
        Functions that receive dbt's events.
    writes_json : bool
        Whether dbt writes its manifest, of 2 MB and twice, and the nodes' results.

    Returns
    -------
    dbtRunnerResult
        `success`, `exception` and the nodes' `result`.
    """
    # As dbt_plugin.py does, but before dbt imports and parses rather than after.
    gc.disable()
    # Not imported above: dbt takes seconds to import, and only builds need it.
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    settings = {
        "ETF_DATABASE": str(database.absolute()),
        "DBT_PROJECT_DIR": str(project.resolve()),
        "DBT_PROFILES_DIR": str(project.resolve()),
        "DBT_TARGET_PATH": str((folder / "target").resolve()),
        "DBT_LOG_PATH": str((folder / "logs").resolve()),
    }
    # On a full disk every log line would print a stack trace. The run reports its
    # failed files itself.
    shows_log_faults, logging.raiseExceptions = logging.raiseExceptions, False
    with environment(settings | (variables or {})):
        try:
            flags = [] if writes_json else ["--no-write-json"]
            return dbtRunner(callbacks=list(callbacks)).invoke([*flags, *arguments])
        finally:
            logging.raiseExceptions = shows_log_faults
            if DuckDBConnectionManager._ENV is not None:
                DuckDBConnectionManager._ENV.close()
                DuckDBConnectionManager._ENV = None
            gc.enable()


def project_vars() -> dict:
    """Return the vars of `dbt_project.yml`."""
    return _project()["vars"]


def version() -> str:
    """Return the project's version, which `dbt_project.yml` owns."""
    return _project()["version"]


def _project() -> dict:
    if not (PROJECT / "dbt_project.yml").is_file():
        raise InputError(f"no dbt_project.yml in {PROJECT}: start it in the project's folder")
    return yaml.safe_load((PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))


def engine_options() -> dict:
    """Return DuckDB's options as profiles.yml now resolves them: memory, threads, syncing."""
    environment = Environment(undefined=StrictUndefined, autoescape=False)
    environment.filters["as_number"] = int
    text = (PROJECT / "profiles.yml").read_text(encoding="utf-8")
    profile = environment.from_string(text).render(
        env_var=os.environ.get,
        flags=SimpleNamespace(PROFILES_DIR=PROJECT),
    )
    outputs = yaml.safe_load(profile)["etf_rotation"]["outputs"]
    options = outputs["prod"]["config_options"]
    return options | {"threads": int(options["threads"])}


def render(name: str, ref: Callable[[str], str], variables: Mapping) -> str:
    """Return the SQL of a model.

    Parameters
    ----------
    name : str
        Name of the model, an SQL file below `models`.
    ref : callable
        Returns the relation to read for a model or seed.
    variables : mapping
        Values of the vars.

    Raises
    ------
    InputError
        An input that the model itself rejects, such as a var out of range.
    KeyError
        A var without a value.
    """
    return _template(name).render(
        ref=ref,
        var=lambda var, *default: variables.get(var, *default) if default else variables[var],
        modules=SimpleNamespace(datetime=dt),
        exceptions=SimpleNamespace(raise_compiler_error=_refuse),
    )


def percentile_ranks(factor_values: str, catalog: str) -> str:
    """Return the SQL of the percentile ranks from which scores are computed."""
    return _from_text("{{ percentile_ranks(values, catalog) }}").render(
        values=factor_values, catalog=catalog
    )


@cache
def _template(name: str) -> Template:
    (path,) = (PROJECT / "models").rglob(f"{name}.sql")
    return _from_text(path.read_text(encoding="utf-8"))


def _from_text(text: str) -> Template:
    environment, imports = _environment()
    return environment.from_string(imports + text)


@cache
def _environment() -> tuple[Environment, str]:
    """Return the templates' environment, and the statement that imports every macro."""
    macros = "".join(
        (PROJECT / "macros" / f"{name}.sql").read_text(encoding="utf-8") for name in MACROS
    )
    environment = _Environment(
        loader=DictLoader({"macros": macros}),
        undefined=StrictUndefined,
        autoescape=False,
        extensions=["jinja2.ext.do"],
    )
    environment.globals |= {"return": _return, "config": lambda **_: ""}
    # Not parsed for its names: the loader parses the text, which takes long.
    names = re.findall(r"{%-? macro (\w+)", macros)
    # With context, because macros read vars.
    return environment, f"{{% from 'macros' import {', '.join(names)} with context %}}"


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


def _refuse(message: str) -> None:
    raise InputError(message)
