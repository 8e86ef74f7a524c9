"""The gate: new, standing and resolved findings, and every check."""

from __future__ import annotations

from collections.abc import Iterable

from etf_rotation.gate.standing import is_standing
from etf_rotation.report.numbers import measured
from etf_rotation.report.source import Source

STATUSES = ("fail", "warn", "pass")
# Units of the seed gate_thresholds that are shown in percent, and the one exception.
PERCENT_UNITS = {
    "share",
    "a year",
    "return",
    "ratio - 1",
    "points",
    "share of rows",
    "share of funds",
}
PERCENT_CHECKS = {"max_drawdown"}


def gate(source: Source, more: Iterable[dict] = ()) -> dict:
    """Return the checks, worst first, the number per status, and the findings.

    `more` are checks outside the tables: checks of files, and nodes that failed to
    build.
    """
    rows = source.rows("gate.gate_checks", "from gate.gate_checks order by pool, check_name")
    known = {(row["pool"], row["check_name"]) for row in rows}
    rows += [dict(row) for row in more if (row["pool"], row["check_name"]) not in known]
    rules = {
        row["check_name"]: row
        for row in source.rows("seeds.gate_thresholds", "from seeds.gate_thresholds")
    }
    for row in rows:
        # To a reader, a node that could not be built is a failure.
        row["status"] = "fail" if row["status"] == "error" else row["status"]
        rule = rules.get(row["check_name"], {})
        row["title"] = source.in_language(row, "title") or row["check_name"]
        row["message"] = source.in_language(row, "message")
        row["direction"] = rule.get("direction")
        row["since"] = row.get("since") if row["status"] != "pass" else None
        row["is_percent"] = is_percent(row["check_name"], rule.get("unit", ""))
    rows.sort(key=lambda row: (STATUSES.index(row["status"]), is_standing(row)))
    others = [row for row in rows if not row["is_alert"]]
    counts = {status: sum(row["status"] == status for row in rows) for status in STATUSES}
    worst = next((status for status in STATUSES if counts[status]), "missing")
    return {
        "rows": rows,
        "counts": counts,
        "result": worst,
        "alerts": findings(source, (row for row in rows if row["is_alert"])),
        "findings": findings(source, (row for row in others if not is_standing(row))),
        "standing": findings(source, (row for row in others if is_standing(row))),
        "standing_count": sum(map(is_standing, others)),
        "resolved": _resolved(source),
    }


def is_percent(check_name: str, unit: str) -> bool:
    """Return whether a check's value is shown in percent."""
    return unit in PERCENT_UNITS or check_name in PERCENT_CHECKS


def findings(source: Source, rows: Iterable[dict]) -> list[dict]:
    """Return a line per check that does not pass: its limit, and each pool's value."""
    found: dict[tuple, dict] = {}
    for row in rows:
        if row["status"] == "pass":
            continue
        # By default a rule on returns only warns, but its limit is the one of failure.
        limits = [row.get("fail_threshold"), row.get("warn_threshold")]
        if row["status"] == "warn" and not row["is_alert"]:
            limits.reverse()
        limit = next((limit for limit in limits if limit is not None), None)
        line = found.setdefault(
            (row["status"], row["check_name"]),
            {"status": row["status"], "title": row["title"], "limit": "", "values": []},
        )
        if limit is not None and row["direction"]:
            line["limit"] = source.words[row["direction"]].format(
                measured(limit, row["is_percent"])
            )
        value = row.get("value")
        shown = row["message"] if value is None else measured(value, row["is_percent"])
        line["values"].append(f"{row['pool'] or ''} {shown}".strip())
    return list(found.values())


def _resolved(source: Source) -> list[dict]:
    """Return the findings of the published build that are resolved in this one."""
    rows = source.rows(
        "gate.gate_resolved",
        "from gate.gate_resolved order by pool, check_name, symbol, trade_date, detail",
    )
    for row in rows:
        row["title"] = source.in_language(row, "title")
        row["detail"] = source.in_language(row, "detail")
    return rows
