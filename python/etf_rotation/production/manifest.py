"""The manifest of a run: its content, its checksum, and its name as the run's state.

A run's directory holds the file `manifest.unfinished` from the start. The finished text
is written into that file, which is then renamed to `manifest.json`: one rename finishes
a run. The removal of a run begins with the rename back. The name alone therefore tells
whether a directory may be cleaned up. A damaged or missing manifest never looks like a
killed run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from etf_rotation.bilingual import Bilingual

MANIFEST = "manifest.json"
UNFINISHED = "manifest.unfinished"
FORMAT = 2  # 1 had no checksum of its own
PASSED, PARTIAL, FAILED = "passed", "partial", "failed"
STATUSES = (PASSED, PARTIAL, FAILED)
# Fields that readers require, with their types.
FIELDS: dict[str, type | tuple[type, ...]] = {
    "run_id": str,
    "status": str,
    "output_root": str,
    "is_synthetic": bool,
    "partial": list,
    "seconds": (int, float),
    "fault": str,
    "gate": list,
    "files": dict,
}
WHOLE = Bilingual("", "")
SEAL = ',\n  "manifest_sha256": "'
# Matched on bytes, not on parsed JSON: a flipped bit is found even in a space or in the
# seal.
_SEALED = re.compile(rb'(?s:(.*)),\n  "manifest_sha256": "([0-9a-f]{64})"\n\}\n')


def write(run: Path, content: dict) -> dict:
    """Write a run's manifest with size and SHA-256 of its files, and sync all to disk.

    Parameters
    ----------
    run : Path
        The directory of the unfinished run. Nothing is written into it afterwards.
    content : dict
        All `FIELDS` except `run_id` and `files`, and any other facts of the run.

    Returns
    -------
    dict
        The manifest as written.
    """
    files = {}
    for name, path in _files(run).items():
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        files[name] = {"bytes": path.stat().st_size, "sha256": digest}
    for folder in (run, *(path for path in run.rglob("*") if path.is_dir())):
        sync(folder)
    manifest = {"format": FORMAT, **content, "run_id": run.name, "files": files}
    text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False)
    body = text.removesuffix("\n}")
    digest = hashlib.sha256(body.encode()).hexdigest()
    with (run / UNFINISHED).open("w", encoding="utf-8") as file:
        file.write(f'{body}{SEAL}{digest}"\n}}\n')
        file.flush()
        os.fsync(file.fileno())
    os.replace(run / UNFINISHED, run / MANIFEST)
    sync(run)
    sync(run.parent)
    return manifest


def sync(folder: Path) -> None:
    """Sync the names in a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load(run: Path) -> tuple[dict | None, Bilingual]:
    """Return the manifest of a run and `WHOLE`, or None and the reason."""
    path = run / MANIFEST
    try:
        # Checked first: reading a FIFO would wait for a writer.
        text = path.read_bytes() if path.is_file() or not path.exists() else b""
    except (FileNotFoundError, NotADirectoryError):
        return None, _why("is missing", "缺失")
    except OSError as error:
        return None, _why("cannot be read", "无法读取") + told_by_system(error)
    return parse(text)


def parse(text: bytes) -> tuple[dict | None, Bilingual]:
    """Return the content of a manifest and `WHOLE`, or None and its defect."""
    sealed = _SEALED.fullmatch(text)
    if sealed is None or hashlib.sha256(sealed[1]).hexdigest() != sealed[2].decode():
        return None, _without_seal(text)
    manifest = json.loads(text)
    if manifest.get("format") != FORMAT or not _is_complete(manifest):
        return None, _why(f"is of another format than {FORMAT}", f"的格式不是 {FORMAT}")
    return manifest, WHOLE


def _without_seal(text: bytes) -> Bilingual:
    """Describe a text without a valid checksum."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return _why("is damaged: it is not JSON", "已损坏：不是 JSON")
    if not isinstance(content, dict) or not {"run_id", "status", "files"} <= content.keys():
        return _why("is not one of this program's", "不是本程序写的")
    if "manifest_sha256" in content or "format" in content:
        return _why("is damaged: its checksum does not match", "已损坏：校验和不符")
    return _why(
        "has no checksum: an older version wrote it, or it is damaged",
        "没有校验和：由旧版本写成，或已损坏",
    )


def _why(en: str, zh: str) -> Bilingual:
    return Bilingual(f"{MANIFEST} {en}", f"{MANIFEST} {zh}")


def told_by_system(error: OSError) -> Bilingual:
    """Return the operating system's message in parentheses."""
    return Bilingual(f" ({error.strerror})", f"（{error.strerror}）")


def _is_complete(manifest: dict) -> bool:
    return (
        all(isinstance(manifest.get(name), kind) for name, kind in FIELDS.items())
        and manifest["status"] in STATUSES
        and all(isinstance(name, str) for name in manifest["partial"])
        and all(isinstance(row, dict) and "status" in row for row in manifest["gate"])
        and all(isinstance(file, dict) and "sha256" in file for file in manifest["files"].values())
    )


def read(run: Path) -> dict | None:
    """Return the manifest of a run; None if `load` would give a reason."""
    return load(run)[0]


def faults(run: Path) -> list[Bilingual]:
    """Return one line per file of the run that is missing, unexpected, or changed."""
    manifest, why = load(run)
    if manifest is None:
        return [why]
    found = _files(run)
    lines = [
        Bilingual(f"{name}: not in the manifest", f"{name}：清单中没有")
        for name in found
        if name not in manifest["files"]
    ]
    for name, expected in manifest["files"].items():
        if name not in found:
            lines.append(Bilingual(f"{name}: missing", f"{name}：缺失"))
            continue
        try:
            with found[name].open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            line = Bilingual(f"{name}: cannot be read", f"{name}：无法读取")
            lines.append(line + told_by_system(error))
            continue
        if digest != expected["sha256"]:
            lines.append(
                Bilingual(f"{name}: changed since it was written", f"{name}：写入后被改动")
            )
    return lines


def _files(run: Path) -> dict[str, Path]:
    """Return the files of a run by their name in it, without its own manifest."""
    files = {str(path.relative_to(run)): path for path in sorted(run.rglob("*")) if path.is_file()}
    return {name: path for name, path in files.items() if name not in (MANIFEST, UNFINISHED)}
