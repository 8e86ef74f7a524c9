"""Run directories, their manifests, and the one rename that publishes.

`output_root` is a symbolic link beside the folder `snapshots`, whose directories are one run each:
its database, its files and `manifest.json`. A directory without a manifest is the rest of a run
that was killed. All functions but the readers expect the caller to hold the lock.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from etf_rotation.bilingual import Bilingual
from etf_rotation.errors import InputError

SNAPSHOTS = "snapshots"
MANIFEST = "manifest.json"
DATABASE = "etf_rotation.duckdb"
PASSED, PARTIAL, FAILED = "passed", "partial", "failed"
# How many directories of each kind stay.
KEPT = {PASSED: 10, PARTIAL: 1, FAILED: 1}
RUN_ID = re.compile(r"\d{8}T\d{6}(-\d+)?")


def check_root(output_root: Path) -> None:
    """Refuse an output root that is anything but absent or a link into its own snapshots."""
    if output_root.is_symlink():
        target = os.readlink(output_root)
        if Path(target).parent != Path(SNAPSHOTS):
            raise InputError(
                f"{output_root} links to {target}, which is no run of {SNAPSHOTS}/ beside it; "
                "remove the link or name another output root"
            )
    elif output_root.exists():
        raise InputError(
            f"{output_root} is a real {'directory' if output_root.is_dir() else 'file'}, and "
            "publishing replaces a symbolic link; move it away or name another output root"
        )


def new_run(base: Path, now: dt.datetime) -> Path:
    """Make the directory of a new run, `{base}/snapshots/{YYYYMMDD}T{HHMMSS}`.

    A second run of the same second, or one after the clock went back to it, gets `-2`, `-3`, …
    """
    snapshots = base / SNAPSHOTS
    snapshots.mkdir(parents=True, exist_ok=True)
    stem, number = f"{now:%Y%m%dT%H%M%S}", 1
    while True:
        run = snapshots / (stem if number == 1 else f"{stem}-{number}")
        try:
            run.mkdir()
        except FileExistsError:
            number += 1
        else:
            return run


def write_manifest(run: Path, content: dict) -> dict:
    """Write the manifest of a run, with size and SHA-256 of its files, all safely on disk.

    Parameters
    ----------
    run : Path
        The run's directory; nothing is written into it afterwards.
    content : dict
        What the manifest says besides; `status` is one of passed, partial, failed.

    Returns
    -------
    dict
        The manifest as written.
    """
    files = {}
    for path in sorted(run.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                os.fsync(file.fileno())
            files[str(path.relative_to(run))] = {"bytes": path.stat().st_size, "sha256": digest}
    for folder in (run, *(path for path in run.rglob("*") if path.is_dir())):
        _sync(folder)
    manifest = {"run_id": run.name, **content, "files": files}
    text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    temporary = run / f".{MANIFEST}"
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, run / MANIFEST)
    _sync(run)
    _sync(run.parent)
    return manifest


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def switch(output_root: Path, run: Path) -> None:
    """Point the link `output_root` at `run`, by one rename."""
    check_root(output_root)
    temporary = output_root.with_name(f".{output_root.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    os.symlink(f"{SNAPSHOTS}/{run.name}", temporary)
    os.replace(temporary, output_root)
    _sync(output_root.parent)


def read_manifest(run: Path) -> dict | None:
    """Return the manifest of a run, None where there is none or it does not parse."""
    try:
        return json.loads((run / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def current(output_root: Path) -> Path | None:
    """Return the run that `output_root` points at, None before the first."""
    if not output_root.is_symlink():
        return None
    run = output_root.parent / os.readlink(output_root)
    return run if run.is_dir() else None


def runs(base: Path) -> list[dict]:
    """Return the manifests of all finished runs, oldest first."""
    found = (read_manifest(run) for run in _directories(base))
    return [manifest for manifest in found if manifest is not None]


def _directories(base: Path) -> list[Path]:
    snapshots = base / SNAPSHOTS
    if not snapshots.is_dir():
        return []
    paths = [path for path in snapshots.iterdir() if RUN_ID.fullmatch(path.name)]
    return sorted(paths, key=lambda path: order_of(path.name))


def order_of(run_id: str) -> tuple[str, int]:
    """Return what sorts run ids by time: `…-10` comes after `…-9`."""
    stem, _, number = run_id.partition("-")
    return stem, int(number or 1)


def clean_up(base: Path, say: Callable[[str], None]) -> None:
    """Remove what killed runs left: directories without a manifest, links not yet renamed."""
    for run in _directories(base):
        if read_manifest(run) is None:
            say(f"Removing {run.name}, which a run left unfinished.")
            shutil.rmtree(run)
    for path in base.glob(".*.new"):
        if path.is_symlink():
            path.unlink()


def prune(base: Path) -> list[str]:
    """Remove runs beyond the number kept of their kind, never one that a link points at."""
    linked = {path.resolve() for path in base.iterdir() if path.is_symlink()}
    by_kind: dict[tuple[str, str], list[Path]] = {}
    for manifest in reversed(runs(base)):
        kind = (manifest["output_root"], manifest["status"])
        by_kind.setdefault(kind, []).append(base / SNAPSHOTS / manifest["run_id"])
    removed = []
    for (_, status), paths in by_kind.items():
        # The linked one counts among those kept, wherever it stands.
        held = [path for path in paths if path.resolve() in linked]
        free = [path for path in paths if path.resolve() not in linked]
        for run in free[max(KEPT[status] - len(held), 0) :]:
            remove(run)
            removed.append(run.name)
    return removed


def remove(run: Path) -> None:
    """Delete a run; its manifest goes first, so that a half deleted run is known for one."""
    (run / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(run)


def faults(run: Path) -> list[Bilingual]:
    """Return one line per file of the run that is missing, unexpected, or changed."""
    manifest = read_manifest(run)
    if manifest is None:
        return [Bilingual(f"{MANIFEST}: missing or unreadable", f"{MANIFEST}：缺失或无法读取")]
    found = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()} - {MANIFEST}
    lines = [
        Bilingual(f"{name}: not in the manifest", f"{name}：清单中没有")
        for name in sorted(found - set(manifest["files"]))
    ]
    for name, expected in manifest["files"].items():
        if name not in found:
            lines.append(Bilingual(f"{name}: missing", f"{name}：缺失"))
            continue
        with (run / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected["sha256"]:
                lines.append(
                    Bilingual(f"{name}: changed since it was written", f"{name}：写入后被改动")
                )
    return lines


def find(base: Path, run_id: str) -> tuple[Path, dict]:
    """Return a finished run's directory and manifest.

    Raises
    ------
    InputError
        If there is no such run; says how to see which there are.
    """
    run = base / SNAPSHOTS / run_id
    manifest = read_manifest(run) if RUN_ID.fullmatch(run_id) else None
    if manifest is None:
        raise InputError(f"no finished run {run_id} in {base / SNAPSHOTS}; see 'list'")
    return run, manifest


def restore(output_root: Path, run_id: str) -> dict:
    """Publish an earlier run again, once its files are known to be whole.

    Raises
    ------
    InputError
        If the run was never fit to publish, belongs to another output root, or has changed.
    """
    run, manifest = find(output_root.parent, run_id)
    if manifest["status"] != PASSED:
        raise InputError(
            f"run {run_id} is {manifest['status']}: only a passed run can be published"
        )
    if manifest["output_root"] != output_root.name:
        raise InputError(f"run {run_id} belongs to {manifest['output_root']}: add --output-root")
    changed = faults(run)
    if changed:
        listed = "; ".join(one.en for one in changed)
        raise InputError(f"run {run_id} is not as it was published: {listed}")
    switch(output_root, run)
    return manifest
