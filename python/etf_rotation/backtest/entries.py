"""The ledger of a strategy in a pool as one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from etf_rotation.backtest.marks import AMOUNTS, Marks
from etf_rotation.backtest.prices import Prices
from etf_rotation.backtest.records import ENDED, REASONS, Parameters, Trail
from etf_rotation.contracts import schema_of


class Entry(NamedTuple):
    """A row of the ledger; `simulate` lists the columns filled for each kind."""

    strategy: str
    pool: str
    sequence: int | None
    kind: str
    trade_date: date
    tranche: int | None = None
    symbol: str | None = None
    side: str | None = None
    reason: str | None = None
    is_carry_over: bool | None = None
    target_weight: float | None = None
    target_shares: float | None = None
    shares: float | None = None
    price: float | None = None
    close: float | None = None
    value: float | None = None
    market_value: float | None = None
    equity: float | None = None
    equity_as_of: float | None = None
    cash: float | None = None
    holdings_value: float | None = None
    commission: float | None = None
    slippage: float | None = None
    corporate_action_value: float | None = None
    price_pnl: float | None = None


LEDGER_SCHEMA = schema_of(Entry)
KINDS = (
    "rebalance",
    "trade",
    "rejected",
    "position",
    "session",
    "tranche",
    "tranche_position",
)
SIDES = ("sell", "buy")


class _Part(NamedTuple):
    """Entries of one kind: their rows in the table, and their columns by name."""

    rows: np.ndarray
    columns: Mapping[str, Any]  # arrays, or a value for all; names as codes


def ledger_of(
    trail: Trail,
    prices: Prices,
    parameters: Parameters,
    of_tranches: Sequence[Marks],
    total: Marks,
) -> pa.Table:
    """Combine the trail of a strategy's tranches and the marks of its sessions.

    Returns
    -------
    pyarrow.Table
        `LEDGER_SCHEMA`, sorted by sequence; rows without a sequence come last.
    """
    count = len(total.equity)
    days = np.arange(total.first, total.first + count)
    order, sessions_of_events = _order_of_events(trail)
    # A session's events come first, then its positions, then its own row.
    n_events = np.bincount(sessions_of_events - total.first, minlength=count)
    sessions, funds = np.nonzero(total.shares)
    n_positions = np.bincount(sessions, minlength=count)
    begins = np.concatenate([[0], np.cumsum(n_events + n_positions + 1)[:-1]])
    rows = np.empty(len(order), int)
    rows[order] = _numbered(begins, n_events)
    shares = total.shares[sessions, funds]
    close = prices.last_close[total.first + sessions, funds]
    parts = [
        *_events(trail, rows),
        _Part(
            _numbered(begins + n_events, n_positions),
            {
                "kind": KINDS.index("position"),
                "trade_date": days[sessions],
                "symbol": funds,
                "shares": shares,
                "close": close,
                "market_value": shares * close,
            },
        ),
        _Part(
            begins + n_events + n_positions,
            {
                "kind": KINDS.index("session"),
                "trade_date": days,
                **{name: getattr(total, name) for name in AMOUNTS},
            },
        ),
    ]
    n_sequence = sum(len(part.rows) for part in parts)
    parts.append(_Part(np.arange(n_sequence), {"sequence": np.arange(n_sequence)}))
    for tranche, own in enumerate(of_tranches):
        parts += _of_tranche(tranche, own, days, max(part.rows.max(initial=-1) for part in parts))
    return _table(parts, prices, parameters)


def _of_tranche(tranche: int, marks: Marks, days: np.ndarray, last_row: int) -> list[_Part]:
    """Return the sessions of a tranche and its holdings on the last, after other rows."""
    held = np.flatnonzero(marks.shares[-1])
    rows = last_row + 1 + np.arange(len(days) + len(held))
    amounts = {name: getattr(marks, name) for name in ("equity", "cash", "holdings_value")}
    of_sessions = {"kind": KINDS.index("tranche"), "trade_date": days, "tranche": tranche}
    of_funds = {
        "kind": KINDS.index("tranche_position"),
        "trade_date": days[-1],
        "tranche": tranche,
        "symbol": held,
        "shares": marks.shares[-1][held],
    }
    return [
        _Part(rows[: len(days)], of_sessions | amounts),
        _Part(rows[len(days) :], of_funds),
    ]


def _numbered(begins: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return, per session, `count` consecutive numbers from its `begin`."""
    places = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(begins, counts) + places


def _order_of_events(trail: Trail) -> tuple[np.ndarray, np.ndarray]:
    """Return the order of rebalances and orders by session and tranche, and the sessions.

    Payouts come before the rebalance because it invests their cash. Orders come after
    it.
    """
    rebalanced, attempts = trail.rebalanced, trail.attempts
    phase = np.concatenate(
        [np.full(len(rebalanced.fund), 1), np.where(attempts.reason == ENDED, 0, 2)]
    )
    session, tranche = (
        np.concatenate([getattr(rebalanced, name), getattr(attempts, name)]).astype(int)
        for name in ("session", "account")
    )
    return np.lexsort((phase, tranche, session)), session


def _events(trail: Trail, rows: np.ndarray) -> tuple[_Part, _Part]:
    rebalanced, attempts = trail.rebalanced, trail.attempts
    amounts = ("target_weight", "target_shares", "price", "equity", "equity_as_of")
    is_filled = attempts.is_filled
    return (
        _Part(
            rows[: len(rebalanced.fund)],
            {
                "kind": KINDS.index("rebalance"),
                "trade_date": rebalanced.session,
                "tranche": rebalanced.account,
                "symbol": rebalanced.fund,
                **{name: getattr(rebalanced, name) for name in amounts},
            },
        ),
        _Part(
            rows[len(rebalanced.fund) :],
            {
                "kind": np.where(is_filled, KINDS.index("trade"), KINDS.index("rejected")),
                "trade_date": attempts.session,
                "tranche": attempts.account,
                "symbol": attempts.fund,
                "side": attempts.is_buy,
                **{name: getattr(attempts, name) for name in attempts._fields[4:]},
            },
        ),
    )


def _table(parts: Sequence[_Part], prices: Prices, parameters: Parameters) -> pa.Table:
    count = 1 + max(part.rows.max(initial=-1) for part in parts)
    key = {"strategy": parameters.strategy, "pool": parameters.pool}
    names = {
        "kind": pa.array(KINDS),
        "trade_date": pa.array(prices.dates, pa.date32()),
        "symbol": pa.array(prices.symbols, pa.string()),
        "side": pa.array(SIDES),
        "reason": pa.array(REASONS),
    }
    arrays = []
    for field in LEDGER_SCHEMA:
        if field.name in key:
            arrays.append(pa.repeat(pa.scalar(key[field.name]), count))
            continue
        is_amount = pa.types.is_floating(field.type)
        values = np.full(count, np.nan) if is_amount else np.zeros(count, int)
        is_null = np.ones(count, bool)
        for rows, columns in parts:
            if field.name in columns:
                values[rows], is_null[rows] = columns[field.name], False
        # An order that is not filled has no amounts.
        array = pa.array(values, mask=is_null | np.isnan(values))
        if field.name in names:
            array = names[field.name].take(array)
        arrays.append(array.cast(field.type))
    return pa.table(arrays, schema=LEDGER_SCHEMA)
