"""Check a finished output folder; the results have the columns of `gate.gate_checks`."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

from etf_rotation.publish import DATABASE, MANIFEST, faults
from etf_rotation.report import REPORT

COLUMNS = (
    "pool",
    "check_name",
    "value",
    "warn_threshold",
    "fail_threshold",
    "status",
    "message",
)
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


def check_folder(folder: Path, *, is_full: bool, is_synthetic: bool | None = None) -> list[dict]:
    """Return one row a check of the files in `folder`, as they are on disk.

    Parameters
    ----------
    folder : Path
        A run's directory or the published link.
    is_full : bool
        Whether the files of backtest, capacity, pools' table and gate must be there.
    is_synthetic : bool, optional
        What the files must say of themselves.
    """
    panels = sorted(path for path in folder.glob("panel_*") if path.is_dir())
    checks = [_missing(folder, panels, is_full)]
    if (folder / MANIFEST).exists():
        changed = faults(folder)
        checks.append(
            _check(BUILD, "files_unchanged", changed, "restore another run, or run again")
        )
    for panel in panels:
        pool = panel.name.removeprefix("panel_")
        if is_full or any(panel.glob(OF_A_POOL[0])):
            checks += [_index(pool, panel), _metadata(pool, panel, is_synthetic)]
    return checks


def _check(pool: str, name: str, violations: list[str], what_to_do: str) -> dict:
    if violations:
        shown = "; ".join(violations[:5]) + ("; …" if len(violations) > 5 else "")  # noqa: PLR2004
        message = f"{shown}: {what_to_do}"
    else:
        message = "nothing to do"
    values = (
        pool,
        name,
        float(len(violations)),
        None,
        0.0,
        "fail" if violations else "pass",
        message,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _missing(folder: Path, panels: list[Path], is_full: bool) -> dict:
    wanted = ["panel_*"]
    for panel in panels:
        # A run of the backtest alone has no panel to write.
        names = OF_A_POOL if is_full or any(panel.glob(OF_A_POOL[0])) else ()
        if is_full and panel.name != f"panel_{NEVER_TRADED}":
            names += OF_A_BACKTEST
        wanted += [f"{panel.name}/{name}" for name in names]
    if is_full:
        wanted += [DATABASE, "pool_metrics_summary.csv", REPORT, "gate_report/index.html"]
    missing = [f"{name} is missing" for name in wanted if not any(folder.glob(name))]
    return _check(BUILD, "files_complete", missing, "run again")


def _index(pool: str, panel: Path) -> dict:
    """Key unique, not null, and sorted as it stands in the file."""
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
                violations.append(f"{path.name} cannot be read ({type(error).__name__})")
        violations += [
            f"{path.name}: {symbol} {day} is not after the row before" for symbol, day in rows
        ]
    return _check(pool, "export_index", violations, "the export is not sorted by symbol and date")


def _metadata(pool: str, panel: Path, is_synthetic: bool | None) -> dict:
    path = panel / "panel_meta.json"
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return _check(
            pool, "export_metadata", [f"{path.name}: {type(error).__name__}"], "run again"
        )
    violations = [f"{name} is missing" for name in METADATA if metadata.get(name) in (None, "")]
    if is_synthetic is not None and metadata.get("is_synthetic") is not is_synthetic:
        violations.append(f"is_synthetic is not {str(is_synthetic).lower()}")
    return _check(pool, "export_metadata", violations, "run again")
