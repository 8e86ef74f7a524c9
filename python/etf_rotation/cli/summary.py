"""A run's summary on the terminal: gate, orders, holdings, results, next steps."""

from __future__ import annotations

from pathlib import Path

from rich.padding import Padding
from rich.text import Text

from etf_rotation.console import fitted, render, render_table, status, width
from etf_rotation.gate.standing import is_standing
from etf_rotation.notification.messages import (
    PERIODS,
    SHOWN,
    alert_lines,
    counts,
    gone_lines,
    is_alert,
    notable,
    number,
    order_line,
    signed,
    standing_line,
    traded,
    verdict,
    worst_first,
)
from etf_rotation.production.dbt_build import WORK
from etf_rotation.production.export_checks import unit_of
from etf_rotation.production.input_changes import since_line
from etf_rotation.production.run import PASSED, Outcome
from etf_rotation.production.settings import Settings
from etf_rotation.production.snapshots import SNAPSHOTS
from etf_rotation.report.findings import is_percent
from etf_rotation.report.numbers import measured, money
from etf_rotation.report.page import REPORT
from etf_rotation.texts import texts

NARROW = 110  # columns; below it findings and orders are printed as blocks of lines
NARROW_METRICS = ("annual_return", "benchmark_return", "max_drawdown", "sharpe")


def summary_text(outcome: Outcome, settings: Settings) -> str:
    """Return a run's summary in the chosen language."""
    language = settings.language
    words = texts("console", language)
    parts = _gate(outcome, language)
    # Orders of an unpublished run must not be sent.
    if outcome.is_published and traded(outcome.orders):
        parts += [orders_table(traded(outcome.orders), language)]
    if outcome.code == PASSED and traded(outcome.holdings):
        parts += [words["holdings"] + "\n" + holdings_table(traded(outcome.holdings), language)]
    if outcome.code == PASSED and outcome.returns:
        parts += [words["returns"] + "\n" + returns_table(outcome.returns, language)]
    if outcome.metrics:
        parts += [metrics_table(outcome.metrics, language)]
    if outcome.since:
        parts.append(since_line(outcome.since, language))
    if outcome.not_compared:
        parts.append(texts("message", language)["not_compared"].format(outcome.not_compared))
    if settings.is_synthetic:
        parts.append(words["synthetic"])
    return fitted("\n\n".join([*parts, _end(outcome, settings, words)]))


def _end(outcome: Outcome, settings: Settings, words: dict) -> str:
    """Return the last lines: the publication, the report's path, and the next steps."""
    run = settings.base / SNAPSHOTS / outcome.run_id
    where, seconds = run, f" ({outcome.seconds:.1f} s)"
    said = texts("message", settings.language)
    if outcome.is_published:
        where = settings.output_root
        lines = [words["published"].format(run=outcome.run_id, root=where) + seconds]
        if outcome.afterwards:
            lines.insert(0, f"{said['afterwards']}: {outcome.afterwards}")
        following = words["next_orders" if _has_orders(outcome) else "next_list"]
    elif outcome.code == PASSED:
        why = ", ".join(settings.partial)
        lines = [words["unpublished"].format(why=why, run=run) + seconds]
        following = words["next_publish"]
    else:
        head = said[verdict(outcome)]
        failed = [row for row in outcome.gate if row["status"] in ("fail", "error")]
        named = ", ".join(f"{row['pool']} {row['check_name']}".strip() for row in failed)
        why = outcome.fault or named
        lines = [f"{head.capitalize()}{': ' if why else ''}{why}{seconds}"]
        log = run / WORK / "logs" / "dbt.log"
        lines += [words["details"].format(log)] if log.is_file() else []
        following = words["next_failed"]
    report = Path(where) / REPORT
    lines += [words["report"].format(report)] if report.is_file() else []
    return "\n".join([*lines, following])


def _has_orders(outcome: Outcome) -> bool:
    return any(row["symbol"] for row in traded(outcome.orders))


def _gate(outcome: Outcome, language: str) -> list[str]:
    """Summarize the gate: counts, and new, standing and resolved findings."""
    if not outcome.gate:
        return []
    rows = notable(outcome.gate)
    parts = [gate_counts(outcome.gate, language)]
    # Without alert rules: they are listed once, below.
    if shown := [row for row in rows if not is_standing(row) and not is_alert(row)]:
        parts.append(gate_table(shown, language))
    standing = [row for row in rows if is_standing(row) and not is_alert(row)]
    if line := standing_line(standing, language):
        parts.append(line)
    said = texts("message", language)
    if gone := gone_lines(outcome.resolved, language):
        parts.append("\n".join([said["resolved"].format(len(outcome.resolved)), *gone]))
    if alerts := alert_lines(outcome.gate, language):
        parts.append("\n".join([said["alerts"], *alerts]))
    return parts


