"""What a run says: the closing tables of the command, and the message that is sent."""

from __future__ import annotations

from etf_rotation.console import render_table
from etf_rotation.gate.standing import is_standing, named
from etf_rotation.notification.message import Message
from etf_rotation.production.dbt_build import WORK
from etf_rotation.production.input_changes import Since
from etf_rotation.production.run import COULD_NOT_RUN, GATE_FAILED, PASSED, Outcome
from etf_rotation.production.settings import Settings
from etf_rotation.production.snapshots import SNAPSHOTS
from etf_rotation.texts import texts

SHOWN = (
    "annual_return",
    "benchmark_return",
    "max_drawdown",
    "sharpe",
    "monthly_win_rate",
    "annual_turnover",
)
RATIOS = ("sharpe", "annual_turnover")
ORDER = ("pool", "symbol", "trade_date", "side", "shares", "target_weight", "last_close", "reason")
RANK = {"error": 0, "fail": 1, "warn": 2, "pass": 3}
LISTED = 20  # checks in a message; the published gate table has them all
NAMED = 5  # funds whose history changed (the manifest has them all), findings that are gone


def compose(outcome: Outcome, language: str) -> Message:
    """Return the message about a run, in Markdown without tables, which DingTalk cannot show."""
    words = texts("message", language)
    parts = [words[_verdict(outcome)]]
    if outcome.metrics:
        last = max(row["last_date"] for row in outcome.metrics)
        parts.append(words["data_to"].format(last))
    lines = [words["run"].format(outcome.run_id or "-", outcome.seconds)]
    if outcome.fetched:
        head, *rest = outcome.fetched.splitlines()
        lines += ["", f"**{head}**", "", *(f"- {line.strip()}" for line in rest)]
    if outcome.since:
        lines += ["", since_line(outcome.since, language)]
    if outcome.not_compared:
        lines += ["", words["not_compared"].format(outcome.not_compared)]
    for name in ("fault", "afterwards"):
        if text := getattr(outcome, name):
            lines += ["", f"**{words[name]}**: {text}"]
    lines += _gate_lines(outcome, language)
    if outcome.code == PASSED:
        lines += _metric_lines(outcome, words) + _order_lines(outcome, language)
    return Message(words["title"].format(words["comma"].join(parts)), "\n".join(lines))


def _verdict(outcome: Outcome) -> str:
    if outcome.code == PASSED:
        return "published" if outcome.is_published else "partial"
    return {GATE_FAILED: "gate_failed", COULD_NOT_RUN: "could_not_run"}[outcome.code]


def sample(language: str) -> Message:
    """Return the test message."""
    words = texts("message", language)
    return Message(words["title"].format(words["test"]), words["test_text"])


def since_line(since: Since, language: str) -> str:
    """Return one line on what the input, the code and the settings became since a run."""
    words = texts("message", language)
    added = {"rows": since.added_rows, "funds": since.added_funds, "date": since.last_date}
    if since.restated:
        named = [
            words[fund.kind].format(
                symbol=fund.symbol or "-", rows=fund.rows, date=fund.first_date or "-"
            )
            for fund in since.restated[:NAMED]
        ]
        if len(since.restated) > NAMED:
            named.append(words["more"].format(len(since.restated) - NAMED))
        parts = [words["history"].format(words["joint"].join(named))]
        parts += [words["later"].format(**added)] if since.added_rows else []
    else:
        parts = [words["added"].format(**added) if since.added_rows else words["same"]]
    parts += [words["code"]] if since.is_code_changed else []
    if since.settings_changed:
        parts.append(words["settings"].format(", ".join(since.settings_changed)))
    return words["since"].format(since.run_id, words["joint"].join(parts))


def _counts(gate: list[dict]) -> tuple[int, int, int]:
    statuses = [row["status"] for row in gate]
    failed = statuses.count("fail") + statuses.count("error")
    return statuses.count("pass"), statuses.count("warn"), failed


def _notable(gate: list[dict]) -> list[dict]:
    return _worst_first([row for row in gate if row["status"] != "pass"])


def _worst_first(rows: list[dict]) -> list[dict]:
    return sorted(rows, key=lambda row: RANK[row["status"]])


