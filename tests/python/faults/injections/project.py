"""Faults of seeds, settings and code."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb

from faults.workspace import FIRST, Workspace


def edited(file: str, old: str, new: str, *words: str) -> Callable[[Workspace], list[str]]:
    """Return what changes a text of the project.

    A seed, that is. Of the models only what the static check of the lag looks for: it reads their
    code, so that no data can break it.
    """

    def inject(w: Workspace) -> list[str]:
        w.replace(file, old, new)
        return list(words)

    return inject


def large_capital(w: Workspace) -> list[str]:
    w.replace("seeds/pool_constraints.csv", "QDII,3000000", "QDII,2000000000")
    return ["limit 0.03", "513"]


def cap_that_does_not_hold(w: Workspace) -> list[str]:
    times = "update backtest.rebalances set equity_as_of = 1000 * equity_as_of"
    _alter(w.database, f"{times} where pool = 'QDII'")
    return ["limit 0.03", "513"]


def altered(statement: str, *words: str) -> Callable[[Workspace], list[str]]:
    """Return what changes tables of the healthy build, of which the gate alone is built again."""

    def inject(w: Workspace) -> list[str]:
        _alter(w.database, statement)
        return list(words)

    return inject


def metric(column: str, value: float, *words: str) -> Callable:
    """Return what makes the metric of every pool a number."""
    return altered(
        f"update backtest.metrics set {column} = {value}",
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
    """Return what makes the panel of other rows: a query over `panel`, as it was."""

    def inject(w: Workspace) -> list[str]:
        with duckdb.connect(str(w.database)) as connection:
            before = connection.execute(
                "select count(*) from duckdb_views() where starts_with(view_name, 'right_panel_')"
            ).fetchall()[0][0]
            right = f"right_panel_{before}"
            connection.execute(f"alter view signals.factor_panel rename to {right}")
            connection.execute(
                f"create view signals.factor_panel as with panel as (from signals.{right}) {rows}"
            )
        return list(words)

    return inject


def moved(factor: str, how: str) -> Callable[[Workspace], list[str]]:
    """Return what moves a factor of the panel by one more row."""
    value = f"{how}({factor}) over (partition by symbol order by trade_date) as {factor}"
    words = (f"{factor} differs on", FIRST, "2020-12-")
    return panel(f"select * replace ({value}) from panel order by symbol, trade_date", *words)


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
    _alter(path, change)


def _alter(database: Path, statement: str) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute(statement)


def _drop_line(path: Path, start: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(start)]
    assert len(kept) == len(lines) - 1
    path.write_text("\n".join(kept) + "\n", encoding="utf-8")
