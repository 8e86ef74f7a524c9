"""Reconcile one session: identities, orders, costs and the account's return."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from etf_rotation.reconcile.aliases import Seeds
from etf_rotation.reconcile.books import Books, split_by_weight
from etf_rotation.reconcile.cells import fen
from etf_rotation.reconcile.costs import Cost, cost_of
from etf_rotation.reconcile.findings import Finding
from etf_rotation.reconcile.identities import Day, PositionLine, Settled, settle
from etf_rotation.reconcile.matching import (
    FILLED,
    MISSED,
    NOT_ORDERED,
    PARTIAL,
    Match,
    match,
)
from etf_rotation.reconcile.orders import Costs
from etf_rotation.reconcile.prices import Prices
from etf_rotation.reconcile.publications import Published
from etf_rotation.reconcile.statements import Entry
from etf_rotation.reconcile.tracking import Live, live_of, value_of


@dataclass
class Session:
    """The result of one session; `closes` are prices of its positions, CNY."""

    day: Day
    settled: Settled
    published: Published | None
    orders: list[tuple[Match, Cost]]
    live: Live
    closes: dict[str, Decimal]
    findings: list[Finding]

    @property
    def is_broken(self) -> bool:
        """Whether an identity fails or an order was not carried out as given.

        Trades without an order count only if orders were published for the session.
        """
        allowed = {FILLED} if self.published else {FILLED, NOT_ORDERED}
        return any(finding.is_break for finding in self.findings) or any(
            found.status not in allowed for found, _ in self.orders
        )

    @property
    def blocks_holdings(self) -> bool:
        """Whether the holdings are too uncertain to be written."""
        return any(finding.blocks_holdings for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return the content of the day file."""
        return {
            "trade_date": self.day.session.isoformat(),
            "is_accepted": self.day.is_accepted,
            "published": self.published.as_dict() if self.published else None,
            "opening": self.day.opening.as_dict(),
            "closing": self.settled.closing.as_dict(),
            "fills": [_plain(entry) for entry in self.day.entries],
            "positions": [self._position(line) for line in self.settled.positions],
            "cash": [_plain(line) for line in self.settled.cash],
            "orders": [self._order(found, cost) for found, cost in self.orders],
            "live": self.live.as_dict(),
            "findings": [finding.as_dict() for finding in self.findings],
        }

    def _position(self, line: PositionLine) -> dict[str, Any]:
        close = self.closes.get(line.symbol)
        value = None if close is None else str(fen(close * line.closing))
        return {**_plain(line), "close": _json(close), "market_value": value}

    def _order(self, found: Match, cost: Cost) -> dict[str, Any]:
        return {
            "order_id": found.order_id,
            "pool": found.pool,
            "symbol": found.symbol,
            "side": found.side,
            "status": found.status,
            "ordered": found.ordered,
            "filled": found.filled,
            "unfilled": found.unfilled,
            "value": str(found.value),
            "fees": str(found.fees),
            **_plain(cost),
        }


def _plain(line: object) -> dict[str, Any]:
    return {name: _json(value) for name, value in vars(line).items()}


def _json(value: object) -> object:
    return str(value) if isinstance(value, (Decimal, dt.date)) else value


def reconcile_session(
    day: Day,
    published: Published | None,
    open_before: Mapping[tuple[str, str], str],
    *,
    seeds: Seeds,
    prices: Prices,
    assumed: Costs,
) -> Session:
    """Reconcile one session.

    Parameters
    ----------
    day : Day
    published : Published or None
        The session's orders.
    open_before : mapping of (symbol, side) to order id
        Unfilled orders of earlier sessions.
    seeds, prices
    assumed : Costs
        Used if the orders do not state the assumed costs.
    """
    settled = settle(day, seeds, prices)
    costs = published.costs if published else assumed
    orders = published.orders if published else ()
    matches = match(day.session, orders, day.entries, open_before)
    costed = [
        (found, cost_of(found, day.session, prices, seeds.actions, costs)) for found in matches
    ]
    return Session(
        day=day,
        settled=settled,
        published=published,
        orders=costed,
        live=live_of(day, settled, costed, prices),
        closes={
            line.symbol: prices.close(line.symbol, day.session)
            for line in settled.positions
            if line.pool
        },
        findings=list(settled.findings),
    )


def open_orders(days: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """Return the unfilled orders of stored days by symbol and side.

    A later order of the same symbol and side replaces an earlier one.
    """
    waiting: dict[tuple[str, str], str] = {}
    for day in days:
        for row in day["orders"]:
            key = (row["symbol"], row["side"])
            if row["status"] in (MISSED, PARTIAL):
                waiting[key] = row["order_id"]
            elif row["status"] == FILLED:
                waiting.pop(key, None)
    return waiting


def identities_of(days: Iterable[Mapping[str, Any]]) -> list[tuple[object, ...]]:
    """Return the identity of every row in stored days."""
    names = ("trade_date", "kind", "symbol", "shares", "price", "value", "cash", "fill_id", "time")
    return [
        tuple(_text(fill[name], name) for name in names) for day in days for fill in day["fills"]
    ]


def _text(value: object, name: str) -> object:
    return str(value) if name == "price" else value


def opening_from_closing(
    shares: Mapping[str, int],
    cash: Decimal,
    moves: Decimal,
    entries: Sequence[Entry],
    session: dt.date,
    seeds: Seeds,
    prices: Prices,
) -> Books:
    """Derive the opening books from an accepted close if no earlier session is stored.

    Trades are reversed, and so is `moves`, the net cash moved. Cash is divided so that
    each traded pool comes as close to its portfolio weight as its holdings allow.
    """
    held = {symbol: Decimal(n) for symbol, n in shares.items() if symbol in seeds.pool_of}
    ratios = {action.symbol: action.ratio for action in seeds.actions.get(str(session), ())}
    before = dict(held)
    for entry in entries:
        if entry.is_trade and entry.symbol:
            sign = -1 if entry.kind == "buy" else 1
            before[entry.symbol] = before.get(entry.symbol, Decimal(0)) + sign * entry.shares
    opening = {s: n / ratios.get(s, Decimal(1)) for s, n in before.items() if n > 0}
    start = Books(opening, {"": cash - moves})
    return Books(opening, _by_target(start, session, seeds, prices))


def _by_target(books: Books, session: dt.date, seeds: Seeds, prices: Prices) -> dict[str, Decimal]:
    """Divide cash so that the pools come as close to their weights as possible."""
    values = dict.fromkeys(seeds.traded, Decimal(0))
    for symbol, n in books.shares.items():
        pool = seeds.pool_of[symbol]
        one = Books({symbol: n})
        values[pool] = values.get(pool, Decimal(0)) + value_of(one, prices, session)
    total = sum(values.values(), books.total_cash)
    weights = sum((seeds.weights[pool] for pool in seeds.traded), Decimal(0))
    lacking = {
        pool: max(total * seeds.weights[pool] / weights - values[pool], Decimal(0))
        for pool in seeds.traded
    }
    shares = lacking if any(lacking.values()) else seeds.weights
    return split_by_weight(books.total_cash, shares)
