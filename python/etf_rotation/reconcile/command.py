"""The commands `orders` and `reconcile`: options in, exit code out."""

from __future__ import annotations

import csv
import datetime as dt
import io
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from etf_rotation.dbt_project import project_vars
from etf_rotation.errors import InputError
from etf_rotation.production import snapshots
from etf_rotation.production.settings import Settings, claim, language, resolve
from etf_rotation.reconcile import console
from etf_rotation.reconcile.aliases import Seeds, read_seeds
from etf_rotation.reconcile.books import Books, sum_of
from etf_rotation.reconcile.cells import SHANGHAI
from etf_rotation.reconcile.findings import Finding, broken, note
from etf_rotation.reconcile.identities import Day, Statement
from etf_rotation.reconcile.inputs import Given, Inputs, SeveralRefusedError, read_inputs
from etf_rotation.reconcile.live import catch_up
from etf_rotation.reconcile.orders import Costs
from etf_rotation.reconcile.period import Period, period_of
from etf_rotation.reconcile.prices import Prices, read_prices
from etf_rotation.reconcile.publications import Publications, Published, from_file
from etf_rotation.reconcile.session import (
    Session,
    open_orders,
    opening_from_closing,
    reconcile_session,
)
from etf_rotation.reconcile.storage import Days, Store, replace_file, tracked_days
from etf_rotation.reconcile.texts import RefusedError, text
from etf_rotation.reconcile.tracking import Tracked

HELD, BROKEN, UNREADABLE = 0, 1, 2
# A trade without an order is compared with the open orders of this many earlier
# sessions.
SESSIONS_BACK = 5


def reconcile(
    given: Given,
    *,
    raw_root: str | None = None,
    root: str | None = None,
    environment: Mapping[str, str] = os.environ,
    say: Callable[[str], None] = print,
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(SHANGHAI),
) -> int:
    """Reconcile the account, store the result and print it.

    Parameters
    ----------
    given : Given
        The options.
    raw_root, root : str, optional
        The folder above `ETF/daily`, and the output root.
    environment : mapping
    say : callable
        Receives the text.
    clock : callable
        Returns the time in Shanghai.

    Returns
    -------
    int
        0 if all identities hold and every order is filled, 1 after a break or a missed
        order, 2 if an input cannot be used; in that case nothing is written.
    """
    spoken = language({}, environment)
    try:
        options = {"raw_root": raw_root, "output_root": root}
        settings = resolve(options, _without_as_of(environment))
        claim(settings)
        store = Store(settings.base)
        catch_up(settings.base, settings.project, snapshots.current(settings.output_root))
        with store.locked("reconcile", clock()):
            result = _reconcile(given, settings, store)
            _keep(result, store, clock())
        is_written = _write_holdings(given, result)
        say(console.report(result, spoken))
        return HELD if is_written and not result.is_broken else BROKEN
    except SeveralRefusedError as several:
        lines = [_line(refused, spoken) for refused in several.refused]
    except InputError as error:
        lines = [_line(error, spoken)]
    print("\n".join(lines), file=sys.stderr)
    return UNREADABLE


def _without_as_of(environment: Mapping[str, str]) -> dict[str, str]:
    # These variables restrict builds; the account traded regardless.
    hidden = ("ETF_AS_OF", "ETF_POOLS")
    return {name: value for name, value in environment.items() if name not in hidden}


def _line(error: InputError, spoken: str) -> str:
    if isinstance(error, RefusedError):
        return text(spoken, error.key, **error.values)
    return " ".join(str(error).split())


@dataclass
class Result:
    """The result of a reconciliation.

    Attributes
    ----------
    sessions : list of Session
        In order; the broker's statement belongs to the last one.
    findings : list of Finding
        Findings that belong to no single session.
    inputs : Inputs
    seeds : Seeds
    is_synthetic : bool
    tracking : list of dict
        The whole tracking table.
    holdings : str or None
        The file that was written.
    """

    sessions: list[Session]
    findings: list[Finding]
    inputs: Inputs
    seeds: Seeds
    is_synthetic: bool
    tracking: list[Tracked] = field(default_factory=list)
    holdings: str | None = None

    @property
    def last(self) -> Session:
        """The last session."""
        return self.sessions[-1]

    @property
    def is_broken(self) -> bool:
        """Whether any identity fails or any order is not filled."""
        return any(finding.is_break for finding in self.findings) or any(
            session.is_broken for session in self.sessions
        )

    @property
    def blocks_holdings(self) -> bool:
        """Whether the holdings are too uncertain to be written."""
        own = any(finding.blocks_holdings for finding in self.findings)
        return own or any(session.blocks_holdings for session in self.sessions)


