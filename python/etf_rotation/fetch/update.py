"""Update one fund: request, validate, compare, cross-check, replace."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etf_rotation.fetch import bars, eastmoney, exchange, store, tushare
from etf_rotation.fetch.bars import Action, Answer
from etf_rotation.fetch.ex_rights import SPLIT, UNKNOWN
from etf_rotation.fetch.http import Client, SourceStoppedError
from etf_rotation.fetch.sources import FIRST_DATE, Source
from etf_rotation.fetch.state import (
    DISAGREES,
    FAILED,
    GAINED,
    LATE,
    RESTATED,
    UP_TO_DATE,
    Result,
)
from etf_rotation.fetch.store import Change, Stored
from etf_rotation.fetch.texts import RefusedError, in_each_language

SOURCES = {source.name: source for source in (tushare.SOURCE, eastmoney.SOURCE)}
OVERLAP = 30  # stored sessions that are requested again
CHECKED_AT_LEAST, CHECKED_AT_MOST = 5, 30  # rows that a second source confirms
SHOWN_DIFFERENCES = 10
# A larger move in one session is impossible: the vendor does not yet know of a
# corporate action.
IMPOSSIBLE_MOVE = 0.25
# Errors that concern the vendor, not one fund.
OF_THE_VENDOR = ("vendor_code", "not_the_vendors")


@dataclass
class Job:
    """The common inputs of all funds of a run.

    Attributes
    ----------
    until : date
        The last requested session.
    completed : date
        The last completed session, `until` or later.
    today : date
        In Shanghai.
    sessions : list of date
        The exchange's, up to today.
    source : str
        The source that the user chose, empty for none.
    default : str
        The source of new files if the user chose none.
    urls : dict
        The address of each source by name.
    accepted : set of str
        Symbols whose restatement is written; `all` for every fund.
    known_actions : set of (symbol, ISO date)
        Rows of the seed `corporate_actions`.
    say : callable
        Prints a sentence of `texts.toml`.
    unchecked : dict
        By symbol, the reason why a fund could not be checked.
    unfinished : list of str
        Funds whose row of the session in progress was dropped.
    unproven : set of str
        New funds whose newest page had no row. The next run decides whether they have
        ended.
    """

    root: Path
    until: dt.date
    completed: dt.date
    today: dt.date
    sessions: list[dt.date]
    client: Client
    urls: Mapping[str, str]
    say: Callable[..., None]
    version: str
    source: str = ""
    default: str = eastmoney.SOURCE.name
    has_token: bool = False
    is_full: bool = False
    is_dry: bool = False
    is_checked: bool = False
    accepted: frozenset[str] = frozenset()
    known_actions: frozenset[tuple[str, str]] = frozenset()
    unchecked: dict[str, RefusedError] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)
    unproven: set[str] = field(default_factory=set)

    def accepts(self, symbol: str) -> bool:
        """Whether to write a restatement of the fund."""
        return symbol in self.accepted or "all" in self.accepted


def update(job: Job, symbol: str, path: Path | None) -> Result:
    """Fetch a fund and replace its file if rows were added.

    Parameters
    ----------
    job : Job
    symbol : str
    path : Path or None
        The fund's file, None for a new one.

    Raises
    ------
    SourceStoppedError
        The vendor receives no more requests.
    """
    asked = job.until.isoformat()
    try:
        stored = store.read(path) if path else None
        source = choose(job, symbol, stored)
        is_whole = stored is None or job.is_full
        first = FIRST_DATE if stored is None or is_whole else _overlap(job, stored, source)
        answer = _without_impossible_end(job, symbol, ask(job, source, symbol, first), stored)
        if is_whole:
            bars.judge_history(answer.bars, job.sessions)
        change = store.compare(
            stored,
            answer,
            first=first,
            last=job.until,
            is_accepted=job.accepts(symbol),
            is_whole=is_whole,
        )
        bars.judge_adjustment(change.rows if is_whole else _tail(change.rows))
        if change.differences:
            _print_differences(job, symbol, change)
            if not job.accepts(symbol):
                restated = _restated(change, None if is_whole else _first_shared(stored, answer))
                return Result(RESTATED, asked, in_each_language(restated))
        if job.is_checked and (disagreement := _check(job, symbol, change)):
            return Result(DISAGREES, asked, in_each_language(disagreement))
        return _write(job, symbol, source, stored, change, answer)
    except SourceStoppedError:
        raise
    except (RefusedError, OSError) as error:
        refused = readable(error)
        job.say("fund_refused", symbol=symbol, reason=refused)
        return Result(FAILED, asked, in_each_language(refused))


def readable(error: Exception) -> Exception:
    """Convert a file system error to a `RefusedError`; return others unchanged."""
    return no_access(error) if isinstance(error, OSError) else error


def no_access(error: OSError) -> RefusedError:
    """Return a file system error as a `RefusedError`."""
    return RefusedError("no_access", file=error.filename or "", reason=error.strerror or "")


def choose(job: Job, symbol: str, stored: Stored | None) -> Source:
    """Return the source of a fund: the one in its file, else the user's choice.

    Raises
    ------
    RefusedError
        The user chose another source than the one named in the file.
    SourceStoppedError
        The source needs a token, and there is none.
    """
    name = job.source or job.default
    if stored is not None and stored.source in SOURCES and stored.source != name:
        if job.source and not (job.is_full and job.accepts(symbol)):
            raise RefusedError("other_source", source=stored.source, other=name)
        name = job.source or stored.source
    if SOURCES[name].needs_token and not job.has_token:
        raise SourceStoppedError("no_token", source=name)
    return SOURCES[name]


def _overlap(job: Job, stored: Stored, source: Source) -> dt.date:
    # From the last bar, not the last row: other programs store sessions without trades,
    # which a vendor may lack.
    base = min(stored.last_bar, job.until)
    known = [day for day in job.sessions if day <= base]
    return known[max(0, len(known) - OVERLAP - source.context_rows)] if known else FIRST_DATE


def ask(job: Job, source: Source, symbol: str, first: dt.date) -> Answer:
    """Return a vendor's validated bars of a fund.

    Raises
    ------
    RefusedError
        The answer fails a check.
    SourceStoppedError
    """
    requests = source.requests(job.urls[source.name], symbol, first, job.until)
    payloads = [job.client.get(request, source.spacing) for request in requests]
    try:
        answer = parsed(source, symbol, payloads, job.until)
    except RefusedError as error:
        if source.needs_token and "token" in str(error.facts.get("message")).lower():
            raise job.client.stop(requests[0], "token_refused", message=error) from None
        if error.key in OF_THE_VENDOR:
            job.client.refused(requests[0], error)
        raise
    job.client.accepted(requests[0])
    sessions = set(job.sessions)
    bars.judge_dates(answer, first=first, today=job.today, is_session=sessions.__contains__)
    if not answer.bars.num_rows:
        raise RefusedError("empty_answer")
    bars.judge_values(answer.bars)
    if job.today in answer.later and job.today > job.completed:
        job.unfinished.append(symbol)
    return answer


def parsed(source: Source, symbol: str, payloads: list[object], last: dt.date) -> Answer:
    """Return the bars of a response; reject JSON that is not in the vendor's format.

    Raises
    ------
    RefusedError
    """
    try:
        return source.answer(symbol, payloads, last)
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError):
        raise RefusedError("not_the_vendors", source=source.name) from None


def _tail(rows: pa.Table) -> pa.Table:
    count = bars.ADJUSTMENT_BARS + OVERLAP
    return rows.slice(max(0, rows.num_rows - count))


def _without_impossible_end(job: Job, symbol: str, answer: Answer, stored: Stored | None) -> Answer:
    """Drop a new last row with an impossible move: its adjustment is late."""
    last, before = (bars.numbers(answer.bars, name)[-1] for name in ("close", "pre_close"))
    day = bars.dates(answer.bars)[-1]
    is_new = stored is None or day > stored.last
    if not is_new or answer.bars.num_rows == 1 or not abs(last / before - 1) > IMPOSSIBLE_MOVE:
        return answer
    job.say("impossible_move", symbol=symbol, date=day, old=f"{before:.3f}", new=f"{last:.3f}")
    tolerance = None if answer.tolerance is None else answer.tolerance[:-1]
    return replace(answer, bars=answer.bars.slice(0, answer.bars.num_rows - 1), tolerance=tolerance)


def _print_differences(job: Job, symbol: str, change: Change) -> None:
    for found in change.differences[:SHOWN_DIFFERENCES]:
        key = "row_gone" if found.column == store.ROW else "value_differs"
        job.say(
            key,
            symbol=symbol,
            date=found.date,
            column=found.column,
            old=number(found.old),
            new=number(found.new),
        )
    if len(change.differences) > SHOWN_DIFFERENCES:
        more = len(change.differences) - SHOWN_DIFFERENCES
        job.say("more_differences", symbol=symbol, count=more)


def _restated(change: Change, first_compared: dt.date | None) -> RefusedError:
    days = {found.date for found in change.differences}
    # A difference on the first compared row may extend to earlier rows.
    key = "restated_further" if min(days) == first_compared else "restated_from"
    return RefusedError(key, date=min(days), rows=len(days))


def _first_shared(stored: Stored | None, answer: Answer) -> dt.date | None:
    there = set(bars.dates(stored.rows)) if stored else set()
    return next((day for day in bars.dates(answer.bars) if day in there), None)


def number(value: float) -> str:
    """Return a value with the number of digits that vendors use."""
    return "-" if np.isnan(value) else f"{value:.10g}"


def _check(job: Job, symbol: str, change: Change) -> RefusedError | None:
    """Compare the new rows with the exchange's; print and return the differences."""
    days = bars.dates(change.rows)
    changed = {found.date for found in change.differences} | set(change.gained)
    count = sum(day >= min(changed) for day in days) if changed else 0
    if not count:
        return None
    rows = days[-min(max(count, CHECKED_AT_LEAST), CHECKED_AT_MOST) :]
    source = exchange.BY_SUFFIX[symbol[-2:]]
    try:
        official = ask_official(job, source, symbol, rows[0])
    except RefusedError as error:
        job.unchecked[symbol] = error
        return None
    found = exchange.differences(change.rows, official)
    for day, column, value, other in found[:SHOWN_DIFFERENCES]:
        job.say(
            "exchange_differs",
            symbol=symbol,
            date=day,
            column=column,
            value=number(value),
            official=number(other),
        )
    if found:
        return RefusedError("disagrees", date=found[0][0], column=found[0][1])
    if days[-1] not in bars.dates(official):
        job.unchecked[symbol] = RefusedError("not_yet_official", date=days[-1])
    return None


