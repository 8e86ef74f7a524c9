"""Look at what runs left, compare, and put an earlier one back."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import duckdb

from etf_rotation.console import Progress, render_table
from etf_rotation.dbt_project import PROJECT, project_vars
from etf_rotation.errors import InputError
from etf_rotation.notification import messages
from etf_rotation.production import export, export_checks, snapshots
from etf_rotation.production import manifest as manifests
from etf_rotation.production.diff import compare
from etf_rotation.production.lock import run_lock
from etf_rotation.production.run import GATE, GATE_FAILED, METRICS, PASSED, now, reason
from etf_rotation.production.settings import output_root
from etf_rotation.reconcile.live import keep_publication, published_orders


def gate(given: argparse.Namespace) -> int:
    """Show the gate over a finished folder or database."""
    rows = []
    database = given.database
    if database is None:
        folder = Path(given.output_dir) if given.output_dir else _published(given)
        if not folder.is_dir():
            raise InputError(f"no folder {folder}")
        manifest = manifests.read(folder)
        database = folder / snapshots.DATABASE
        # What panels and backtest copy into a folder has neither manifest nor database.
        is_full = database.is_file() if manifest is None else not manifest["partial"]
        rows = export_checks.check_folder(folder, is_full=is_full)
    if given.database is not None or Path(database).is_file():
        with _connect(database) as connection:
            if export.has(connection, GATE):
                rows = export.records(connection, f"select * from {GATE} order by all") + rows
            elif given.database is not None:
                raise InputError(f"{database} has no {GATE}: build it with 'dbt build' first")
    print(messages.gate_table(rows), messages.gate_counts(rows), sep="\n\n")
    return GATE_FAILED if any(row["status"] == "fail" for row in rows) else PASSED


def pools(given: argparse.Namespace) -> int:
    """Show the table of the pools."""
    database = given.database or _published(given) / snapshots.DATABASE
    with _connect(database) as connection:
        if not export.has(connection, METRICS):
            raise InputError(f"{database} has no {METRICS}: build it with 'dbt build' first")
        rows = export.records(
            connection, f"select * from {METRICS} order by pool = 'PORTFOLIO', pool"
        )
    print(messages.metrics_table(rows))
    return PASSED


def sweep(given: argparse.Namespace) -> int:
    """Try many variants of a pool's strategy on a finished build."""
    # numpy and the models are only read where they are needed: the other commands start at once.
    from etf_rotation.research import grid, sweep
    from etf_rotation.research import results as sweep_table

    progress = Progress()
    if given.processes < 1:
        raise InputError(f"--processes is {given.processes}, which must be 1 or more")
    if given.output:
        sweep_table.check_output(Path(given.output))
    database = Path(given.database or _published(given) / snapshots.DATABASE)
    build = sweep.read_build(database, given.pool)
    variants = grid.variants(build, vars(given))
    progress.stage(f"{database}, pool {build.pool}, {len(variants):,} variants")
    sweep.check(build)
    results = sweep.evaluate(
        build,
        variants,
        given.processes,
        lambda done, total: progress.count(done, total, "variants"),
    )
    trials, rows = sweep_table.judge(build, variants, results)
    progress.say("\n" + sweep_table.closing(build, trials, rows))
    if given.output:
        sweep_table.write(rows, Path(given.output))
        progress.say(f"Written to {given.output} ({progress.seconds:.1f} s)")
    else:
        progress.say(f"Nothing is written without --output ({progress.seconds:.1f} s)")
    return PASSED


def list_runs(given: argparse.Namespace) -> int:
    """List the runs that are there."""
    root = _root(given)
    published = snapshots.current(root)
    columns = ("", "run", "status", "output_root", "partial", "seconds", "synthetic", "gate")
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
            print(f"{run.path.name}{' (published)' if is_published else ''}: {run.why.en}")
    print(f"* published as {root}" if published else _nothing(root))
    return PASSED


def _nothing(root: Path) -> str:
    if root.is_symlink():
        return f"{root} names {os.readlink(root)}, which is not there: 'restore' another run"
    return f"nothing is published as {root}; run 'etf-rotation run' first"


def _row(manifest: dict) -> tuple:
    statuses = [check["status"] for check in manifest["gate"]]
    names = ("error", "fail", "warn", "pass")
    counts = [f"{statuses.count(name)} {name}" for name in names if name in statuses]
    return (
        manifest["run_id"],
        manifest["status"],
        manifest["output_root"],
        ", ".join(manifest["partial"]),
        round(manifest["seconds"]),
        manifest["is_synthetic"],
        ", ".join(counts) if statuses else manifest["fault"],
    )


def diff(given: argparse.Namespace) -> int:
    """Show what differs between two runs."""
    base = _root(given).parent
    runs = [snapshots.find(base, run_id)[0] for run_id in (given.a, given.b)]
    for name, rows in compare(*runs).items():
        print(f"{name}: {len(rows)} differ")
        if rows:
            print(render_table(list(rows[0]), [list(row.values()) for row in rows]) + "\n")
    return PASSED


def restore(given: argparse.Namespace) -> int:
    """Publish an earlier run again."""
    root = _root(given)
    if not root.parent.is_dir():
        raise InputError(f"no runs in {root.parent}")
    with run_lock(root.parent, f"restore {given.run_id}", now(), print):
        error = snapshots.restore(root, given.run_id)
        try:
            _keep_orders(root, given.run_id)
        except (InputError, OSError, duckdb.Error) as after:
            error = error or after
    print(f"Published {given.run_id} again as {root}")
    if error is not None:
        print(f"It is published, but then this failed: {reason(error)}")
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


def _root(given: argparse.Namespace) -> Path:
    """Return the output root: on a machine with synthetic data only, the one for that."""
    root = output_root(given.output_root, os.environ)
    if given.output_root or root.is_symlink():
        return root
    synthetic = output_root(None, os.environ, is_synthetic=True)
    return synthetic if synthetic.is_symlink() else root


def _published(given: argparse.Namespace) -> Path:
    root = _root(given)
    published = snapshots.current(root)
    if published is None:
        raise InputError(_nothing(root))
    return published


def _connect(database: str | Path) -> duckdb.DuckDBPyConnection:
    if not Path(database).is_file():
        raise InputError(f"no database {database}")
    return duckdb.connect(str(database), read_only=True)
