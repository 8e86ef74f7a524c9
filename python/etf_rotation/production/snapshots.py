"""Run directories, and the rename that publishes a run.

`output_root` is a symbolic link beside the folder `snapshots`. That folder has one
directory per run, with its database, files and manifest. The directory defines the run;
the link alone defines which run is published. Functions that write expect the caller to
hold the lock.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from etf_rotation.bilingual import Bilingual
from etf_rotation.errors import InputError
from etf_rotation.production import manifest as manifests
from etf_rotation.production import process
from etf_rotation.production.manifest import FAILED, MANIFEST, PARTIAL, PASSED, UNFINISHED

SNAPSHOTS = "snapshots"
DATABASE = "etf_rotation.duckdb"
# Number of directories to keep, by kind.
KEPT = {PASSED: 10, PARTIAL: 1, FAILED: 1}
RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}(-([2-9]|[1-9][0-9]+))?")


@dataclass(frozen=True)
class Run:
    """A directory in `snapshots` with a name as `new_run` creates it.

    `manifest` is the manifest of a finished run, or None; `why` is then the reason.
    """

    path: Path
    manifest: dict | None = None
    is_unfinished: bool = False
    why: Bilingual = manifests.WHOLE


def check_root(output_root: Path) -> None:
    """Reject an output root unless it is absent or a link into its own snapshots."""
    if output_root.name.startswith("."):
        raise InputError(f"{output_root}: the name of an output root cannot begin with a dot")
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
    """Create the directory of a new run, `{base}/snapshots/{YYYYMMDD}T{HHMMSS}`.

    It is marked as unfinished. A second run in the same second gets the suffix `-2`,
    `-3`, …
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
            break
    (run / UNFINISHED).touch()
    manifests.sync(run)
    return run


