"""The summary of a fetch, one line per kind of result, and the table of `--status`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from etf_rotation.console import render_table
from etf_rotation.fetch import state, store
from etf_rotation.fetch.state import RESTATED, Result
from etf_rotation.fetch.texts import LIST_LENGTH, RefusedError, Texts
from etf_rotation.fetch.update import Job

# cron_daily.sh passes the summary to the notification of the run through this file.
SUMMARY_FILE = "ETF_FETCH_SUMMARY"
BRIEF = (state.GAINED, state.UP_TO_DATE)  # kinds whose funds are counted, not named


def lines(texts: Texts, results: Mapping[str, Result], job: Job, *, seconds: float) -> list[str]:
    """Return the summary of a fetch."""
    key = "summary_dry" if job.is_dry else "summary"
    said = [texts.text(key, count=len(results), date=job.until, seconds=f"{seconds:.1f}")]
    for kind in state.KINDS:
        funds = {symbol: result for symbol, result in results.items() if result.kind == kind}
        if funds:
            facts: dict[str, object] = {
                "count": len(funds),
                "rows": sum(result.rows for result in funds.values()),
            }
            if kind not in BRIEF:
                reasons = {symbol: result.why(texts.language) for symbol, result in funds.items()}
                facts["funds"] = _grouped(texts, reasons)
            said.append("  " + texts.text(f"kind_{kind}", **facts))
    if job.unfinished:
        said.append("  " + texts.text("unfinished", count=len(job.unfinished), date=job.today))
    if job.unchecked:
        reasons = {symbol: texts.refusal(error) for symbol, error in job.unchecked.items()}
        said.append("  " + texts.text("unchecked", funds=_grouped(texts, reasons)))
    asked = [result for result in results.values() if result.kind != state.ENDED]
    if len(asked) > 1 and all(result.kind == state.LATE for result in asked):
        said.append("  " + texts.text("day_not_complete", date=job.until))
    return said


def next_steps(texts: Texts, results: Mapping[str, Result], job: Job) -> list[str]:
    """Return the commands to run next."""
    said = []
    restated = [symbol for symbol, result in results.items() if result.kind == RESTATED]
    if restated:
        options = f"--source {job.source} " * bool(job.source) + "--full " * job.is_full
        said.append(texts.text("next_accept", options=options, symbols=",".join(restated)))
    said.append(texts.text("next_run"))
    return said


def _grouped(texts: Texts, reasons: Mapping[str, str]) -> str:
    """Return funds with their reason; a shared reason appears once."""
    by_reason: dict[str, list[str]] = {}
    for symbol, reason in reasons.items():
        by_reason.setdefault(reason, []).append(symbol)
    named = [
        texts.names(symbols) + (f" ({reason})" if reason else "")
        for reason, symbols in by_reason.items()
    ]
    shown = "; ".join(named[:LIST_LENGTH])
    if len(named) > LIST_LENGTH:
        shown += texts.text("and_more", count=len(named) - LIST_LENGTH)
    return shown


def leave(said: list[str], environment: Mapping[str, str]) -> None:
    """Write the summary to the file that cron_daily.sh sets."""
    name = environment.get(SUMMARY_FILE, "")
    if name:
        Path(name).write_text("\n".join(said) + "\n", encoding="utf-8")


def found(environment: Mapping[str, str]) -> str:
    """Return the summary of a fetch; empty if none ran, one line if unreadable."""
    name = environment.get(SUMMARY_FILE, "")
    if not name:
        return ""
    try:
        return Path(name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        return f"{SUMMARY_FILE}: {name}: {type(error).__name__}"


def status_table(
    texts: Texts,
    root: Path,
    symbols: list[str],
    files: Mapping[str, list[Path]],
    results: Mapping[str, Result],
) -> str:
    """Return a table: last session, source and last result of each fund."""
    headings = [texts.text(f"status_{name}") for name in ("fund", "last", "source", "result")]
    rows = []
    for symbol in symbols:
        last, source, reason = "", "", ""
        paths = files.get(symbol, [])
        result = results.get(symbol)
        if result:
            kind = texts.text(f"status_kind_{result.kind}")
            reason = ": ".join(filter(None, [kind, result.why(texts.language)]))
        if len(paths) > 1:
            names = [path.name for path in paths]
            reason = texts.text("two_files", symbol=symbol, files=names)
        elif paths:
            try:
                stored = store.read(paths[0])
                last, source = str(stored.last), stored.source
            except RefusedError as error:
                reason = texts.refusal(error)
        rows.append([symbol, last or "-", source or "-", reason or texts.text("status_never")])
    return "\n".join([texts.text("status_head", root=root), render_table(headings, rows)])
