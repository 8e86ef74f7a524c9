"""The settings of a production command: folders, vars, language, and skipped parts."""

from __future__ import annotations

import csv
import datetime as dt
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from etf_rotation.dbt_project import PROJECT, project_vars
from etf_rotation.errors import InputError
from etf_rotation.production.snapshots import SNAPSHOTS, check_root, current, last_session
from etf_rotation.staging import raw_files
from etf_rotation.texts import LANGUAGES

OUTPUT_ROOT = "factor_output/etf_rotation_production"
SYNTHETIC_OUTPUT_ROOT = "factor_output/synthetic/etf_rotation_production"
# Vars without a value in dbt_project.yml, which names them.
OTHER_VARS = (
    "raw_root",
    "as_of",
    "universe",
    "pools",
    "holdings_file",
    "today",
    "published_database",
    "language",
)


@dataclass(frozen=True)
class Settings:
    """The settings that decide content and place of a build.

    `partial` names the reasons why the run is partial; a partial run is never
    published. `select` and `exclude` are dbt's node selection.
    """

    project: Path
    raw_root: Path
    output_root: Path
    is_synthetic: bool
    dbt_vars: dict
    language: str
    partial: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def base(self) -> Path:
        """The folder of the link, snapshots, lock and undelivered messages."""
        return self.output_root.parent

    def parts(self, select: tuple[str, ...], reason: str) -> Settings:
        """Return the settings of a run restricted to some nodes."""
        return replace(self, select=select, partial=(*self.partial, reason))


