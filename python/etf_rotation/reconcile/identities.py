"""The two identities of a session: shares by symbol, and cash to the fen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from etf_rotation.reconcile.aliases import UNKNOWN, Seeds
from etf_rotation.reconcile.books import (
    ZERO,
    Books,
    Receivable,
    by_weight,
    split_by_weight,
    sum_of,
    transfers,
)
from etf_rotation.reconcile.cells import fen
from etf_rotation.reconcile.findings import Finding, broken, note
from etf_rotation.reconcile.prices import Prices
from etf_rotation.reconcile.statements import FLOWS, HALF_TICK, ROUNDING, Entry, Flow

ACCOUNT = "ACCOUNT"
LOT = 100
# A larger fall of pre_close below the last close may be a split without a seed row.
LARGE = Decimal("0.15")
# Fund dividends are paid within days of the ex-date.
LATE_AFTER = dt.timedelta(days=30)


@dataclass(frozen=True)
class Statement:
    """The broker's statement at the close; None for a part that was not given."""

    shares: dict[str, int] | None = None
    cash: Decimal | None = None


@dataclass(frozen=True)
class PositionLine:
    """Shares of a symbol between two closes; `pool` is None outside the pools."""

    symbol: str
    pool: str | None
    opening: Decimal
    bought: Decimal
    sold: Decimal
    split: Decimal
    expected: Decimal
    broker: Decimal | None
    difference: Decimal | None
    closing: Decimal


@dataclass
class CashLine:
    """Cash of a pool between two closes, CNY; the pool `ACCOUNT` is their total."""

    pool: str
    opening: Decimal = ZERO
    flows: Decimal = ZERO
    buys: Decimal = ZERO
    sells: Decimal = ZERO
    fees: Decimal = ZERO
    dividends: Decimal = ZERO
    unknown: Decimal = ZERO
    transfers: Decimal = ZERO
    expected: Decimal = ZERO
    broker: Decimal | None = None
    difference: Decimal | None = None
    closing: Decimal = ZERO

    def expect(self) -> None:
        """Compute the expected close."""
        self.expected = (
            self.opening
            + self.flows
            - self.buys
            + self.sells
            - self.fees
            + self.dividends
            + self.unknown
        )


@dataclass
class Settled:
    """A session's identities and the books at its close."""

    positions: list[PositionLine]
    cash: list[CashLine]
    closing: Books
    findings: list[Finding] = field(default_factory=list)

    @property
    def account(self) -> CashLine:
        """The cash of the whole account."""
        return self.cash[-1]


@dataclass(frozen=True)
class Day:
    """The inputs of a session's identities.

    `is_accepted` adopts the broker's figures if they differ.
    """

    session: dt.date
    opening: Books
    entries: Sequence[Entry]
    flows: Sequence[Flow]
    statement: Statement
    is_accepted: bool = False


def settle(day: Day, seeds: Seeds, prices: Prices) -> Settled:
    """Check a session's identities.

    Parameters
    ----------
    day : Day
    seeds : Seeds
        Supplies splits (corporate actions) and the pool of each fund.
    prices : Prices
        A `pre_close` below the last close, without a split, is a dividend.

    Returns
    -------
    Settled
        Lines sorted by symbol and by pool, the account's cash last. Without acceptance
        the closing books are the expected ones, so a difference appears again on the
        next session.

    Notes
    -----
    opening + bought - sold + split = closing, and opening + flows - buys + sells - fees
    + dividends (+ unknown) = closing.
    """
    findings: list[Finding] = []
    positions = _positions(day, seeds, prices, findings)
    receivables = _receivables(day, seeds, prices, positions, findings)
    cash = _cash(day, seeds, positions, findings)
    closing = Books(
        {line.symbol: line.closing for line in positions if line.pool and line.closing},
        {line.pool: line.closing for line in cash[:-1]},
        receivables,
    )
    return Settled(positions, cash, closing, findings)


