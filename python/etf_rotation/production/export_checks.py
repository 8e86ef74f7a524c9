"""Checks of a finished output folder, with the columns of `gate.gate_checks`."""

from __future__ import annotations

import csv
import json
from functools import cache
from pathlib import Path

import duckdb

from etf_rotation.bilingual import Bilingual
from etf_rotation.dbt_project import PROJECT
from etf_rotation.production.manifest import MANIFEST, UNFINISHED, faults
from etf_rotation.production.snapshots import DATABASE, SNAPSHOTS
from etf_rotation.report.page import REPORT

LISTED = 5
OF_A_POOL = (
    "panel_FULL_*.parquet",
    "factor_summary_*.csv",
    "panel_meta.json",
    "production_factors.txt",
)
OF_A_BACKTEST = (
    "backtest_results.parquet",
    "backtest_metrics.json",
    "capacity_constraints_report.json",
)
BUILD, NEVER_TRADED = "BUILD", "MARKET"
METADATA = (
    "engine_version",
    "price_adjustment",
    "generated_at",
    "first_date",
    "last_date",
    "run_parameters",
    "panel_column_hash",
    "pools",
    "input_fingerprint",
    "code_version",
)


def check_folder(
    folder: Path,
    *,
    is_full: bool,
    is_synthetic: bool | None = None,
    pending: tuple[str, ...] = (),
) -> list[dict]:
    """Check the files in `folder` as they are on disk; return one row per check.

    Parameters
    ----------
    folder : Path
        A run's directory or the published link.
    is_full : bool
        Whether the files of backtest, capacity, pool metrics and gate are required.
    is_synthetic : bool, optional
        Whether the files must be labeled as synthetic; None skips the check.
    pending : tuple of str
        Files that will be written later, such as the report, which shows these checks.
    """
    panels = sorted(path for path in folder.glob("panel_*") if path.is_dir())
    checks = [_missing(folder, panels, is_full, pending)]
    # Only runs have a manifest; folders copied by `panels` and `backtest` have none.
    is_run = folder.resolve().parent.name == SNAPSHOTS and not (folder / UNFINISHED).exists()
    if is_run or (folder / MANIFEST).exists():
        checks.append(_check(BUILD, "files_unchanged", faults(folder)))
    for panel in panels:
        pool = panel.name.removeprefix("panel_")
        if is_full or any(panel.glob(OF_A_POOL[0])):
            checks += [_index(pool, panel), _metadata(pool, panel, is_synthetic)]
    return checks


def check_row(
    pool: str,
    name: str,
    status: str,
    message: Bilingual,
    *,
    title: Bilingual | None = None,
    value: float | None = None,
    fail_threshold: float | None = None,
) -> dict:
    """Return a row with the columns of `gate.gate_checks`; default title: the name."""
    title = title or Bilingual(name, name)
    return {
        "pool": pool,
        "check_name": name,
        "title": title.en,
        "title_zh": title.zh,
        "value": value,
        "warn_threshold": None,
        "fail_threshold": fail_threshold,
        "status": status,
        "message": message.en,
        "message_zh": message.zh,
        "is_alert": False,
        "since": None,
    }


@cache
def _seed() -> dict[str, dict[str, str]]:
    path = PROJECT / "seeds" / "gate_thresholds.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return {row["check_name"]: row for row in csv.DictReader(file)}


def unit_of(name: str) -> str:
    """Return the unit of a check's value; empty if the seed lacks the check."""
    return _seed().get(name, {}).get("unit", "")


def _check(pool: str, name: str, violations: list[Bilingual]) -> dict:
    rule = _seed()[name]
    message = Bilingual("ok", "正常")
    if violations:
        more = Bilingual("; …", "；…") if len(violations) > LISTED else Bilingual("", "")
        shown = violations[:LISTED]
        message = Bilingual(
            f"{'; '.join(one.en for one in shown)}{more.en}. {rule['remedy']}",
            f"{'；'.join(one.zh for one in shown)}{more.zh}。{rule['remedy_zh']}",
        )
    return check_row(
        pool,
        name,
        "fail" if violations else "pass",
        message,
        title=Bilingual(rule["title"], rule["title_zh"]),
        value=float(len(violations)),
        fail_threshold=0.0,
    )


def live_files(damaged: list[Bilingual]) -> list[dict]:
    """Return a warning about unusable files in `reconcile/`; empty without any."""
    if not damaged:
        return []
    warned = {"status": "warn", "warn_threshold": 0.0, "fail_threshold": None}
    return [_check(BUILD, "files_live", damaged) | warned]


def _missing(folder: Path, panels: list[Path], is_full: bool, pending: tuple[str, ...]) -> dict:
    wanted = ["panel_*"]
    for panel in panels:
        # A run of `backtest` alone has no panel.
        names: tuple[str, ...] = OF_A_POOL if is_full or any(panel.glob(OF_A_POOL[0])) else ()
        if is_full and panel.name != f"panel_{NEVER_TRADED}":
            names += OF_A_BACKTEST
        wanted += [f"{panel.name}/{name}" for name in names]
    if is_full:
        wanted += [DATABASE, "pool_metrics_summary.csv", REPORT, "gate_report/index.html"]
    missing = [
        _missing_text(name) for name in wanted if name not in pending and not any(folder.glob(name))
    ]
    return _check(BUILD, "files_complete", missing)


def _missing_text(name: str) -> Bilingual:
    return Bilingual(f"{name} is missing", f"缺少 {name}")


def _index(pool: str, panel: Path) -> dict:
    """Check that the key is unique, not null, and sorted as the file is."""
    violations = []
    for path in sorted(panel.glob("panel_FULL_*.parquet")):
        query = """
            with rows as (
                select
                    symbol,
                    trade_date,
                    lag(symbol) over file as symbol_before,
                    lag(trade_date) over file as date_before
                from read_parquet(?, file_row_number = true)
                window file as (order by file_row_number)
            )
            select symbol, trade_date from rows
            where symbol is null
                or trade_date is null
                or symbol < symbol_before
                or (symbol = symbol_before and trade_date <= date_before)
            order by all"""
        with duckdb.connect() as connection:
            try:
                rows = connection.execute(query, [str(path)]).fetchall()
            except duckdb.Error as error:
                rows = []
                kind = type(error).__name__
                violations.append(
                    Bilingual(
                        f"{path.name} cannot be read ({kind})", f"{path.name} 无法读取（{kind}）"
                    )
                )
        violations += [
            Bilingual(
                f"{path.name}: {symbol} {day} does not follow the row before it",
                f"{path.name}：{symbol} {day} 未排在上一行之后",
            )
            for symbol, day in rows
        ]
    return _check(pool, "export_index", violations)


def _metadata(pool: str, panel: Path, is_synthetic: bool | None) -> dict:
    path = panel / "panel_meta.json"
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fault = f"{path.name}: {type(error).__name__}"
        return _check(pool, "export_metadata", [Bilingual(fault, fault)])
    violations = [_missing_text(name) for name in METADATA if metadata.get(name) in (None, "")]
    if is_synthetic is not None and metadata.get("is_synthetic") is not is_synthetic:
        expected = str(is_synthetic).lower()
        violations.append(
            Bilingual(f"is_synthetic is not {expected}", f"is_synthetic 不是 {expected}")
        )
    return _check(pool, "export_metadata", violations)