def switch(output_root: Path, run: Path) -> None:
    """Point the link `output_root` at `run` by one rename.

    After an exception or a signal, only `is_published` tells whether the rename took
    place.
    """
    check_root(output_root)
    temporary = output_root.with_name(f".{output_root.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    os.symlink(f"{SNAPSHOTS}/{run.name}", temporary)
    os.replace(temporary, output_root)
    manifests.sync(output_root.parent)


def is_published(output_root: Path, run: Path) -> bool:
    """Return whether the link on disk names this run."""
    return output_root.is_symlink() and Path(os.readlink(output_root)) == Path(SNAPSHOTS, run.name)


def current(output_root: Path) -> Path | None:
    """Return the run that `output_root` points at; None before the first."""
    if not output_root.is_symlink():
        return None
    run = output_root.parent / os.readlink(output_root)
    return run if run.is_dir() else None


def last_session(run: Path) -> str | None:
    """Return the last session of a run's data as an ISO date; None if not recorded."""
    try:
        with duckdb.connect(str(run / DATABASE), read_only=True) as connection:
            found = connection.execute("select last_date from gate.run_metadata").fetchone()
    except duckdb.Error:
        return None
    return str(found[0]) if found and found[0] else None


def survey(base: Path) -> list[Run]:
    """Return the run directories in `snapshots`, oldest first."""
    snapshots = base / SNAPSHOTS
    if not snapshots.is_dir():
        return []
    paths = [path for path in snapshots.iterdir() if RUN_ID.fullmatch(path.name)]
    return [_look(path) for path in sorted(paths, key=lambda path: order_of(path.name))]


def _look(path: Path) -> Run:
    if path.is_symlink() or not path.is_dir():
        return Run(path, why=Bilingual("it is not a directory", "不是目录"))
    try:
        names = {entry.name for entry in path.iterdir()}
    except OSError as error:
        why = Bilingual("it cannot be read", "无法读取") + manifests.told_by_system(error)
        return Run(path, why=why)
    # Empty counts as unfinished: a new run's directory is empty for a moment.
    if not names or (UNFINISHED in names and MANIFEST not in names):
        return Run(path, is_unfinished=True, why=Bilingual("it is unfinished", "尚未完成"))
    manifest, why = manifests.load(path)
    if manifest is not None and manifest["run_id"] != path.name:
        manifest = None
        why = Bilingual(f"{MANIFEST} is that of another run", f"{MANIFEST} 属于另一次运行")
    return Run(path, manifest, why=why)


def runs(base: Path) -> list[dict]:
    """Return the manifests of all finished runs, oldest first."""
    return [run.manifest for run in survey(base) if run.manifest is not None]


def order_of(run_id: str) -> tuple[str, int]:
    """Return a key that sorts run ids by time: `…-10` comes after `…-9`."""
    stem, _, number = run_id.partition("-")
    return stem, int(number or 1)


def clean_up(base: Path, say: Callable[[str], None]) -> None:
    """Remove the remains of killed runs, and report unknown folders.

    An error never stops a new run: remains that cannot be removed are reported.
    """
    for path in base.glob(".*.new"):
        if path.is_symlink():
            path.unlink()
    for run in survey(base):
        if not run.is_unfinished:
            if run.manifest is None:
                say(f"Keeping {run.path}: {run.why.en}. Remove it if you do not need it.")
            continue
        say(f"Removing {run.path.name}, which a run left unfinished.")
        try:
            remove(run.path)
        except (OSError, InputError) as error:
            say(f"{run.path.name} cannot be removed: {error}.")


def prune(base: Path) -> list[str]:
    """Remove old runs beyond the number to keep per kind, but never a linked run.

    Raises
    ------
    OSError
        A run could not be removed; raised after all others were removed.
    """
    linked, faults = _linked(base), []
    by_kind: dict[tuple[str, str], list[Path]] = {}
    for run in reversed(survey(base)):
        if run.manifest is not None:
            kind = (run.manifest["output_root"], run.manifest["status"])
            by_kind.setdefault(kind, []).append(run.path)
    removed = []
    for (_, status), paths in by_kind.items():
        # A linked run counts among those to keep, whatever its age.
        free = [path for path in paths if os.path.realpath(path) not in linked]
        for path in free[max(KEPT[status] - (len(paths) - len(free)), 0) :]:
            try:
                remove(path)
            except OSError as error:
                # Raised later: one undeletable run must not protect the others.
                faults.append(error)
            else:
                removed.append(path.name)
    if faults:
        raise faults[0]
    return removed


def _linked(base: Path) -> set[str]:
    """Return the targets of the links beside the snapshots, except temporary ones."""
    links = [path for path in base.iterdir() if path.is_symlink()]
    return {os.path.realpath(path) for path in links if not path.name.startswith(".")}


def remove(run: Path) -> None:
    """Delete a run unless a link names it; a half-deleted run counts as unfinished.

    Every deletion of a run goes through here.

    Raises
    ------
    InputError
        A link beside the snapshots names the run.
    """
    if os.path.realpath(run) in _linked(run.parent.parent):
        raise InputError(f"{run} is published, and stays")
    if (run / MANIFEST).exists():
        os.replace(run / MANIFEST, run / UNFINISHED)
    for path in run.iterdir():
        if path.name == UNFINISHED:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    # Deleted last: without this mark the rest would look damaged and stay forever.
    (run / UNFINISHED).unlink(missing_ok=True)
    run.rmdir()


def find(base: Path, run_id: str) -> tuple[Path, dict]:
    """Return a finished run's directory and manifest.

    Raises
    ------
    InputError
        There is no such run, or its manifest is damaged. The message says what to do.
    """
    path = base / SNAPSHOTS / run_id
    if not RUN_ID.fullmatch(run_id) or not os.path.lexists(path):
        raise InputError(f"no finished run {run_id} in {base / SNAPSHOTS}; see 'list'")
    run = _look(path)
    if run.manifest is None:
        raise InputError(f"run {run_id} cannot be used: {run.why.en}; choose another, see 'list'")
    return run.path, run.manifest


def restore(output_root: Path, run_id: str) -> BaseException | None:
    """Publish an earlier run again after its files are verified.

    Returns
    -------
    BaseException or None
        An error after the link was switched; the run is published nevertheless.

    Raises
    ------
    InputError
        The run was never publishable, belongs to another output root, or has changed.
    """
    run, manifest = find(output_root.parent, run_id)
    if manifest["status"] != PASSED:
        raise InputError(
            f"run {run_id} is {manifest['status']}: only a passed run can be published"
        )
    if manifest["output_root"] != output_root.name:
        raise InputError(f"run {run_id} belongs to {manifest['output_root']}: add --output-root")
    changed = manifests.faults(run)
    if changed:
        listed = "; ".join(one.en for one in changed)
        raise InputError(f"run {run_id} is not as it was published: {listed}")
    process.hold()
    try:
        switch(output_root, run)
    except BaseException as error:
        if not is_published(output_root, run):
            raise
        return error
    return None
