"""Show and compare finished runs, and restore an earlier one."""

from __future__ import annotations

import os
from pathlib import Path

import click
import duckdb
from rich.text import Text

from etf_rotation.cli.options import CODES, Acting, output_option, refuse_both
from etf_rotation.cli.summary import gate_counts, gate_table, metrics_table
from etf_rotation.console import render_table
from etf_rotation.dbt_project import PROJECT, project_vars
from etf_rotation.errors import InputError
from etf_rotation.production import export, export_checks, snapshots
from etf_rotation.production import manifest as manifests
from etf_rotation.production.diff import compare
from etf_rotation.production.lock import run_lock
from etf_rotation.production.run import GATE, GATE_FAILED, METRICS, PASSED, now, reason
from etf_rotation.production.settings import language
from etf_rotation.production.settings import output_root as output_root_of
from etf_rotation.reconcile.live import keep_publication, published_orders
from etf_rotation.texts import texts

UNCHANGED = "files_unchanged"
LISTED = (
    "run",
    "status",
    "data_to",
    "as_of",
    "gate",
    "annual_return",
    "seconds",
    "output_root",
    "synthetic",
    "partial",
)
database_option = click.option(
    "--database", metavar="FILE", help="A database (default: the published one)."
)


@click.command(epilog=CODES)
@output_option
@click.option("--output-dir", metavar="FOLDER", help="A run's folder (default: the published one).")
@click.option("--database", metavar="FILE", help="A database, such as dbt build writes.")
@click.pass_context
def gate(
    context: click.Context,
    /,
    *,
    output_root: str | None,
    output_dir: str | None,
    database: str | None,
) -> int:
    """Show the gate's verdict on a run's folder or a database."""
    refuse_both(context, ["output_dir", "database"])
    rows: list[dict] = []
    unchanged: list[dict] = []
    is_database = database is not None
    if database is None:
        folder = Path(output_dir) if output_dir else published_folder(output_root)
        if not folder.is_dir():
            raise InputError(f"no folder {folder}")
        manifest = manifests.read(folder)
        database = str(folder / snapshots.DATABASE)
        # A folder copied by panels or backtest has neither manifest nor database.
        is_full = Path(database).is_file() if manifest is None else not manifest["partial"]
        rows = export_checks.check_folder(folder, is_full=is_full)
        # Left out if it passed: the run itself could not check this yet, so counts
        # would differ.
        unchanged = [row for row in rows if row["check_name"] == UNCHANGED]
        rows = [row for row in rows if row not in unchanged or row["status"] != "pass"]
    if is_database or Path(database).is_file():
        with _connect(database) as connection:
            if export.has(connection, GATE):
                rows = export.records(connection, f"select * from {GATE} order by all") + rows
            elif is_database:
                raise InputError(f"{database} has no {GATE}: build it with 'dbt build' first")
    chosen = language({}, os.environ)
    print(gate_table(rows, chosen), gate_counts(rows, chosen), sep="\n\n")
    if any(row["status"] == "pass" for row in unchanged):
        print(_words()["files_unchanged"])
    return GATE_FAILED if any(row["status"] == "fail" for row in rows) else PASSED


@click.command(epilog=CODES)
@output_option
@database_option
def pools(*, output_root: str | None, database: str | None) -> int:
    """Show the metrics of the pools and PORTFOLIO."""
    database = database or str(published_folder(output_root) / snapshots.DATABASE)
    with _connect(database) as connection:
        if not export.has(connection, METRICS):
            raise InputError(f"{database} has no {METRICS}: build it with 'dbt build' first")
        rows = export.records(
            connection,
            f"select * from {METRICS} order by is_live desc, strategy, pool = 'PORTFOLIO', pool",
        )
    print(metrics_table(rows, language({}, os.environ)))
    return PASSED


