"""The printed result: orders, identities, account value and findings."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from etf_rotation.console import render_table
from etf_rotation.reconcile.costs import Cost
from etf_rotation.reconcile.findings import Finding
from etf_rotation.reconcile.identities import ACCOUNT, CashLine, PositionLine
from etf_rotation.reconcile.matching import Match
from etf_rotation.reconcile.session import Session
from etf_rotation.reconcile.texts import text, words
from etf_rotation.reconcile.tracking import Tracked

if TYPE_CHECKING:
    from etf_rotation.reconcile.command import Result

NOTHING = "–"
LAST_NARROW = 0x2E7F
_NUMBER = re.compile(r"-?[\d,.]+|–|")


def report(result: Result, language: str) -> str:
    """Return the printed text of a reconciliation.

    Parameters
    ----------
    result : Result
    language : str
        `en` or `zh`.
    """
    said, last = words(language, "console"), result.last
    parts = [_head(result, language)]
    if last.orders:
        parts.append(_orders(last, said, language))
        if any(found.filled for found, _ in last.orders):
            parts.append(_basis_points(last, said))
        parts.append(_shortfall(last, said))
    if last.settled.positions:
        parts.append(_positions(last.settled.positions, said))
    parts += [_cash(last.settled.cash, said), _value(result.tracking, last, said)]
    lines = _findings(result, language)
    parts += ["\n".join(lines)] if lines else []
    parts.append(_end(result, said))
    return "\n\n".join(parts)


def _head(result: Result, language: str) -> str:
    last = result.last
    lines = [text(language, "console.head", session=last.day.session)]
    if len(result.sessions) > 1:
        first = result.sessions[0].day.session
        lines.append(text(language, "console.span", first=first, sessions=len(result.sessions)))
    if last.published and last.published.run_id:
        values = {"run_id": last.published.run_id, "published_at": last.published.published_at}
        lines.append(text(language, "console.published", **values))
    elif last.published:
        lines.append(text(language, "console.orders_file"))
    if result.is_synthetic:
        lines.append(text(language, "console.synthetic"))
    return "\n".join(lines)


def _table(
    title: str, columns: dict[str, str], names: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
    headings = [columns[name] for name in names]
    aligned = [_aligned(*column) for column in zip(headings, *rows, strict=True)]
    first, *rest = zip(*aligned, strict=True)
    return f"{title}\n{render_table(first, rest)}"


def _aligned(heading: str, *cells: str) -> list[str]:
    """Return a right-aligned column; a Chinese character is two columns wide."""
    if not all(_NUMBER.fullmatch(cell) for cell in cells):
        return [heading, *cells]
    wide = sum(ord(character) > LAST_NARROW for character in heading)
    width = max(len(heading) + wide, *map(len, cells))
    return [heading.rjust(width - wide), *(cell.rjust(width) for cell in cells)]


def _orders(session: Session, said: dict[str, str], language: str) -> str:
    sides, statuses = words(language, "side"), words(language, "status")
    names = ("symbol", "side", "status", "ordered", "filled", "price", "open")
    rows = [
        (
            found.symbol,
            sides[found.side],
            statuses[found.status],
            whole(Decimal(found.ordered)),
            whole(Decimal(found.filled)),
            price(cost.price),
            price(cost.open),
        )
        for found, cost in session.orders
    ]
    return _table(said["orders"], said, names, rows)


def _basis_points(session: Session, said: dict[str, str]) -> str:
    names = ("symbol", "slippage_bps", "assumed", "fees_bps", "assumed")
    rows = [
        (
            found.symbol,
            fixed(cost.slippage_bps, 1),
            fixed(cost.assumed_slippage_bps, 1),
            fixed(cost.fees_bps, 2),
            fixed(cost.assumed_fees_bps, 2),
        )
        for found, cost in session.orders
        if found.filled
    ]
    return _table(said["basis_points"], said, names, rows)


def _shortfall(session: Session, said: dict[str, str]) -> str:
    names = ("symbol", "decision_price", "close", "delay", "execution", "fees", "missed")
    rows = [_shortfall_row(found, cost) for found, cost in session.orders]

    def total(value: Callable[[Match, Cost], Decimal | None]) -> str:
        known = [value(found, cost) for found, cost in session.orders]
        return fixed(sum((v for v in known if v is not None), Decimal(0)), 2)

    rows.append(
        (
            said["total"],
            "",
            "",
            total(lambda found, cost: cost.delay),
            total(lambda found, cost: cost.execution),
            total(lambda found, cost: found.fees),
            total(lambda found, cost: cost.missed),
            total(lambda found, cost: cost.shortfall),
        )
    )
    return _table(said["shortfall_title"], said, (*names, "shortfall"), rows)


def _shortfall_row(found: Match, cost: Cost) -> tuple[str, ...]:
    return (
        found.symbol,
        price(cost.decision_price),
        price(cost.close),
        fixed(cost.delay, 2),
        fixed(cost.execution, 2),
        fixed(found.fees, 2),
        fixed(cost.missed, 2),
        fixed(cost.shortfall, 2),
    )


def _positions(lines: Sequence[PositionLine], said: dict[str, str]) -> str:
    names = ("symbol", "pool", "opening", "bought", "sold", "split", "expected", "broker")
    rows = [
        (
            line.symbol,
            line.pool or said["outside"],
            *(whole(v) for v in (line.opening, line.bought, line.sold, line.split, line.expected)),
            whole(line.broker),
            whole(line.difference),
        )
        for line in lines
    ]
    return _table(said["positions"], said, (*names, "difference"), rows)


def _cash(lines: Sequence[CashLine], said: dict[str, str]) -> str:
    names = ["opening", "flows", "buys", "sells", "fees", "dividends", "unknown", "transfers"]
    # Optional columns that are zero everywhere are dropped to save width.
    names = [
        name
        for name in names
        if name in ("opening", "buys", "sells", "fees") or any(getattr(x, name) for x in lines)
    ]
    rows = [
        (
            said["account"] if line.pool == ACCOUNT else line.pool,
            *(fixed(getattr(line, name), 2) for name in names),
            fixed(line.expected, 2),
            fixed(line.broker, 2),
            fixed(line.difference, 2),
        )
        for line in lines
    ]
    return _table(said["cash"], said, ("pool", *names, "expected", "broker", "difference"), rows)


def _value(tracking: Sequence[Tracked], last: Session, said: dict[str, str]) -> str:
    live = last.live
    share = f"{live.profit / live.base:.4%}" if live.base > 0 else NOTHING
    values = {
        "opening": fixed(live.opening_value, 2),
        "flows": fixed(live.flows, 2),
        "profit": fixed(live.profit, 2),
        "closing": fixed(live.closing_value, 2),
        "share": share,
    }
    filled = [row for row in tracking if row.is_filled]
    lines = [said["value"].format(**values)]
    if filled:
        total = sum(row.difference or 0.0 for row in filled)
        lines.append(
            said["tracked"].format(date=filled[-1].trade_date, n=len(filled), total=f"{total:.4%}")
        )
    return "\n".join(lines)


def _findings(result: Result, language: str) -> list[str]:
    marks = {True: text(language, "console.break"), False: text(language, "console.note")}
    found: list[tuple[dt.date | None, Finding]] = [(None, f) for f in result.findings]
    for session in result.sessions:
        found += [(session.day.session, finding) for finding in session.findings]
    is_span = len(result.sessions) > 1
    lines = []
    # Breaks come first. The session is named only if there are several.
    for date, finding in sorted(found, key=lambda pair: not pair[1].is_break):
        when = f"{date} " if date and is_span else ""
        lines.append(f"{marks[finding.is_break]} {when}{finding.line(language)}")
    return lines


def _end(result: Result, said: dict[str, str]) -> str:
    lines = []
    if result.holdings:
        lines.append(said["holdings"].format(file=result.holdings))
    unfilled = sum(
        found.status != "filled" for session in result.sessions for found, _ in session.orders
    )
    breaks = sum(finding.is_break for finding in result.findings)
    breaks += sum(f.is_break for session in result.sessions for f in session.findings)
    key = "broken" if result.is_broken else "held"
    lines.append(said[key].format(breaks=breaks, unfilled=unfilled))
    return "\n".join(lines)


def whole(value: Decimal | None) -> str:
    """Format shares with thousands separators, and with decimals only for fractions."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4f}"


def fixed(value: Decimal | None, digits: int) -> str:
    """Format a number with a fixed number of decimals, rounded half away from zero."""
    if value is None:
        return NOTHING
    rounded = value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{rounded + 0:,}"


def price(value: Decimal | None) -> str:
    """Format a price in CNY per share with three decimals, or four if needed."""
    if value is None:
        return NOTHING
    exact = value.quantize(Decimal("0.0001"), ROUND_HALF_UP)
    return f"{exact:.3f}" if exact == exact.quantize(Decimal("0.001")) else f"{exact:.4f}"