def resolve(given: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Resolve the settings from options, vars and environment.

    Parameters
    ----------
    given : mapping
        Options by name, absent or None if not given: raw_root, output_root, pools,
        as_of, vars (YAML), skip_backtest, skip_capacity, skip_snapshot, publish. A
        relative path in an option starts in the working directory, any other in the
        project's folder.
    environment : mapping
        ETF_RAW_ROOT, ETF_OUTPUT_ROOT, ETF_AS_OF, ETF_POOLS, ETF_LANGUAGE.

    Raises
    ------
    InputError
        An invalid value, no data, an unreadable seed, or an invalid output root.
    """
    check_seeds_are_text(PROJECT / "seeds")
    dbt_vars = _vars(given.get("vars"))
    _check_names_and_numbers(dbt_vars)
    for name in ("as_of", "pools"):
        value = given.get(name) or setting(name, dbt_vars, environment)
        dbt_vars.pop(name, None)
        if value:
            dbt_vars[name] = str(value) if not isinstance(value, list) else ",".join(value)
    if "as_of" in dbt_vars:
        dbt_vars["as_of"] = _date(dbt_vars["as_of"])
    if "pools" in dbt_vars:
        _check_pools(dbt_vars["pools"])

    raw_root = _path(given.get("raw_root"), Path.cwd())
    raw_root = raw_root or _path(setting("raw_root", dbt_vars, environment), PROJECT)
    # The sample never replaces a folder that the user named: a synthetic run would send
    # no notification.
    sample = None if raw_root else str(PROJECT / "sample")
    raw_root = raw_files.resolve_root(str(raw_root or PROJECT / "raw"), sample)
    is_synthetic = (raw_root / raw_files.MARKER).is_file()
    dbt_vars["raw_root"] = str(raw_root)
    dbt_vars["language"] = language(dbt_vars, environment)

    skipped = [name for name in ("backtest", "capacity") if given.get(f"skip_{name}")]
    partial = [f"--skip-{name}" for name in skipped]
    partial += ["--skip-snapshot"] if given.get("skip_snapshot") else []
    partial += ["--pools"] if "pools" in dbt_vars else []
    root = output_root(given.get("output_root"), environment, is_synthetic=is_synthetic)
    if not given.get("publish"):
        partial += _backwards(dbt_vars.get("as_of"), root)
    return Settings(
        project=PROJECT,
        raw_root=raw_root,
        output_root=root,
        is_synthetic=is_synthetic,
        dbt_vars=dbt_vars,
        language=dbt_vars["language"],
        partial=tuple(partial),
        exclude=tuple(f"path:models/{name}+" for name in skipped),
    )


def _backwards(as_of: str | None, root: Path) -> list[str]:
    """Return why a run with data older than the published data is not published."""
    published = current(root)
    last = published and last_session(published)
    if not as_of or not last or as_of >= last:
        return []
    return [f"--as-of {as_of} is before {last}, the published last session; --publish does it"]


def raw_folder(given: str | None, environment: Mapping[str, str]) -> Path:
    """Return the folder of raw files that a build reads; precedence as in `setting`."""
    root = _path(given, Path.cwd()) or _path(setting("raw_root", {}, environment), PROJECT)
    return root or PROJECT / "raw"


def output_root(
    given: str | None, environment: Mapping[str, str], *, is_synthetic: bool = False
) -> Path:
    """Return the link that runs publish to; reject a path that cannot be a link.

    Raises
    ------
    InputError
        The path is no link, or mixes synthetic and real data.
    """
    root = _path(given, Path.cwd()) or _path(environment.get("ETF_OUTPUT_ROOT"), PROJECT)
    default = PROJECT / (SYNTHETIC_OUTPUT_ROOT if is_synthetic else OUTPUT_ROOT)
    root = root or default
    check_root(root)
    return root


def claim(settings: Settings) -> None:
    """Create the folder of the output root, and mark it for synthetic or real data.

    Raises
    ------
    InputError
        The folder already holds runs of the other kind.
    """
    base, marker = settings.base, settings.base / raw_files.MARKER
    base.mkdir(parents=True, exist_ok=True)
    is_used = (base / SNAPSHOTS).exists()
    if settings.is_synthetic and not marker.is_file():
        if is_used:
            raise InputError(
                f"{base} holds runs on real data, and this data is synthetic; name another "
                "--output-root"
            )
        marker.write_text("Runs on synthetic data, not on market data.\n", encoding="utf-8")
    if not settings.is_synthetic and marker.is_file():
        raise InputError(f"{base} is for synthetic data; name another --output-root")


def setting(name: str, dbt_vars: Mapping, environment: Mapping[str, str]) -> Any:
    """Return a setting as the macro `setting` does, or None.

    The order of precedence is the command line's var, the var of dbt_project.yml, then
    ETF_<NAME> in the environment.
    """
    values = dbt_vars.get(name), project_vars().get(name), environment.get(f"ETF_{name.upper()}")
    return next((value for value in values if value), None)


def language(dbt_vars: Mapping, environment: Mapping[str, str]) -> str:
    """Return the language of messages: the setting `language`, default `en`."""
    value = str(setting("language", dbt_vars, environment) or LANGUAGES[0])
    if value not in LANGUAGES:
        raise InputError(f"language is {value!r}, which must be one of: {', '.join(LANGUAGES)}")
    return value


def _path(value: str | None, start: Path) -> Path | None:
    # Not resolved: the output root is itself a link.
    return start / Path(value).expanduser() if value else None


def _vars(text: str | None) -> dict:
    try:
        value = yaml.safe_load(text or "{}")
    except yaml.YAMLError:
        value = None
    if not isinstance(value, dict):
        raise InputError(f"--vars must be a YAML mapping such as '{{top: 1}}', not {text!r}")
    # YAML reads 2020-01-01 as a date, but JSON has no dates.
    return {name: str(v) if isinstance(v, dt.date) else v for name, v in value.items()}


def check_seeds_are_text(folder: Path) -> None:
    """Reject seeds that are not UTF-8; a spreadsheet may save them so.

    Raises
    ------
    InputError
        The message names the seed, and how to save it.
    """
    for seed in sorted(folder.glob("*.csv")):
        try:
            seed.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise InputError(f"seeds/{seed.name}: not UTF-8; save it as CSV UTF-8") from None


def _check_names_and_numbers(dbt_vars: Mapping) -> None:
    defaults = project_vars()
    known = [*defaults, *OTHER_VARS]
    for name, value in dbt_vars.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f"; did you mean {near[0]}" if near else ""
            raise InputError(f"--vars: there is no var {name}{meant}")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        default = defaults.get(name)
        if isinstance(default, int | float) and not isinstance(default, bool) and not is_number:
            raise InputError(f"--vars: {name} is {value!r}, which must be a number")


def _date(value: str) -> str:
    try:
        return dt.date.fromisoformat(value).isoformat()
    except ValueError:
        raise InputError(f"as_of is {value!r}, which must be a date YYYY-MM-DD") from None


def _check_pools(value: str) -> None:
    with (PROJECT / "seeds" / "etf_pools.csv").open(encoding="utf-8", newline="") as file:
        known = {row["pool"] for row in csv.DictReader(file)} | {"MARKET"}
    names = [name.strip() for name in value.split(",")]
    unknown = [name for name in names if name not in known]
    if unknown:
        named = ", ".join(name if name.isprintable() else repr(name) for name in unknown)
        raise InputError(
            f"no pool {named} in the seed etf_pools; there are {', '.join(sorted(known))}"
        )
