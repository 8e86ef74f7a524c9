"""`report.html`: a finished database as one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import duckdb
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from etf_rotation.errors import InputError
from etf_rotation.production.changes import changes
from etf_rotation.reconcile.section import section as live_section
from etf_rotation.report import evening, findings, numbers, pools, research
from etf_rotation.report.packing import as_json, content_security_policy, packed
from etf_rotation.report.source import Source, Tables
from etf_rotation.sql import attach
from etf_rotation.texts import LANGUAGES

REPORT = "report.html"
TEMPLATES = Path(__file__).parent / "templates"
METRICS = {
    "of_returns": (
        "first_date",
        "last_date",
        "total_return",
        "annual_return",
        "benchmark_return",
        "excess_return",
        "monthly_win_rate",
    ),
    "of_risk": (
        "annual_volatility",
        "sharpe",
        "sortino",
        "calmar",
        "max_drawdown",
        "max_drawdown_peak_date",
        "max_drawdown_trough_date",
        "max_drawdown_recovery_date",
    ),
    "of_benchmark": ("beta", "tracking_error", "information_ratio"),
    "of_trading": ("annual_turnover", "total_costs", "average_invested"),
}


@dataclass(frozen=True)
class Run:
    """Facts about the run that wrote the report and that the database does not hold.

    Parameters
    ----------
    run_id : str
        Id of the production run.
    unpublished : str
        Why the run is not published; empty if it is about to be published.
    published : Path, optional
        The published database, for comparison.
    since : str
        One line on the changes of input, code and settings since the published run.
    checks : sequence of dict
        Checks outside the tables, with the columns of `gate.gate_checks`.
    """

    run_id: str = ""
    unpublished: str = ""
    published: Path | None = None
    since: str = ""
    checks: Sequence[dict] = ()


def write_report(
    database: Path,
    path: Path,
    *,
    language: str,
    run: Run | None = None,
    is_synthetic: bool | None = None,
) -> None:
    """Write the report of a finished database.

    Parameters
    ----------
    database : Path
        The result of `dbt build`. A missing or empty table shows as "no data".
    path : Path
        The page to write.
    language : str
        `en` or `zh`.
    run : Run, optional
        Facts that only the run knows.
    is_synthetic : bool, optional
        Whether the data is synthetic; needed for a database without
        `gate.run_metadata`.

    Raises
    ------
    InputError
        An unknown language, or a database that does not state whether its data is
        synthetic.
    """
    if language not in LANGUAGES:
        raise InputError(f"language is {language!r}, which must be one of: {', '.join(LANGUAGES)}")
    run = run or Run()
    with duckdb.connect(str(database), read_only=True) as connection:
        source = Source(Tables(connection), language, is_synthetic)
        page = _render(source, run, _changes(database, run.published))
    path.write_text(page, encoding="utf-8")


def _changes(database: Path, published: Path | None) -> dict[str, list[dict]] | None:
    """Return the differences from the published build; None if none can be compared."""
    if published is None:
        return None
    with duckdb.connect() as connection:
        attach(connection, database, "b")
        try:
            attach(connection, published, "a")
            return changes(connection, "a", "b")
        except duckdb.Error:
            # Not an error here: the gate reports a damaged or incomplete published
            # database.
            return None


def _render(source: Source, run: Run, changed: dict[str, list[dict]] | None) -> str:
    environment = _templates()
    environment.filters |= {
        "money": partial(numbers.money, language=source.language),
        "fund": source.fund,
        "strategy": source.strategy_name,
    }
    content = _content(source, run) | {"changes": changed}
    figures = {"columns": source.columns.arrays, "figures": source.figures}
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    plotly, packed_plotly = _plotly()
    return environment.get_template("report.html.j2").render(
        content,
        figures=packed(as_json(figures)),
        plotly=packed_plotly,
        script=Markup(script),
        policy=content_security_policy(script, plotly),
    )


@cache
def _templates() -> Environment:
    """Return the templates; they compile once per process, not once per report."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": numbers.percent,
        "points": numbers.points,
        "number": numbers.number,
        "metric": numbers.metric,
        "measured": numbers.measured,
        "setting": numbers.setting,
        "tint": numbers.tint,
    }
    return environment


@cache
def _plotly() -> tuple[str, str]:
    """Return the text of plotly.js, and the same text packed."""
    # Not imported above: it takes up to three seconds, and only reports need it.
    from plotly.offline import get_plotlyjs  # noqa: PLC0415

    text = get_plotlyjs()
    return text, packed(text)


def _content(source: Source, run: Run) -> dict:
    """Return the content of the templates, in reading order."""
    return {
        "words": source.words,
        "is_synthetic": source.is_synthetic,
        "run": source.run,
        "production": run,
        "gate": findings.gate(source, run.checks),
        "orders": evening.orders(source),
        "headline": evening.headline(source),
        "holdings": evening.holdings(source),
        "horizons": evening.horizons(source),
        "comparison": evening.comparison(source),
        "live": live_section(source.rows, source.columns, source.draw, source.language),
        "metric_groups": METRICS,
        "metrics": source.rows(
            "marts.pool_metrics_summary",
            "from marts.pool_metrics_summary where is_live order by pool <> 'PORTFOLIO', pool",
        ),
        "pools": [pools.pool(source, name, strategy) for name, strategy in source.live.items()],
        "risk_free_rate": source.parameters.get("risk_free_rate"),
        "rolling_sessions": source.parameters.get("rolling_sessions"),
        "capacity": research.capacity(source),
        "research": [research.research(source, pool) for pool in research.researched(source)],
        "parameters": sorted(source.parameters.items()),
        "window": research.WINDOW,
    }