def ask_official(job: Job, source: Source, symbol: str, first: dt.date) -> pa.Table:
    """Return an exchange's bars of a fund from `first` on.

    Raises
    ------
    RefusedError
    """
    requests = source.requests(job.urls[source.name], symbol, first, job.until)
    payloads = [job.client.get(request, source.spacing) for request in requests]
    official = parsed(source, symbol, payloads, job.until).bars
    is_wanted = pc.greater_equal(official["trade_date"], pa.scalar(first, pa.date32()))
    official = official.filter(is_wanted)
    if not official.num_rows:
        raise RefusedError("empty_answer")
    return official


def _write(
    job: Job,
    symbol: str,
    source: Source,
    stored: Stored | None,
    change: Change,
    answer: Answer,
) -> Result:
    switches = stored is not None and stored.source != source.name and job.is_full
    if change.gained or change.differences or switches:
        path = stored.path if stored else store.daily(job.root) / f"{symbol}_daily.parquet"
        description = store.describe(
            None if job.is_full else stored,
            change.rows,
            source=source.name,
            endpoint=job.urls[source.name],
            version=job.version,
        )
        if not job.is_dry:
            store.write(path, change.rows, description)
        _print_ex_days(job, symbol, change, answer)
        _print_gaps(job, symbol, stored, change)
    asked = job.until.isoformat()
    last = bars.dates(change.rows)[-1]
    if stored is None and answer.is_end_empty:
        job.unproven.add(symbol)
    if last < job.until:
        late = RefusedError("last_row", date=last)
        return Result(LATE, asked, in_each_language(late), rows=len(change.gained))
    return Result(GAINED if change.gained else UP_TO_DATE, asked, rows=len(change.gained))