def _gate_lines(outcome: Outcome, language: str) -> list[str]:
    if not outcome.gate:
        return []
    words = texts("message", language)
    lines = ["", f"**{words['gate'].format(*_counts(outcome.gate))}**", ""]
    # Alerts come once, in a form that one can read on a telephone.
    notable = [row for row in _notable(outcome.gate) if not _is_alert(row)]
    shown = [row for row in notable if not is_standing(row)]
    # Checks that block are listed without limit.
    blocking = sum(row["status"] != "warn" for row in shown)
    listed = shown[: max(LISTED, blocking)]
    lines += [f"- {_check(row, language)}" for row in listed]
    if len(shown) > len(listed):
        lines.append(f"- {words['more'].format(len(shown) - len(listed))}")
    if standing := _standing_line([row for row in notable if is_standing(row)], language):
        lines.append(f"- {standing}")
    if gone := gone_lines(outcome.resolved, language):
        lines += ["", f"**{words['resolved'].format(len(outcome.resolved))}**", ""]
        lines += [f"- {line}" for line in gone]
    if alerts := alert_lines(outcome.gate, language):
        lines += ["", f"**{words['alerts']}**", "", *(f"- {line}" for line in alerts)]
    return lines


def _standing_line(rows: list[dict], language: str) -> str:
    words = texts("message", language)
    if not rows:
        return ""
    column = "title_zh" if language == "zh" else "check_name"
    return words["standing"].format(len(rows), named(rows, column, words["comma"], words["joint"]))


def gone_lines(resolved: list[dict], language: str) -> list[str]:
    """Return a line for each of the first findings that only the published build has."""
    words, suffix = texts("message", language), "_zh" if language == "zh" else ""
    lines = []
    for row in resolved[:NAMED]:
        name = row["title_zh"] if language == "zh" else row["check_name"]
        what = (row["symbol"], row["trade_date"], row[f"detail{suffix}"])
        lines.append(words["pool"].format(f"{row['pool']} {name}", " ".join(filter(None, what))))
    if len(resolved) > NAMED:
        lines.append(words["more"].format(len(resolved) - NAMED))
    return lines


def _check(row: dict, language: str) -> str:
    words, suffix = texts("message", language), "_zh" if language == "zh" else ""
    name, title = row["check_name"], row.get(f"title{suffix}")
    if language == "zh" and title not in (None, name):
        name = f"{title}（{name}）"
    pool = f"{row['pool']} " if row["pool"] else ""
    status = words["status"][row["status"]]
    return words["check"].format(
        status=status, pool=pool, name=name, message=row[f"message{suffix}"]
    )


def _is_alert(row: dict) -> bool:
    return (
        row["is_alert"]
        and row["status"] in ("warn", "fail")
        and None not in (row.get("value"), row.get("fail_threshold"))
    )


def alert_lines(gate: list[dict], language: str) -> list[str]:
    """Return a line a pool on the alert rules that it breaks."""
    words = texts("message", language)
    by_pool: dict[str, list[str]] = {}
    for row in filter(_is_alert, gate):
        name = row["check_name"]
        text = words["limit"].format(
            name=words[name],
            value=_number(name, row["value"]),
            limit=_number(name, row["fail_threshold"]),
        )
        by_pool.setdefault(row["pool"], []).append(text)
    return [words["pool"].format(pool, words["comma"].join(of)) for pool, of in by_pool.items()]


def _metric_lines(outcome: Outcome, words: dict) -> list[str]:
    before = {row["pool"]: row for row in outcome.metrics_before}
    lines = ["", f"**{words['metrics']}**", ""] if outcome.metrics else []
    for row in outcome.metrics:
        parts = []
        for name in SHOWN:
            text = f"{words[name]} {_number(name, row.get(name))}"
            old = before.get(row["pool"], {}).get(name)
            if old is not None and row.get(name) is not None:
                text += f" ({_number(name, row[name] - old, sign='+')})"
            parts.append(text)
        lines.append("- " + words["pool"].format(row["pool"], words["comma"].join(parts)))
    return lines


def _number(name: str, value: float | None, sign: str = "") -> str:
    if value is None:
        return "-"
    digits = 2 if name in RATIOS else 4
    value = round(value, digits) + 0.0  # a change of nothing is no -0.00
    return f"{value:{sign}.2f}" if name in RATIOS else f"{value:{sign}.2%}"


