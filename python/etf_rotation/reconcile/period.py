"""The sessions to reconcile, the opening books, and the rows of each session."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from etf_rotation.reconcile.books import Books
from etf_rotation.reconcile.findings import Finding, broken, note
from etf_rotation.reconcile.inputs import Inputs
from etf_rotation.reconcile.session import identities_of
from etf_rotation.reconcile.statements import TRADES, Entry, Flow
from etf_rotation.reconcile.storage import Store
from etf_rotation.reconcile.texts import RefusedError
from etf_rotation.staging.trading_calendar import sessions_between


@dataclass
class Period:
    """The sessions to reconcile, in order.

    Attributes
    ----------
    sessions : list of date
    opening : Books or None
        At the close before the first session. None if nothing is known and the broker's
        statement is accepted; the opening is then derived from it.
    entries, flows : dict of session to rows
    findings : list of Finding
        Rows outside the period.
    """

    sessions: list[dt.date]
    opening: Books | None
    entries: dict[dt.date, list[Entry]] = field(default_factory=dict)
    flows: dict[dt.date, list[Flow]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def period_of(inputs: Inputs, store: Store, *, is_accepted: bool) -> Period:
    """Determine the sessions to reconcile.

    The period runs from the last stored session to the requested one. Without a stored
    session it covers the dates of the file and opens with `--opening`.

    Raises
    ------
    RefusedError
        The date is not a session, the opening is unknown, or the last stored day is
        damaged.
    """
    last = inputs.session
    kept = [session for session in store.sessions() if session < last]
    findings: list[Finding] = []
    dates = [entry.trade_date for entry in inputs.entries if entry.trade_date <= last]
    first = kept[-1] if kept else min(dates, default=last)
    before = _calendar(first, last)
    sessions = list(before)
    if last not in before:
        raise RefusedError("not_session", session=last)
    if kept:
        sessions = [session for session in sessions if session > kept[-1]]
        opening: Books | None = Books.from_dict(store.read_day(kept[-1])["closing"])
        if inputs.opening is not None:
            findings.append(note("opening_known", session=kept[-1]))
    else:
        opening, sessions = _first_opening(inputs, store, sessions, is_accepted=is_accepted)
    period = Period(sessions, opening, findings=findings)
    _assign(inputs, period, before[sessions[0]])
    if kept:
        findings += _late(inputs.entries, store, kept)
    return period


def _calendar(first: dt.date, last: dt.date) -> dict[dt.date, dt.date]:
    """Return the sessions of a span, each mapped to the session before it."""
    found = sessions_between(first, last).to_pylist()
    return {
        row["trade_date"]: row["previous_trade_date"] or dt.date.min
        for row in found
        if row["trade_date"] <= last
    }


def _first_opening(
    inputs: Inputs, store: Store, sessions: list[dt.date], *, is_accepted: bool
) -> tuple[Books | None, list[dt.date]]:
    if inputs.opening is not None:
        # With --date the opening belongs to that session, otherwise to the first date
        # of the file.
        return inputs.opening, [inputs.session] if inputs.is_dated else sessions
    if store.day_path(inputs.session).is_file():
        return Books.from_dict(store.read_day(inputs.session)["opening"]), [inputs.session]
    stated = inputs.statement
    if is_accepted and stated.shares is not None and stated.cash is not None:
        return None, [inputs.session]
    raise RefusedError("no_opening", session=inputs.session)


def _assign(inputs: Inputs, period: Period, opened: dt.date) -> None:
    """Assign each row after the close `opened` to its session, else to the next one."""
    first, last = period.sessions[0], period.sessions[-1]
    left: list[dt.date] = []
    for entry in inputs.entries:
        session = _session_of(entry.trade_date, period.sessions, opened)
        if session is None:
            left.append(entry.trade_date)
            continue
        if session != entry.trade_date and entry.kind in TRADES:
            period.findings.append(
                broken("trade_on_no_session", line=entry.line, date=entry.trade_date)
            )
        period.entries.setdefault(session, []).append(entry)
    for flow in inputs.flows:
        session = _session_of(flow.trade_date, period.sessions, opened)
        if session is None:
            left.append(flow.trade_date)
        else:
            period.flows.setdefault(session, []).append(flow)
    if left:
        period.findings.append(
            note("left_out", rows=len(left), first=first, last=last, dates=_span(left))
        )


def _session_of(date: dt.date, sessions: Sequence[dt.date], opened: dt.date) -> dt.date | None:
    """Return the session on which a row is booked, None outside the period."""
    place = bisect_left(sessions, date)
    return sessions[place] if date > opened and place < len(sessions) else None


def _span(dates: Sequence[dt.date]) -> str:
    first, last = min(dates), max(dates)
    return f"{first}" if first == last else f"{first} – {last}"


def _late(entries: Sequence[Entry], store: Store, kept: Sequence[dt.date]) -> list[Finding]:
    """Report rows of stored days that were missing when those days were reconciled."""
    early = [entry for entry in entries if kept[0] <= entry.trade_date <= kept[-1]]
    if not early:
        return []
    since = min(entry.trade_date for entry in early)
    days, _ = store.read_days(day for day in kept if day >= since)
    # The rows of a damaged day cannot be compared.
    damaged = set(kept) - set(days)
    known = Counter(identities_of(content for content, _ in days.values()))
    findings = []
    for entry in early:
        if known[entry.identity]:
            known[entry.identity] -= 1
        elif entry.trade_date not in damaged:
            findings.append(broken("late_row", line=entry.line, date=entry.trade_date))
    return findings
