"""The message about a run: verdict, new findings, orders, result, then the rest."""

from __future__ import annotations

from etf_rotation.gate.standing import is_standing, named
from etf_rotation.notification.message import Message, Part
from etf_rotation.production.input_changes import since_line
from etf_rotation.production.run import COULD_NOT_RUN, GATE_FAILED, PASSED, Outcome
from etf_rotation.report.numbers import money
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
RANK = {"error": 0, "fail": 1, "warn": 2, "pass": 3}
LISTED = 20  # checks per message; the published gate table has all
NAMED = 5  # resolved findings per message; the published table has all
PERIODS = ("last_session", "month_to_date", "year_to_date", "last_1_year")
# Ranks for cutting a long message: 0 is never cut, the highest is cut first.
NEVER, FINDINGS, RESULT, CHANGES, HOLDINGS, REST = range(6)


def compose(outcome: Outcome, language: str) -> Message:
    """Compose the message about a run, in Markdown without tables.

    DingTalk cannot show tables. The parts are in reading order. A channel with a size
    limit cuts the least important part from its end, and never the orders.
    """
    words = texts("message", language)
    title = [words[verdict(outcome)]]
    if outcome.metrics:
        last = max(row["last_date"] for row in outcome.metrics)
        title.append(words["data_to"].format(last))
    faults = [
        f"**{words[name]}**: {text}"
        for name in ("fault", "afterwards")
        if (text := getattr(outcome, name))
    ]
    parts = [
        Part("\n\n".join(faults), NEVER),
        Part(_new_findings(outcome, language), FINDINGS),
        Part(_orders(outcome, language), NEVER),
        Part(_result(outcome, words), RESULT),
        Part(_alerts(outcome, language), RESULT),
        Part(_changed_input(outcome, language), CHANGES),
        Part(_standing_findings(outcome, language), CHANGES),
        Part(_holdings(outcome, language), HOLDINGS),
        Part(_metrics(outcome, words), REST),
        Part(_fetched(outcome), REST),
        Part(words["run"].format(outcome.run_id or "-", outcome.seconds), REST),
    ]
    return Message.of(words["title"].format(words["comma"].join(title)), parts)


def verdict(outcome: Outcome) -> str:
    """Return the run's result as a key of the texts."""
    if outcome.code == PASSED:
        return "published" if outcome.is_published else "partial"
    return {GATE_FAILED: "gate_failed", COULD_NOT_RUN: "could_not_run"}[outcome.code]


def sample(language: str) -> Message:
    """Return the test message."""
    words = texts("message", language)
    return Message(words["title"].format(words["test"]), words["test_text"])


def counts(gate: list[dict]) -> tuple[int, int, int]:
    """Count the checks that passed, warned and failed; broken nodes count as failed."""
    statuses = [row["status"] for row in gate]
    failed = statuses.count("fail") + statuses.count("error")
    return statuses.count("pass"), statuses.count("warn"), failed


def notable(gate: list[dict]) -> list[dict]:
    """Return the checks that did not pass, worst first."""
    return worst_first([row for row in gate if row["status"] != "pass"])


def worst_first(rows: list[dict]) -> list[dict]:
    """Sort checks by status, worst first; the order is stable."""
    return sorted(rows, key=lambda row: RANK[row["status"]])


def _listed(title: str, lines: list[str]) -> str:
    return "\n".join([f"**{title}**", "", *(f"- {line}" for line in lines)]) if lines else ""


def _new_findings(outcome: Outcome, language: str) -> str:
    if not outcome.gate:
        return ""
    words = texts("message", language)
    # Without alerts: they are listed once, in a form that suits a phone.
    rows = [row for row in notable(outcome.gate) if not is_alert(row) and not is_standing(row)]
    # All blocking checks are listed, even beyond the limit.
    blocking = sum(row["status"] != "warn" for row in rows)
    listed = rows[: max(LISTED, blocking)]
    lines = [_check(row, language) for row in listed]
    if len(rows) > len(listed):
        lines.append(words["more"].format(len(rows) - len(listed)))
    title = words["gate"].format(*counts(outcome.gate))
    return _listed(title, lines or [words["nothing_new"]])


def _standing_findings(outcome: Outcome, language: str) -> str:
    words = texts("message", language)
    rows = [row for row in notable(outcome.gate) if not is_alert(row) and is_standing(row)]
    gone = _listed(
        words["resolved"].format(len(outcome.resolved)), gone_lines(outcome.resolved, language)
    )
    return "\n\n".join(filter(None, [standing_line(rows, language), gone]))


def standing_line(rows: list[dict], language: str) -> str:
    """Return one line on standing warnings, or an empty text."""
    words = texts("message", language)
    if not rows:
        return ""
    column = "title_zh" if language == "zh" else "check_name"
    return words["standing"].format(len(rows), named(rows, column, words["comma"], words["joint"]))


def gone_lines(resolved: list[dict], language: str) -> list[str]:
    """Return a line for each of the first `NAMED` resolved findings."""
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


def is_alert(row: dict) -> bool:
    """Return whether a row is an alert rule broken by a value."""
    return (
        row["is_alert"]
        and row["status"] in ("warn", "fail")
        and None not in (row.get("value"), row.get("fail_threshold"))
    )