def _reconcile(given: Given, settings: Settings, store: Store) -> Result:
    seeds = read_seeds(settings.project / "seeds")
    if not seeds.traded:
        raise RefusedError("no_traded_pool")
    inputs = read_inputs(given, seeds)
    period = period_of(inputs, store, is_accepted=given.accept)
    assumed = Costs.of(project_vars())
    publications = Publications(store, assumed)
    plans = {session: _orders_of(session, inputs, publications) for session in period.sessions}
    prices = _prices(settings, seeds, inputs, period, plans)
    findings = [*inputs.findings, *period.findings, *publications.findings]
    findings += _unstated(inputs)
    opening = period.opening
    if opening is None:
        opening = _accepted_opening(inputs, period, seeds, prices)
        findings.append(broken("opening_accepted", blocks_holdings=False))
    before = [session for session in store.sessions() if session < period.sessions[0]]
    known, damaged = store.read_days(before[-SESSIONS_BACK:])
    findings += [broken("damaged_day", file=name, blocks_holdings=False) for name in damaged]
    recent = [content for content, _ in known.values()]
    done: list[Session] = []
    for session in period.sessions:
        published, said = plans[session]
        is_last = session == period.sessions[-1]
        day = Day(
            session=session,
            opening=opening,
            entries=period.entries.get(session, []),
            flows=period.flows.get(session, []),
            statement=inputs.statement if is_last else Statement(),
            is_accepted=given.accept and is_last,
        )
        one = reconcile_session(
            day,
            published,
            open_orders(recent[-SESSIONS_BACK:]),
            seeds=seeds,
            prices=prices,
            assumed=assumed,
        )
        one.findings = [*said, *one.findings]
        opening = one.settled.closing
        recent.append(one.as_dict())
        done.append(one)
    return Result(done, findings, inputs, seeds, settings.is_synthetic)


def _orders_of(
    session: dt.date, inputs: Inputs, publications: Publications
) -> tuple[Published | None, list[Finding]]:
    if inputs.orders is not None:
        return from_file(inputs.orders, session, publications.costs)
    return publications.of(session)


def _prices(
    settings: Settings,
    seeds: Seeds,
    inputs: Inputs,
    period: Period,
    plans: Mapping[dt.date, tuple[Published | None, list[Finding]]],
) -> Prices:
    symbols = set(period.opening.shares if period.opening else ())
    symbols |= {*(inputs.statement.shares or ())}
    symbols |= {entry.symbol for own in period.entries.values() for entry in own if entry.symbol}
    for published, _ in plans.values():
        symbols |= {order.symbol for order in (published.orders if published else ())}
    first, last = period.sessions[0], period.sessions[-1]
    return read_prices(settings.raw_root, seeds, symbols & set(seeds.pool_of), first, last)


def _unstated(inputs: Inputs) -> list[Finding]:
    missing = {"positions": inputs.statement.shares, "cash": inputs.statement.cash}
    return [note(f"{name}_not_stated") for name, value in missing.items() if value is None]


def _accepted_opening(inputs: Inputs, period: Period, seeds: Seeds, prices: Prices) -> Books:
    session = period.sessions[0]
    entries, flows = period.entries.get(session, []), period.flows.get(session, [])
    moves = sum_of(entry.cash for entry in entries) + sum_of(flow.amount for flow in flows)
    shares, cash = inputs.statement.shares or {}, inputs.statement.cash or Decimal(0)
    return opening_from_closing(shares, cash, moves, entries, session, seeds, prices)


def _keep(result: Result, store: Store, now: dt.datetime) -> None:
    days: Days = {}
    for session in result.sessions:
        content = session.as_dict()
        content["inputs"] = result.inputs.checksums
        content["reconciled_at"] = now.isoformat(timespec="seconds")
        days[session.day.session] = content, store.write_day(session.day.session, content)
    try:
        kept = store.read_tracking()
    except RefusedError:
        # The day files hold everything except the model's part, which the next run
        # restores.
        kept = []
        result.findings.append(note("tracking_rebuilt"))
    missing = set(store.sessions()) - {row.trade_date for row in kept} - set(days)
    days |= store.read_days(sorted(missing))[0]
    result.tracking = tracked_days(days, kept)
    store.write_tracking(result.tracking)
    result.findings += _stale(result, store)


def _stale(result: Result, store: Store) -> list[Finding]:
    """Report a later session whose opening differs from the close just stored."""
    last = result.last
    later = [date for date in store.sessions() if date > last.day.session]
    days, _ = store.read_days(later[:1])
    return [
        broken("later_session", session=date, blocks_holdings=False)
        for date, (content, _) in days.items()
        if Books.from_dict(content["opening"]) != last.settled.closing
    ]


def _write_holdings(given: Given, result: Result) -> bool:
    """Write the holdings file if requested; return False if that was not possible."""
    if given.write_holdings is None:
        return True
    statement = result.inputs.statement
    if not given.accept:
        if statement.shares is None or statement.cash is None:
            result.findings.append(broken("holdings_not_stated"))
            return False
        if result.blocks_holdings:
            result.findings.append(broken("holdings_not_written"))
            return False
    books, file = result.last.settled.closing, io.StringIO(newline="")
    if books.total_cash < 0:
        result.findings.append(broken("holdings_not_written"))
        return False
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("pool", "symbol", "shares"))
    for pool in sorted(books.cash):
        writer.writerow((pool, "CASH", books.cash[pool]))
        for symbol, shares in sorted(books.shares.items()):
            if result.seeds.pool_of[symbol] == pool:
                writer.writerow((pool, symbol, shares))
    replace_file(Path(given.write_holdings), file.getvalue().encode())
    result.holdings = given.write_holdings
    return True