def _positions(
    day: Day, seeds: Seeds, prices: Prices, findings: list[Finding]
) -> list[PositionLine]:
    stated = day.statement.shares
    trades = [entry for entry in day.entries if entry.is_trade]
    symbols = {*day.opening.shares, *(entry.symbol for entry in trades if entry.symbol)}
    symbols |= {*(stated or ())}
    ratios = {action.symbol: action.ratio for action in seeds.actions.get(str(day.session), ())}
    for entry in day.entries:
        if entry.kind == "split" and entry.pool and entry.symbol not in ratios:
            findings.append(
                broken("split_row", line=entry.line, symbol=entry.symbol, session=day.session)
            )
    lines = []
    for symbol in sorted(symbols):
        pool = seeds.pool_of.get(symbol)
        if pool is None:
            shares = Decimal((stated or {}).get(symbol, 0))
            findings.append(note("outside_position", symbol=symbol, shares=shares))
            lines.append(
                PositionLine(symbol, None, ZERO, ZERO, ZERO, ZERO, ZERO, shares, None, shares)
            )
            continue
        opening = day.opening.shares.get(symbol, ZERO)
        bought, sold = (
            Decimal(sum(e.shares for e in trades if e.symbol == symbol and e.kind == kind))
            for kind in ("buy", "sell")
        )
        split = opening * (ratios.get(symbol, Decimal(1)) - 1)
        if split:
            findings.append(note("split", symbol=symbol, ratio=ratios[symbol], shares=split))
        expected = opening + split + bought - sold
        broker = None if stated is None else Decimal(stated.get(symbol, 0))
        line = PositionLine(
            symbol,
            pool,
            opening,
            bought,
            sold,
            split,
            expected,
            broker,
            None if broker is None else broker - expected,
            _closing_shares(expected, broker, day.is_accepted),
        )
        findings += _position_findings(line, day, prices)
        lines.append(line)
    return lines


def _closing_shares(expected: Decimal, broker: Decimal | None, is_accepted: bool) -> Decimal:
    whole = expected.to_integral_value(ROUND_FLOOR)
    if broker is None:
        return whole
    # The broker rounds the fraction of a share that a split leaves.
    return broker if is_accepted or abs(broker - expected) < 1 else whole


def _position_findings(line: PositionLine, day: Day, prices: Prices) -> list[Finding]:
    if line.broker is None:
        if line.expected < 0:
            return [broken("oversold", symbol=line.symbol, shares=-line.expected)]
    elif line.difference:
        if abs(line.difference) < 1:
            return [note("split_rounding", symbol=line.symbol, fraction=line.difference)]
        values: dict[str, Any] = {
            "symbol": line.symbol,
            "expected": line.expected,
            "broker": line.broker,
            "difference": f"{line.difference:+}",
        }
        ratio = _missing_split(line, day, prices)
        if ratio is not None:
            return [broken("split_missing", **values, session=day.session, ratio=ratio)]
        return [broken("position", **values)]
    if line.closing % LOT and line.bought + line.sold + abs(line.split):
        return [note("odd_lot", symbol=line.symbol, shares=line.closing % LOT)]
    return []


def _missing_split(line: PositionLine, day: Day, prices: Prices) -> Decimal | None:
    """Return the split ratio that explains a difference, if the price fell with it."""
    bar, before = prices.bar(line.symbol, day.session), prices.before(line.symbol, day.session)
    if not (line.opening and line.broker and bar and bar.pre_close and before) or line.split:
        return None
    ratio = (line.broker - line.bought + line.sold) / line.opening
    fall = before.close / bar.pre_close
    is_alike = ratio > 0 and abs(ratio / fall - 1) < LARGE and abs(fall - 1) > LARGE
    return round(ratio, 4).normalize() if is_alike else None


def _receivables(
    day: Day,
    seeds: Seeds,
    prices: Prices,
    positions: Sequence[PositionLine],
    findings: list[Finding],
) -> tuple[Receivable, ...]:
    due = list(day.opening.receivables)
    unnamed = {f.values["symbol"] for f in findings if f.key == "split_missing"}
    for line in positions:
        bar, before = prices.bar(line.symbol, day.session), prices.before(line.symbol, day.session)
        if not (line.pool and line.opening and bar and bar.pre_close and before) or line.split:
            continue
        per_share = before.close - bar.pre_close
        if per_share < 0 or line.symbol in unnamed:
            findings.append(note("pre_close_above", symbol=line.symbol, session=day.session))
        elif per_share > 0:
            amount = fen(line.opening * per_share)
            due.append(Receivable(line.symbol, day.session, line.opening, amount))
            findings.append(
                note("dividend_due", symbol=line.symbol, per_share=per_share, amount=amount)
            )
    for entry in day.entries:
        if entry.kind == "dividend" and entry.pool:
            _pay(entry, due, findings)
    findings += [
        note("dividend_late", symbol=one.symbol, ex_date=one.ex_date, amount=one.amount)
        for one in due
        if day.session - one.ex_date > LATE_AFTER
    ]
    return tuple(due)


