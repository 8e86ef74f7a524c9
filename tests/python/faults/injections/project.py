"""Faults of seeds, settings and code."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb

from faults.workspace import FIRST, Workspace


def edited(file: str, old: str, new: str, *words: str) -> Callable[[Workspace], list[str]]:
    """Return what changes a text of the project."""

    def inject(w: Workspace) -> list[str]:
        w.replace(file, old, new)
        return list(words)

    return inject


def large_capital(w: Workspace) -> list[str]:
    w.replace("seeds/pool_constraints.csv", "QDII,3000000", "QDII,2000000000")
    return ["limit 0.03", "513"]


def cap_that_does_not_hold(w: Workspace) -> list[str]:
    words = large_capital(w)
    doubled = "    2 * target_weight as target_weight,\n"
    w.replace("models/backtest/results/rebalances.sql", "    target_weight,\n", doubled)
    return words


def metric(column: str, formula: str, value: float, *words: str) -> Callable:
    """Return what makes the metric of every pool a number."""
    return edited(
        "models/backtest/results/metrics.sql",
        f"    {formula}{',' if formula.endswith(column) else f' as {column},'}\n",
        f"    {value}::double as {column},\n",
        *words,
        "2022-06-30 is the last session",
    )


def with_vars(*words: str) -> Callable[[Workspace], list[str]]:
    """Return what changes nothing, where the vars of the build do."""
    return lambda _: list(words)


def threshold_missing(w: Workspace) -> list[str]:
    _drop_line(w.project / "seeds" / "gate_thresholds.csv", "unit_sanity,")
    return ["seed gate_thresholds has no row"]


def panel(rows: str, *words: str) -> Callable[[Workspace], list[str]]:
    """Return what makes the panel of other rows: a query over `{lagged}`."""
    lagged = "{{ ref('int_factors__lagged') }}"
    other = f"\nfrom ({rows})".replace("{lagged}", lagged)
    return edited("models/signals/factor_panel.sql", f"\nfrom {lagged}", other, *words)


def moved(factor: str, how: str) -> Callable[[Workspace], list[str]]:
    """Return what moves a factor of the panel by one more row."""
    value = f"{how}({factor}) over (partition by symbol order by trade_date) as {factor}"
    words = (f"{factor} differs on", FIRST, "2020-12-")
    rows = f"select * replace ({value})\nfrom {{lagged}} order by symbol, trade_date"
    return panel(rows, *words)


def coverage_dropped(w: Workspace) -> list[str]:
    _publish(w, "update signals.factor_summary set coverage = coverage + 0.11 where pool = 'QDII'")
    return ["in the published build"]


def metrics_changed(w: Workspace) -> list[str]:
    _publish(
        w,
        "update marts.pool_metrics_summary set annual_return = annual_return + 0.5 "
        "where pool = 'QDII'",
    )
    return ["annual_return", ", was "]


def _publish(w: Workspace, change: str) -> None:
    path = w.folder / "published.duckdb"
    if not path.exists():
        shutil.copy(w.healthy_database, path)
    with duckdb.connect(str(path)) as connection:
        connection.execute(change)


def _drop_line(path: Path, start: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(start)]
    assert len(kept) == len(lines) - 1
    path.write_text("\n".join(kept) + "\n", encoding="utf-8")
