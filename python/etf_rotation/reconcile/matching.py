"""Match orders with fills."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from etf_rotation.reconcile.cells import fen
from etf_rotation.reconcile.orders import Order
from etf_rotation.reconcile.statements import Entry

FILLED, PARTIAL, MISSED = "filled", "partial", "missed"
NOT_ORDERED, WRONG_SIDE, WRONG_DAY = "not_ordered", "wrong_side", "wrong_day"
OTHER_SIDE = {"buy": "sell", "sell": "buy"}


@dataclass
class Match:
    """The outcome of one order, or trades of one fund without an order for the session.

    Attributes
    ----------
    pool, symbol, side : str
    status : str
    order : Order or None
        None for trades without an order. For the wrong side or day, `order_id` names
        the order that they resemble.
    order_id : str or None
    filled : int
        Shares.
    value, fees : Decimal
        CNY.
    """

    pool: str
    symbol: str
    side: str
    status: str
    order: Order | None = None
    order_id: str | None = None
    filled: int = 0
    value: Decimal = field(default_factory=Decimal)
    fees: Decimal = field(default_factory=Decimal)

    @property
    def ordered(self) -> int:
        """Shares ordered for the session."""
        return self.order.shares if self.order else 0

    @property
    def unfilled(self) -> int:
        """Ordered shares without a fill."""
        return max(self.ordered - self.filled, 0)

    @property
    def sign(self) -> int:
        """1 for a buy, -1 for a sell."""
        return 1 if self.side == "buy" else -1

    def add(self, shares: int, value: Decimal, fees: Decimal) -> None:
        """Add a fill or a part of it."""
        self.filled += shares
        self.value += value
        self.fees += fees


def match(
    session: dt.date,
    orders: Sequence[Order],
    entries: Iterable[Entry],
    open_before: Mapping[tuple[str, str], str],
) -> list[Match]:
    """Match a session's trades with its orders.

    Parameters
    ----------
    session : date
    orders : sequence of Order
        One per symbol and side.
    entries : iterable of Entry
        Trades of funds of the pools, all of this session.
    open_before : mapping of (symbol, side) to order id
        Unfilled orders of earlier sessions; a trade that fits one is on the wrong day.

    Returns
    -------
    list of Match
        The orders in the given order, then trades without an order by symbol, side and
        status.

    Notes
    -----
    A trade with our order id belongs to that order. A trade without an id fills the
    order of its symbol and side; any excess is not ordered.
    """
    by_key = {
        (order.symbol, order.side): Match(
            order.pool, order.symbol, order.side, MISSED, order, order.order_id
        )
        for order in orders
    }
    others: dict[tuple[str, str, str, str | None], Match] = {}
    trades = [entry for entry in entries if entry.is_trade]
    # Trades with an id come first, so the order of the file does not matter.
    for entry in sorted(trades, key=lambda e: e.order_id is None):
        own = by_key.get((entry.symbol or "", entry.kind))
        strays = _stray(entry, session, own)
        if strays is None and own is not None:
            room = own.ordered - own.filled
            if entry.shares <= room:
                own.add(entry.shares, entry.value, entry.fees)
                continue
            taken = _portion(entry, max(room, 0))
            own.add(*taken)
            rest = (entry.shares - taken[0], entry.value - taken[1], entry.fees - taken[2])
            _other(others, entry, NOT_ORDERED, None).add(*rest)
            continue
        status, wanted = strays or _unasked(entry, by_key, open_before)
        _other(others, entry, status, wanted).add(entry.shares, entry.value, entry.fees)
    for found in by_key.values():
        if found.filled:
            found.status = PARTIAL if found.unfilled else FILLED
    return [*by_key.values(), *(others[key] for key in sorted(others, key=str))]


def _stray(entry: Entry, session: dt.date, own: Match | None) -> tuple[str, str | None] | None:
    """Return the status that a trade's id implies, None if the id fits or is absent."""
    if entry.order_id is None:
        return None
    date, _, code, *side = entry.order_id.split("-")
    if code != (entry.symbol or "")[:6]:
        return NOT_ORDERED, entry.order_id
    if date != f"{session:%Y%m%d}":
        return WRONG_DAY, entry.order_id
    if side and side[0].lower() != entry.kind:
        return WRONG_SIDE, entry.order_id
    return None if own else (NOT_ORDERED, entry.order_id)


def _unasked(
    entry: Entry,
    by_key: Mapping[tuple[str, str], Match],
    open_before: Mapping[tuple[str, str], str],
) -> tuple[str, str | None]:
    symbol = entry.symbol or ""
    opposite = by_key.get((symbol, OTHER_SIDE[entry.kind]))
    if opposite:
        return WRONG_SIDE, opposite.order_id
    before = open_before.get((symbol, entry.kind))
    return (WRONG_DAY, before) if before else (NOT_ORDERED, None)


def _portion(entry: Entry, shares: int) -> tuple[int, Decimal, Decimal]:
    part = Decimal(shares) / entry.shares
    return shares, fen(entry.value * part), fen(entry.fees * part)


def _other(
    others: dict[tuple[str, str, str, str | None], Match],
    entry: Entry,
    status: str,
    order_id: str | None,
) -> Match:
    key = (entry.symbol or "", entry.kind, status, order_id)
    if key not in others:
        others[key] = Match(
            entry.pool or "", entry.symbol or "", entry.kind, status, order_id=order_id
        )
    return others[key]
