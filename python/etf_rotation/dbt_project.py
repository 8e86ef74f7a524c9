"""dbt in this process, with everything it writes kept out of the project's folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the length of a `with` block."""
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
):
    """Run one dbt command and release the database it opened.

    Parameters
    ----------
    arguments : sequence of str
        The command and its flags, as after `dbt` on a command line.
    database : Path
        The DuckDB file. Its stem is the catalog's name, and must not be a schema's.
    folder : Path
        Where `target/` and `logs/` go.
    project : Path
        The dbt project's folder.
    variables : dict, optional
        Environment variables for the run, such as ETF_RAW_ROOT.
    callbacks : sequence of callable
        Receive dbt's events.

    Returns
    -------
    dbtRunnerResult
        `success`, `exception` and the nodes' `result`.
    """
    # dbt takes seconds to import: only who builds pays for it.
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    settings = {
        "ETF_DATABASE": str(database.absolute()),
        "DBT_PROJECT_DIR": str(project.resolve()),
        "DBT_PROFILES_DIR": str(project.resolve()),
        "DBT_TARGET_PATH": str((folder / "target").resolve()),
        "DBT_LOG_PATH": str((folder / "logs").resolve()),
    }
    # Where the disk is full, the run says what it could not write: the log need not, for each line.
    shows_log_faults, logging.raiseExceptions = logging.raiseExceptions, False
    with environment(settings | (variables or {})):
        try:
            return dbtRunner(callbacks=list(callbacks)).invoke(list(arguments))
        finally:
            logging.raiseExceptions = shows_log_faults
            if DuckDBConnectionManager._ENV is not None:
                DuckDBConnectionManager._ENV.close()
                DuckDBConnectionManager._ENV = None
