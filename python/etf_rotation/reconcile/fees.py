"""The fees of a trade, from columns that may be parts or the sum of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from etf_rotation.reconcile.cells import FEN, fen


@dataclass(frozen=True)
class Fees:
    """The fees of one row in CNY.

    `is_explained` is false if the fee columns contradict the cash moved.
    """

    amount: Decimal
    is_explained: bool = True


def of_trade(
    parts: Sequence[Decimal], sums: Sequence[Decimal], implied: Decimal | None
) -> Fees | None:
    """Determine the fees of a trade.

    Parameters
    ----------
    parts : sequence of Decimal
        Columns that hold a part of the fees, such as 过户费.
    sums : sequence of Decimal
        Columns that hold a part or the sum, such as 手续费.
    implied : Decimal or None
        Difference between the cash moved and the value, if the file states the cash. It
        decides.

    Returns
    -------
    Fees or None
        None if several readings are possible and no cash decides.

    Notes
    -----
    Three readings are tried: all columns are parts; one of `sums` is the total; one of
    `sums` repeats the other parts. The last two require another nonzero column.
    """
    parts, sums = [abs(part) for part in parts], [abs(part) for part in sums]
    total = sum([*parts, *sums], Decimal(0))
    readings = {fen(total)}
    for one in sums:
        if one and total != one:
            readings |= {fen(one), fen(total - one)}
    if implied is not None:
        is_explained = not (parts or sums) or any(abs(implied - one) <= FEN for one in readings)
        return Fees(implied, is_explained and implied >= 0)
    # A column that equals the total of all others is their sum.
    halves = {fen(one) for one in sums if one and total == 2 * one}
    if len(halves) == 1:
        return Fees(halves.pop())
    return Fees(readings.pop()) if len(readings) == 1 else None