def gate_counts(rows: list[dict], language: str) -> str:
    """Return one line with the numbers of checks that passed, warned and failed."""
    return texts("message", language)["gate"].format(*counts(rows))


def gate_table(rows: list[dict], language: str) -> str:
    """Render checks as a table, worst first; as blocks on a narrow terminal."""
    words, said = texts("console", language), texts("message", language)
    suffix = "_zh" if language == "zh" else ""
    lines = []
    for row in worst_first(rows):
        percent = is_percent(row["check_name"], unit_of(row["check_name"]))
        name = row.get(f"title{suffix}") if suffix else row["check_name"]
        lines.append(
            [
                status(row["status"], said["status"][row["status"]]),
                row["pool"] or "",
                name,
                *(
                    "" if row.get(key) is None else measured(row[key], percent)
                    for key in ("value", "warn_threshold", "fail_threshold")
                ),
                words["since"].get(row.get("since") or "", ""),
                row[f"message{suffix}"],
            ]
        )
    headings = words["gate_headings"]
    names = ("status", "pool", "check", "value", "warns", "fails", "since", "message")
    if width() >= NARROW:
        return render_table([headings[name] for name in names], lines)
    return render(*(part for line in lines for part in _block(line)))


def _block(line: list) -> list:
    shown, pool, name, value, *_, since, message = line
    head = Text.assemble(shown, f" {pool} {name} {value} {since}".rstrip())
    return [head, Padding(Text(message), (0, 0, 0, 4))]


def metrics_table(rows: list[dict], language: str) -> str:
    """Render metrics as a table, returns in percent."""
    words, said = texts("console", language), texts("message", language)
    is_narrow = width() < NARROW
    keys = {"pool": "pool", "strategy": "strategy"}
    keys |= {} if is_narrow else {"from": "first_date", "to": "last_date"}
    names = NARROW_METRICS if is_narrow else SHOWN
    shown = [
        [
            *(str(row.get(key) or "") for key in keys.values()),
            *(_right(number(name, row.get(name))) for name in names),
        ]
        for row in rows
    ]
    headings = [words["metrics_headings"][name] for name in keys]
    return render_table([*headings, *(said[name] for name in names)], shown)


def _right(text: str) -> Text:
    return Text(text, justify="right")


def orders_table(rows: list[dict], language: str) -> str:
    """Render the orders to send: fund, side, shares, value, limits, reason."""
    words, said = texts("console", language), texts("message", language)
    dates = ", ".join(sorted({str(row["trade_date"]) for row in rows if row["trade_date"]}))
    reason = "reason_zh" if language == "zh" else "reason"
    lines = [
        [
            row["pool"],
            row["symbol"],
            row["name"],
            said["side"][row["side"]],
            _right(f"{row['shares']:,.0f}"),
            _right(money(row["estimated_value"], language)),
            _right(f"{row['limit_down']:.3f}–{row['limit_up']:.3f}"),
            _right("" if row.get("rank") is None else str(row["rank"])),
            row[reason],
        ]
        for row in rows
        if row["symbol"]
    ]
    parts = [said["orders"].format(dates)]
    if width() < NARROW:
        parts += [fitted(f"- {order_line(row, language)}") for row in rows if row["symbol"]]
    elif lines:
        headings = words["orders_headings"]
        names = ("pool", "symbol", "fund", "side", "shares", "value", "limits", "rank", "reason")
        parts.append(render_table([headings[name] for name in names], lines))
    parts += [said["pool"].format(row["pool"], row[reason]) for row in rows if not row["symbol"]]
    return "\n".join(parts)


def holdings_table(rows: list[dict], language: str) -> str:
    """Render the holdings with weight and unrealized return."""
    headings = texts("console", language)["holdings_headings"]
    names = ("pool", "symbol", "fund", "weight", "value", "entry", "gain")
    lines = [
        [
            row["pool"],
            row["symbol"],
            row["name"],
            _right(f"{row['weight']:.1%}"),
            _right(money(row["market_value"], language)),
            str(row["entry_date"]),
            _right(signed(row["unrealized_return"])),
        ]
        for row in rows
    ]
    return render_table([headings[name] for name in names], lines)


def returns_table(rows: list[dict], language: str) -> str:
    """Render the live strategies' returns by period beside the benchmark's."""
    words, said = texts("console", language), texts("message", language)
    by_pool: dict[str, dict[str, dict]] = {}
    for row in rows:
        by_pool.setdefault(row["pool"], {})[row["period"]] = row
    lines = []
    for pool, found in by_pool.items():
        for column, name in (("total_return", "own"), ("benchmark_total_return", "benchmark")):
            values = [signed(found[p][column]) if p in found else "" for p in PERIODS]
            lines.append([pool, words["curves"][name], *map(_right, values)])
    headings = [words["metrics_headings"]["pool"], "", *(said["periods"][p] for p in PERIODS)]
    return render_table(headings, lines)