def _pay(entry: Entry, due: list[Receivable], findings: list[Finding]) -> None:
    """Close the fund's oldest receivable and report a deviating payment."""
    own = [one for one in due if one.symbol == entry.symbol]
    expected = own[0].amount if own else ZERO
    tolerance = HALF_TICK * own[0].shares + ROUNDING if own else ZERO
    if own:
        due.remove(own[0])
    if abs(entry.cash - expected) > tolerance:
        findings.append(
            note("dividend_paid", symbol=entry.symbol, paid=entry.cash, expected=expected)
        )


def _cash(
    day: Day, seeds: Seeds, positions: Sequence[PositionLine], findings: list[Finding]
) -> list[CashLine]:
    pools = {*seeds.traded, *day.opening.cash, *(line.pool for line in positions if line.pool)}
    pools |= {entry.pool for entry in day.entries if entry.pool}
    lines = {p: CashLine(p, day.opening.cash.get(p, ZERO)) for p in sorted(pools)}

    def book(column: str, amount: Decimal, pool: str | None) -> None:
        parts = {pool: amount} if pool else split_by_weight(amount, seeds.weights)
        for name, part in parts.items():
            setattr(lines[name], column, getattr(lines[name], column) + part)

    for flow in day.flows:
        book("flows", flow.amount, flow.pool)
    for entry in day.entries:
        if entry.is_trade:
            book("buys" if entry.kind == "buy" else "sells", entry.value, entry.pool)
            book("fees", entry.fees, entry.pool)
        elif entry.kind == UNKNOWN:
            book("unknown", entry.cash, entry.pool)
        elif entry.kind in FLOWS or entry.is_outside:
            book("flows", entry.cash, None)
        elif entry.kind == "fee":
            book("fees", -entry.cash, entry.pool)
        else:
            book("dividends", entry.cash, entry.pool)
    findings += _outside(day.entries)
    for line in lines.values():
        line.expect()
    account = _account(lines, day, findings)
    if day.is_accepted and account.difference:
        # The difference goes to one pool; it is never spread.
        lines[by_weight(seeds.weights)[0]].difference = account.difference
    moved = transfers({p: line.expected + (line.difference or ZERO) for p, line in lines.items()})
    for pool, line in lines.items():
        line.transfers = moved[pool]
        line.closing = line.expected + (line.difference or ZERO) + line.transfers
        if line.transfers > 0:
            findings.append(note("transfer", pool=pool, amount=line.transfers))
    account.closing = sum_of(line.closing for line in lines.values())
    return [*lines.values(), account]


def _outside(entries: Sequence[Entry]) -> list[Finding]:
    totals: dict[str, Decimal] = {}
    for entry in entries:
        if entry.is_outside and entry.symbol and entry.kind != UNKNOWN:
            totals[entry.symbol] = totals.get(entry.symbol, ZERO) + entry.cash
    return [
        note("outside_cash", symbol=symbol, amount=amount)
        for symbol, amount in sorted(totals.items())
    ]


def _account(lines: dict[str, CashLine], day: Day, findings: list[Finding]) -> CashLine:
    account = CashLine(ACCOUNT)
    for column in ("opening", "flows", "buys", "sells", "fees", "dividends", "unknown"):
        setattr(account, column, sum_of(getattr(line, column) for line in lines.values()))
    account.expect()
    account.broker = day.statement.cash
    if account.broker is not None:
        account.difference = account.broker - account.expected
    if account.difference:
        findings.append(
            broken(
                "cash",
                expected=account.expected,
                broker=account.broker,
                difference=f"{account.difference:+}",
            )
        )
    elif account.broker is None and account.expected < 0:
        findings.append(broken("overdrawn", amount=account.expected))
    return account
