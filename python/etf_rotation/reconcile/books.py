"""The account's books at a close, and how cash is divided among pools."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from typing import Any

from etf_rotation.reconcile.cells import FEN

ZERO = Decimal(0)


@dataclass(frozen=True)
class Receivable:
    """A dividend between its ex-date and its payment, in CNY."""

    symbol: str
    ex_date: dt.date
    shares: Decimal
    amount: Decimal


@dataclass(frozen=True)
class Books:
    """Holdings at a close: shares by symbol, CNY by pool, dividends receivable."""

    shares: dict[str, Decimal] = field(default_factory=dict)
    cash: dict[str, Decimal] = field(default_factory=dict)
    receivables: tuple[Receivable, ...] = ()

    @property
    def total_cash(self) -> Decimal:
        """Cash of all pools, CNY."""
        return sum(self.cash.values(), ZERO)

    @property
    def total_receivable(self) -> Decimal:
        """Dividends receivable, CNY."""
        return sum((due.amount for due in self.receivables), ZERO)

    def as_dict(self) -> dict[str, Any]:
        """Return the books as JSON values; `from_dict` restores them exactly."""
        return {
            "shares": {symbol: str(shares) for symbol, shares in sorted(self.shares.items())},
            "cash": {pool: str(cash) for pool, cash in sorted(self.cash.items())},
            "receivables": [
                {
                    "symbol": due.symbol,
                    "ex_date": due.ex_date.isoformat(),
                    "shares": str(due.shares),
                    "amount": str(due.amount),
                }
                for due in self.receivables
            ],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Books:
        """Return the books that `as_dict` wrote."""
        return cls(
            {symbol: Decimal(shares) for symbol, shares in content["shares"].items()},
            {pool: Decimal(cash) for pool, cash in content["cash"].items()},
            tuple(
                Receivable(
                    due["symbol"],
                    dt.date.fromisoformat(due["ex_date"]),
                    Decimal(due["shares"]),
                    Decimal(due["amount"]),
                )
                for due in content["receivables"]
            ),
        )


def split_by_weight(amount: Decimal, weights: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Split an amount over pools by weight, to the fen.

    Parameters
    ----------
    amount : Decimal
        Whole fen, of either sign.
    weights : mapping of pool to Decimal
        Some above zero.
    """
    heaviest = by_weight(weights)
    total = sum((weights[pool] for pool in heaviest), ZERO)
    parts = {pool: (amount * weights[pool] / total).quantize(FEN, ROUND_DOWN) for pool in heaviest}
    left = amount - sum(parts.values(), ZERO)
    for pool in heaviest:
        if not left:
            break
        step = FEN.copy_sign(left)
        parts[pool] += step
        left -= step
    return parts


def by_weight(weights: Mapping[str, Decimal]) -> list[str]:
    """Return the pools with a weight above zero, the heaviest first."""
    return sorted((pool for pool in weights if weights[pool] > 0), key=lambda p: (-weights[p], p))


def transfers(cash: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return the transfers that leave no pool below zero; they sum to zero.

    All pools share one cash account, so a pool can spend another pool's cash. The pool
    with the most cash lends first. No transfer is made if the account as a whole is
    below zero.
    """
    moved = dict.fromkeys(cash, ZERO)
    if sum(cash.values(), ZERO) < 0:
        return moved
    for pool in sorted(cash):
        lacking = max(-cash[pool], ZERO)
        givers = sorted((p for p in cash if cash[p] > 0), key=lambda p: (-cash[p], p))
        for giver in givers:
            part = min(lacking, cash[giver] + moved[giver])
            moved[giver] -= part
            moved[pool] += part
            lacking -= part
    return moved


def sum_of(values: Iterable[Decimal]) -> Decimal:
    """Return the sum of decimals, zero for an empty sequence."""
    return sum(values, ZERO)
