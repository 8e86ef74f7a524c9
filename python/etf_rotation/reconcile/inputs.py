"""Read and check all inputs of the command before anything is computed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from etf_rotation.errors import InputError
from etf_rotation.marts import holdings
from etf_rotation.reconcile import orders
from etf_rotation.reconcile.aliases import Seeds
from etf_rotation.reconcile.books import Books
from etf_rotation.reconcile.cells import day, fen, money
from etf_rotation.reconcile.findings import Finding
from etf_rotation.reconcile.identities import Statement
from etf_rotation.reconcile.orders import Order
from etf_rotation.reconcile.statements import (
    Entry,
    Flow,
    read_balance,
    read_fills,
    read_flows,
    read_positions,
)
from etf_rotation.reconcile.texts import RefusedError

T = TypeVar("T")


class SeveralRefusedError(InputError):
    """Inputs that cannot be used, one line each."""

    def __init__(self, refused: list[InputError]):
        self.refused = refused
        super().__init__("\n".join(str(error) for error in refused))


@dataclass(frozen=True)
class Given:
    """The options of the command; `cash` and `flows` are the typed texts."""

    fills: str
    positions: str | None = None
    cash: str | None = None
    balance: str | None = None
    opening: str | None = None
    flows: str | None = None
    orders: str | None = None
    date: str | None = None
    write_holdings: str | None = None
    accept: bool = False


@dataclass
class Inputs:
    """The parsed inputs; `session` is the last session to reconcile."""

    session: dt.date
    is_dated: bool
    entries: list[Entry]
    flows: list[Flow]
    statement: Statement
    opening: Books | None
    orders: list[Order] | None
    findings: list[Finding] = field(default_factory=list)
    checksums: dict[str, str] = field(default_factory=dict)


def read_inputs(given: Given, seeds: Seeds) -> Inputs:
    """Read all given inputs.

    Raises
    ------
    SeveralRefusedError
        Holds one error per input that cannot be used.
    """
    refused: list[InputError] = []

    def tried(read: Callable[..., T], *arguments: Any) -> T | None:
        try:
            return read(*arguments)
        except InputError as error:
            refused.append(error)
            return None

    stated = tried(_date, given.date) if given.date else None
    fills = tried(read_fills, given.fills, seeds, stated)
    positions = tried(read_positions, given.positions, seeds) if given.positions else None
    balance = None
    if given.cash is not None and given.balance is not None:
        refused.append(RefusedError("cash_twice"))
    elif given.balance is not None:
        balance = tried(read_balance, given.balance, seeds)
    elif given.cash is not None:
        balance = tried(_cash, given.cash)
    opening = tried(_opening, given.opening, seeds) if given.opening else None
    own_orders = tried(orders.read_orders, given.orders, seeds) if given.orders else None
    dates = [entry.trade_date for entry in fills.entries] if fills else []
    session = stated or max(dates, default=None)
    flows = tried(_flows, given.flows, session, seeds) if given.flows else None
    if fills and session is None and not refused:
        refused.append(RefusedError("no_session_named", file=given.fills))
    if refused or fills is None or session is None:
        raise SeveralRefusedError(refused)
    sums = {"fills": fills.sha256, "positions": positions and positions[1]}
    sums |= {"balance": balance and balance[1], "flows": flows and flows[1]}
    return Inputs(
        session=session,
        is_dated=stated is not None,
        entries=fills.entries,
        flows=flows[0] if flows else [],
        statement=Statement(positions and positions[0], balance and balance[0]),
        opening=opening,
        orders=own_orders,
        findings=fills.findings,
        checksums={name: value for name, value in sums.items() if value},
    )


def _date(text: str) -> dt.date:
    try:
        return day(text)
    except ValueError:
        raise RefusedError("date", value=text) from None


def _cash(text: str) -> tuple[Decimal, str]:
    try:
        return money(text), ""
    except ValueError:
        raise RefusedError("cash") from None


def _flows(text: str, session: dt.date | None, seeds: Seeds) -> tuple[list[Flow], str]:
    """Read a file of flows, or one amount for the session."""
    try:
        return [Flow(session or dt.date.max, money(text))], ""
    except ValueError:
        return read_flows(text, seeds)


def _opening(path: str, seeds: Seeds) -> Books:
    """Read the opening books from a file in the layout of `ETF_HOLDINGS_FILE`."""
    try:
        found = holdings.read(
            path, pool_of=seeds.pool_of, pools=set(seeds.weights), priced=set(seeds.pool_of)
        )
    except InputError as error:
        first, *more = str(error).splitlines()
        raise RefusedError("opening", first=first, more=len(more)) from None
    return Books(
        {
            symbol: Decimal(int(shares) if shares.is_integer() else repr(shares))
            for own in found.values()
            for symbol, shares in own.shares.items()
        },
        {pool: fen(Decimal(repr(own.cash))) for pool, own in found.items()},
    )