def _print_ex_days(job: Job, symbol: str, change: Change, answer: Answer) -> None:
    """Print new ex-dates, and propose a row of `corporate_actions` for a split."""
    new = set(change.gained) | {found.date for found in change.differences}
    for ex_day in bars.ex_days(change.rows):
        if ex_day.date not in new:
            continue
        action = answer.actions.get(ex_day.date, Action())
        facts = {
            "symbol": symbol,
            "date": ex_day.date,
            "old": f"{ex_day.previous_close:.3f}",
            "new": f"{ex_day.pre_close:.3f}",
        }
        job.say(f"ex_day_{action.kind}", **facts)
        if not ex_day.is_large or (symbol, str(ex_day.date)) in job.known_actions:
            continue
        if action.kind == SPLIT and action.share_ratio is not None:
            job.say("proposal", **facts, ratio=f"{_plain(action.share_ratio)}")
        elif action.kind == UNKNOWN:
            job.say("cannot_tell", **facts)


def _plain(ratio: float) -> str:
    """Return a share ratio with the digits that its source supports."""
    return f"{ratio:.4g}"


def _print_gaps(job: Job, symbol: str, stored: Stored | None, change: Change) -> None:
    """Print the sessions between the new rows without a row of the vendor."""
    if not change.gained:
        return
    days = bars.dates(change.rows)
    start = stored.last if stored and not job.is_full else days[0]
    there = set(days)
    missing = [day for day in job.sessions if start < day < days[-1] and day not in there]
    if missing:
        job.say("gaps", symbol=symbol, count=len(missing), dates=[str(day) for day in missing])
