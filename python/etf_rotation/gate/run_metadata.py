"""Metadata of a run: engine, code, parameters, input."""

from __future__ import annotations

import hashlib
import json
import subprocess
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import yaml

from etf_rotation.staging.raw_files import fingerprint

SCHEMA = pa.schema(
    [
        ("engine_version", pa.string()),
        ("run_parameters", pa.string()),
        ("panel_column_hash", pa.string()),
        ("input_fingerprint", pa.string()),
        ("code_version", pa.string()),
        ("code_commit", pa.string()),
        ("is_synthetic", pa.bool_()),
        ("as_of", pa.date32()),
    ]
)

# Files that can change a number; tests, notes and tooling cannot.
CODE = ("dbt_project.yml", "models/**/*.*", "macros/**/*.sql", "seeds/*.csv", "python/**/*.py")

# Settings of place, time or user: they do not affect the computation.
NOT_PARAMETERS = ("project_dir", "given_vars", "run_started_at", "data_docs")


def describe_run(settings: dict, files: pa.Table, columns: list[tuple[str, str]]) -> pa.Table:
    """Describe the run in one row (`SCHEMA`).

    Parameters
    ----------
    settings : dict
        The row of run_settings; `given_vars` is the command line's vars as JSON.
    files : pa.Table
        The result of `etf_rotation.staging.raw_files.inspect_files`.
    columns : list of (name, type)
        The panel's columns in order.
    """
    project = Path(settings["project_dir"])
    declared = yaml.safe_load((project / "dbt_project.yml").read_text(encoding="utf-8"))
    parameters = {
        **declared["vars"],
        **{name: value for name, value in settings.items() if name not in NOT_PARAMETERS},
        **json.loads(settings["given_vars"]),
    }
    row = {
        "engine_version": ", ".join(
            [f"{declared['name']} {declared['version']}"]
            + [f"{name} {version(name)}" for name in ("duckdb", "dbt-core", "dbt-duckdb")]
        ),
        "run_parameters": json.dumps(parameters, sort_keys=True, default=str, ensure_ascii=False),
        "panel_column_hash": hashlib.sha256(repr(columns).encode()).hexdigest(),
        "input_fingerprint": fingerprint(files),
        "code_version": code_version(project),
        "code_commit": _commit(project),
        "is_synthetic": any(files["is_synthetic"].to_pylist()),
        "as_of": settings["as_of"] and pa.scalar(settings["as_of"]).cast(pa.date32()).as_py(),
    }
    return pa.Table.from_pylist([row], schema=SCHEMA)


def code_version(project: Path) -> str:
    """Return one SHA-256 over names and contents of files that can change a number."""
    digest = hashlib.sha256()
    paths = {path for pattern in CODE for path in project.glob(pattern) if path.is_file()}
    for path in sorted(paths):
        if path.suffix != ".pyc":
            name = path.relative_to(project).as_posix()
            digest.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _commit(project: Path) -> str | None:
    """Return the commit, with `-dirty` if files differ from it; None outside git."""
    try:
        done = subprocess.run(
            ["git", "-C", str(project), "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