@click.command("list", epilog=CODES)
@output_option
def list_runs(*, output_root: str | None) -> int:
    """List the stored runs."""
    root = _root(output_root)
    published = snapshots.current(root)
    words = _words()
    columns = ("", *(words["list_headings"][name] for name in LISTED))
    found = snapshots.survey(root.parent)
    rows = [
        ("*" if run.path.name == (published and published.name) else "", *_row(run.manifest))
        for run in found
        if run.manifest is not None
    ]
    print(render_table(columns, rows))
    for run in found:
        if run.manifest is None:
            is_published = snapshots.is_published(root, run.path)
            mark = words["listed"]["is_published"] if is_published else ""
            print(f"{run.path.name}{mark}: {getattr(run.why, language({}, os.environ))}")
    print(words["listed"]["published"].format(root) if published else _nothing(root))
    return PASSED


def _words() -> dict:
    return texts("console", language({}, os.environ))


def _nothing(root: Path) -> str:
    words = _words()
    if root.is_symlink():
        return words["dangling"].format(root=root, target=os.readlink(root))
    return words["nothing_published"].format(root)


def _row(manifest: dict) -> tuple:
    statuses = [check["status"] for check in manifest["gate"]]
    names = ("error", "fail", "warn", "pass")
    counts = [f"{statuses.count(name)} {name}" for name in names if name in statuses]
    # Manifests of earlier versions have neither the last session nor the annual return.
    annual = manifest.get("annual_return")
    return (
        manifest["run_id"],
        manifest["status"],
        manifest.get("last_date") or "",
        manifest.get("vars", {}).get("as_of") or "",
        ", ".join(counts) if statuses else manifest["fault"],
        Text("" if annual is None else f"{annual:.2%}", justify="right"),
        round(manifest["seconds"]),
        manifest["output_root"],
        manifest["is_synthetic"],
        ", ".join(manifest["partial"]),
    )


@click.command(epilog=CODES)
@output_option
@click.argument("a")
@click.argument("b")
def diff(*, output_root: str | None, a: str, b: str) -> int:
    """Compare two runs: orders, holdings, metrics, weights, factors.

    A and B are ids of runs, as `list` shows them.
    """
    base = _root(output_root).parent
    runs = [snapshots.find(base, run_id)[0] for run_id in (a, b)]
    words = _words()
    for name, rows in compare(*runs).items():
        print(words["listed"]["differ"].format(words["differences"][name], len(rows)))
        if rows:
            print(render_table(list(rows[0]), [list(row.values()) for row in rows]) + "\n")
    return PASSED


@click.command(cls=Acting, epilog=CODES)
@output_option
@click.argument("run_id", metavar="ID")
def restore(*, output_root: str | None, run_id: str) -> int:
    """Publish an earlier run again.

    ID is the id of the run, as `list` shows it.
    """
    root = _root(output_root)
    if not root.parent.is_dir():
        raise InputError(f"no runs in {root.parent}")
    with run_lock(root.parent, f"restore {run_id}", now(), print):
        error = snapshots.restore(root, run_id)
        try:
            _keep_orders(root, run_id)
        except (InputError, OSError, duckdb.Error) as after:
            error = error or after
    words = _words()["listed"]
    print(words["restored"].format(run=run_id, root=root))
    if error is not None:
        print(words["failed_after"].format(reason(error)))
    return PASSED


def _keep_orders(root: Path, run_id: str) -> None:
    _, manifest = snapshots.find(root.parent, run_id)
    with _connect(root / snapshots.DATABASE) as connection:
        rows = published_orders(connection)
    keep_publication(
        root.parent,
        PROJECT,
        rows,
        run_id=run_id,
        published_at=now(),
        variables=project_vars() | manifest["vars"],
    )


def _root(given: str | None) -> Path:
    """Return the output root; the one for synthetic data if there is nothing else."""
    root = output_root_of(given, os.environ)
    if given or root.is_symlink():
        return root
    synthetic = output_root_of(None, os.environ, is_synthetic=True)
    return synthetic if synthetic.is_symlink() else root


def published_folder(given: str | None) -> Path:
    """Return the folder of the published run.

    Raises
    ------
    InputError
        No run is published.
    """
    root = _root(given)
    published = snapshots.current(root)
    if published is None:
        raise InputError(_nothing(root))
    return published


def _connect(database: str | Path) -> duckdb.DuckDBPyConnection:
    if not Path(database).is_file():
        raise InputError(f"no database {database}")
    return duckdb.connect(str(database), read_only=True)
