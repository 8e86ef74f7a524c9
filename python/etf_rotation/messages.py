"""What a run says: the closing tables of the command, and the message that is sent."""

from __future__ import annotations

from etf_rotation.build import WORK
from etf_rotation.channels import Message
from etf_rotation.production import COULD_NOT_RUN, GATE_FAILED, PASSED, Outcome
from etf_rotation.publish import SNAPSHOTS
from etf_rotation.settings import Settings
from etf_rotation.tables import render

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

WORDS = {
    "en": {
        "title": "ETF rotation: {}",
        "comma": ", ",
        "published": "published",
        "partial": "built in part, not published",
        GATE_FAILED: "GATE FAILED, nothing published",
        COULD_NOT_RUN: "COULD NOT RUN, nothing published",
        "data_to": "data to {}",
        "run": "Run {} in {:.0f} s",
        "fault": "Reason",
        "gate": "Gate: {} passed, {} warned, {} failed",
        "more": "and {} more",
        "metrics": "Metrics (change against the last build)",
        "orders": "Orders for the session {}",
        "no_orders": "no orders",
        "side": {"buy": "buy", "sell": "sell"},
        "order": "{pool}: {side} {shares:,.0f} × {symbol}",
        "test": "test message",
        "test_text": "Notifications work.",
        "annual_return": "annual return",
        "benchmark_return": "benchmark",
        "max_drawdown": "max drawdown",
        "sharpe": "Sharpe",
        "monthly_win_rate": "monthly win rate",
        "annual_turnover": "turnover",
    },
    "zh": {
        "title": "ETF 轮动：{}",
        "comma": "，",
        "published": "已发布",
        "partial": "部分构建，未发布",
        GATE_FAILED: "质量门未通过，未发布",
        COULD_NOT_RUN: "运行失败，未发布",
        "data_to": "数据截至 {}",
        "run": "运行 {}，用时 {:.0f} 秒",
        "fault": "原因",
        "gate": "质量门：通过 {}，警告 {}，失败 {}",
        "more": "另有 {} 项",
        "metrics": "绩效指标（与上次构建相比的变化）",
        "orders": "{} 交易日的订单",
        "no_orders": "无订单",
        "side": {"buy": "买入", "sell": "卖出"},
        "order": "{pool}：{side} {symbol} {shares:,.0f} 份",
        "test": "测试消息",
        "test_text": "通知功能正常。",
        "annual_return": "年化收益",
        "benchmark_return": "基准",
        "max_drawdown": "最大回撤",
        "sharpe": "夏普比率",
        "monthly_win_rate": "月度胜率",
        "annual_turnover": "年换手",
    },
}


def compose(outcome: Outcome, language: str) -> Message:
    """Return the message about a run, in Markdown without tables, which DingTalk cannot show."""
    words = WORDS[language]
    key = outcome.code
    if key == PASSED:
        key = "published" if outcome.is_published else "partial"
    parts = [words[key]]
    if outcome.metrics:
        last = max(row["last_date"] for row in outcome.metrics)
        parts.append(words["data_to"].format(last))
    lines = [words["run"].format(outcome.run_id or "-", outcome.seconds)]
    if outcome.fault:
        lines += ["", f"**{words['fault']}**: {outcome.fault}"]
    lines += _gate_lines(outcome, words)
    if outcome.code == PASSED:
        lines += _metric_lines(outcome, words) + _order_lines(outcome, words)
    return Message(words["title"].format(words["comma"].join(parts)), "\n".join(lines))


def sample(language: str) -> Message:
    """Return the test message."""
    words = WORDS[language]
    return Message(words["title"].format(words["test"]), words["test_text"])


def _counts(gate: list[dict]) -> tuple[int, int, int]:
    statuses = [row["status"] for row in gate]
    failed = statuses.count("fail") + statuses.count("error")
    return statuses.count("pass"), statuses.count("warn"), failed


def _notable(gate: list[dict]) -> list[dict]:
    rows = [row for row in gate if row["status"] != "pass"]
    return sorted(rows, key=lambda row: RANK[row["status"]])


def _gate_lines(outcome: Outcome, words: dict) -> list[str]:
    if not outcome.gate:
        return []
    lines = ["", f"**{words['gate'].format(*_counts(outcome.gate))}**", ""]
    notable = _notable(outcome.gate)
    for row in notable[:LISTED]:
        where = f"{row['pool']} " if row["pool"] else ""
        lines.append(f"- {row['status'].upper()} {where}{row['check_name']}: {row['message']}")
    if len(notable) > LISTED:
        lines.append(f"- {words['more'].format(len(notable) - LISTED)}")
    return lines


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
        lines.append(f"- {row['pool']}: {', '.join(parts)}")
    return lines


def _number(name: str, value: float | None, sign: str = "") -> str:
    if value is None:
        return "-"
    return f"{value:{sign}.2f}" if name in RATIOS else f"{value:{sign}.2%}"


def _order_lines(outcome: Outcome, words: dict) -> list[str]:
    # A pool that is only simulated has nothing that one is told to trade.
    orders = [row for row in outcome.orders if not row["is_simulated_pool"]]
    if not orders:
        return []
    dates = ", ".join(sorted({row["trade_date"] for row in orders if row["trade_date"]}))
    lines = ["", f"**{words['orders'].format(dates)}**", ""]
    for row in orders:
        if row["symbol"]:
            side = words["side"][row["side"]]
            lines.append("- " + words["order"].format(**(row | {"side": side})))
        else:
            lines.append(f"- {row['pool']}: {words['no_orders']} ({row['reason']})")
    return lines


def closing(outcome: Outcome, settings: Settings) -> str:
    """Return the tables that end a run: gate, metrics, orders, and what was published."""
    parts = []
    if outcome.gate:
        passed, warned, failed = _counts(outcome.gate)
        parts.append(f"Gate: {passed} passed, {warned} warned, {failed} failed")
        if notable := _notable(outcome.gate):
            parts.append(gate_table(notable))
    if outcome.metrics:
        parts.append(metrics_table(outcome.metrics))
    if outcome.orders:
        rows = [[row.get(name) for name in ORDER] for row in outcome.orders]
        parts.append("Orders for the next session\n" + render(ORDER, rows))
    if settings.is_synthetic:
        parts.append("SYNTHETIC DATA, not market data")
    words = WORDS["en"]
    if outcome.is_published:
        end = f"Published {outcome.run_id} as {settings.output_root}"
    elif outcome.code == PASSED:
        where = settings.base / SNAPSHOTS / outcome.run_id
        end = f"Not published ({', '.join(settings.partial)}): {where}"
    else:
        end = words[outcome.code].capitalize()
        end += f": {outcome.fault}" if outcome.fault else ""
        log = settings.base / SNAPSHOTS / outcome.run_id / WORK / "logs" / "dbt.log"
        end += f"\nDetails: {log}" if log.is_file() else ""
    return "\n\n".join([*parts, f"{end} ({outcome.seconds:.1f} s)"])


def gate_table(rows: list[dict]) -> str:
    """Return checks as a table."""
    columns = (
        "status",
        "pool",
        "check_name",
        "value",
        "warn_threshold",
        "fail_threshold",
        "message",
    )
    return render(columns, [[row.get(name) for name in columns] for row in rows])


def metrics_table(rows: list[dict]) -> str:
    """Return metrics as a table."""
    columns = ("pool", "first_date", "last_date", *SHOWN)
    return render(columns, [[row.get(name) for name in columns] for row in rows])