def _order_lines(outcome: Outcome, language: str) -> list[str]:
    words = texts("message", language)
    # A pool that is only simulated has nothing that one is told to trade.
    orders = [row for row in outcome.orders if not row["is_simulated_pool"]]
    if not orders:
        return []
    dates = ", ".join(sorted({row["trade_date"] for row in orders if row["trade_date"]}))
    lines = ["", f"**{words['orders'].format(dates)}**", ""]
    for row in orders:
        reason = row["reason_zh" if language == "zh" else "reason"]
        if row["symbol"]:
            side = words["side"][row["side"]]
            lines.append("- " + words["order"].format(**(row | {"side": side, "reason": reason})))
        else:
            lines.append("- " + words["pool"].format(row["pool"], reason))
    return lines


def closing(outcome: Outcome, settings: Settings) -> str:
    """Return the tables that end a run: gate, metrics, orders, and what was published."""
    parts = _gate_parts(outcome)
    if outcome.metrics:
        parts.append(metrics_table(outcome.metrics))
    if outcome.orders and outcome.code == PASSED:
        rows = [[row.get(name) for name in ORDER] for row in outcome.orders]
        parts.append("Orders for the next session\n" + render_table(ORDER, rows))
    if outcome.since:
        parts.append(since_line(outcome.since, "en"))
    if outcome.not_compared:
        parts.append(texts("message", "en")["not_compared"].format(outcome.not_compared))
    if settings.is_synthetic:
        parts.append("SYNTHETIC DATA, not market data")
    words = texts("message", "en")
    if alerts := alert_lines(outcome.gate, "en"):
        parts.append("\n".join([words["alerts"], *alerts]))
    if outcome.is_published:
        end = f"Published {outcome.run_id} as {settings.output_root}"
        if outcome.afterwards:
            end = f"{words['afterwards']}: {outcome.afterwards}\n{end}"
    elif outcome.code == PASSED:
        where = settings.base / SNAPSHOTS / outcome.run_id
        end = f"Not published ({', '.join(settings.partial)}): {where}"
    else:
        end = words[_verdict(outcome)].capitalize()
        failed = [row for row in outcome.gate if row["status"] in ("fail", "error")]
        named = ", ".join(f"{row['pool']} {row['check_name']}".strip() for row in failed)
        end += f": {why}" if (why := outcome.fault or named) else ""
        log = settings.base / SNAPSHOTS / outcome.run_id / WORK / "logs" / "dbt.log"
        end += f"\nDetails: {log}" if log.is_file() else ""
    return "\n\n".join([*parts, f"{end} ({outcome.seconds:.1f} s)"])


def _gate_parts(outcome: Outcome) -> list[str]:
    """Return what closes a run about its gate: counts, what is new, what stands, what is gone."""
    if not outcome.gate:
        return []
    parts, notable = [gate_counts(outcome.gate)], _notable(outcome.gate)
    if shown := [row for row in notable if not is_standing(row)]:
        parts.append(gate_table(shown))
    if standing := _standing_line([row for row in notable if is_standing(row)], "en"):
        parts.append(standing)
    if gone := gone_lines(outcome.resolved, "en"):
        title = texts("message", "en")["resolved"].format(len(outcome.resolved))
        parts.append("\n".join([title, *gone]))
    return parts


def gate_counts(rows: list[dict]) -> str:
    """Return one line: how many checks passed, warned and failed."""
    return texts("message", "en")["gate"].format(*_counts(rows))


def gate_table(rows: list[dict]) -> str:
    """Return checks as a table, the worst first."""
    columns = (
        "status",
        "pool",
        "check_name",
        "value",
        "warn_threshold",
        "fail_threshold",
        *(["since"] if any(row.get("since") for row in rows) else []),
        "message",
    )
    return render_table(
        columns, [[row.get(name) for name in columns] for row in _worst_first(rows)]
    )


def metrics_table(rows: list[dict]) -> str:
    """Return metrics as a table."""
    columns = ("pool", "first_date", "last_date", *SHOWN)
    return render_table(columns, [[row.get(name) for name in columns] for row in rows])