def alert_lines(gate: list[dict], language: str) -> list[str]:
    """Return one line per pool on the alert rules that it breaks."""
    words = texts("message", language)
    by_pool: dict[str, list[str]] = {}
    for row in filter(is_alert, gate):
        name = row["check_name"]
        text = words["limit"].format(
            name=words[name],
            value=number(name, row["value"]),
            limit=number(name, row["fail_threshold"]),
        )
        by_pool.setdefault(row["pool"], []).append(text)
    return [words["pool"].format(pool, words["comma"].join(of)) for pool, of in by_pool.items()]


def _alerts(outcome: Outcome, language: str) -> str:
    return _listed(texts("message", language)["alerts"], alert_lines(outcome.gate, language))


def _changed_input(outcome: Outcome, language: str) -> str:
    lines = [since_line(outcome.since, language)] if outcome.since else []
    if outcome.not_compared:
        lines.append(texts("message", language)["not_compared"].format(outcome.not_compared))
    return "\n\n".join(lines)


def _fetched(outcome: Outcome) -> str:
    head, *rest = outcome.fetched.splitlines() or [""]
    return "\n".join([f"**{head}**", "", *(f"- {line.strip()}" for line in rest)]) if head else ""


def _result(outcome: Outcome, words: dict) -> str:
    if outcome.code != PASSED:
        return ""
    pools: dict[str, dict[str, dict]] = {}
    for row in outcome.returns:
        pools.setdefault(row["pool"], {})[row["period"]] = row
    lines = []
    for pool, periods in pools.items():
        parts = [
            words["return"].format(
                period=words["periods"][name],
                own=signed(periods[name]["total_return"]),
                benchmark=signed(periods[name]["benchmark_total_return"]),
            )
            for name in PERIODS
            if name in periods
        ]
        lines.append(words["pool"].format(pool, words["comma"].join(parts)))
    return _listed(words["returns"], lines)


def signed(value: float | None) -> str:
    """Format a return in percent, with its sign."""
    return "-" if value is None else f"{round(value, 4) + 0.0:+.2%}"


def _holdings(outcome: Outcome, language: str) -> str:
    if outcome.code != PASSED:
        return ""
    words = texts("message", language)
    pools: dict[str, list[str]] = {}
    for row in traded(outcome.holdings):
        text = words["holding"].format(
            symbol=row["symbol"],
            name=row["name"] or "",
            weight=row["weight"],
            gain=signed(row["unrealized_return"]),
        )
        pools.setdefault(row["pool"], []).append(text)
    lines = [words["pool"].format(pool, words["joint"].join(of)) for pool, of in pools.items()]
    return _listed(words["holdings"], lines)


def _metrics(outcome: Outcome, words: dict) -> str:
    if outcome.code != PASSED:
        return ""
    before = {row["pool"]: row for row in outcome.metrics_before}
    lines = []
    for row in outcome.metrics:
        parts = []
        for name in SHOWN:
            text = f"{words[name]} {number(name, row.get(name))}"
            old = before.get(row["pool"], {}).get(name)
            if old is not None and row.get(name) is not None:
                text += f" ({number(name, row[name] - old, sign='+')})"
            parts.append(text)
        lines.append(words["pool"].format(row["pool"], words["comma"].join(parts)))
    return _listed(words["metrics"], lines)


def number(name: str, value: float | None, sign: str = "") -> str:
    """Format a metric: a ratio with two digits, all others in percent."""
    if value is None:
        return "-"
    digits = 2 if name in RATIOS else 4
    value = round(value, digits) + 0.0  # turns -0.00 into 0.00
    return f"{value:{sign}.2f}" if name in RATIOS else f"{value:{sign}.2%}"


def traded(rows: list[dict]) -> list[dict]:
    """Return the rows of traded pools; orders of a simulated pool are never sent."""
    return [row for row in rows if not row["is_simulated_pool"]]


def _orders(outcome: Outcome, language: str) -> str:
    # An unpublished run must not suggest any trade.
    orders = traded(outcome.orders) if outcome.is_published else []
    if not orders:
        return ""
    words = texts("message", language)
    dates = ", ".join(sorted({row["trade_date"] for row in orders if row["trade_date"]}))
    lines = [order_line(row, language) for row in orders]
    return _listed(words["orders"].format(dates), lines)


def order_line(row: dict, language: str) -> str:
    """Return one line on an order: pool, side, shares, fund, value, limits, reason."""
    words = texts("message", language)
    reason = row["reason_zh" if language == "zh" else "reason"]
    if not row["symbol"]:
        return words["pool"].format(row["pool"], reason)
    if row.get("rank") is not None:
        reason += words["ranked"].format(rank=row["rank"], score=number("sharpe", row["score"]))
    return words["order"].format(
        pool=row["pool"],
        side=words["side"][row["side"]],
        shares=row["shares"],
        symbol=row["symbol"],
        name=row["name"] or "",
        value=money(row["estimated_value"], language),
        down=row["limit_down"],
        up=row["limit_up"],
        reason=reason,
    )
