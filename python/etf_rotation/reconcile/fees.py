"""What a trade cost, from fee columns that may be parts, or the sum of the others, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from etf_rotation.reconcile.cells import FEN, fen


@dataclass(frozen=True)
class Fees:
    """The fees of one row in CNY.

    `is_explained` is false where the columns do not give what the cash moved says.
    """

    amount: Decimal
    is_explained: bool = True


def of_trade(
    parts: Sequence[Decimal], sums: Sequence[Decimal], implied: Decimal | None
) -> Fees | None:
    """Decide what the fees of a trade are.

    Parameters
    ----------
    parts : sequence of Decimal
        Columns that are a part of the fees, such as 过户费.
    sums : sequence of Decimal
        Columns that are a part or the sum, such as 手续费.
    implied : Decimal or None
        What the cash moved leaves beside the value, where the file has the cash: it decides.

    Returns
    -------
    Fees or None
        None where the columns can be read in more than one way and no cash decides.

    Notes
    -----
    Readings tried: all columns are parts; one of `sums` is the sum; one of `sums` repeats the
    parts, and only they count. The last two need another column that is not zero.
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
    # Where the others add up to it, a column is their sum.
    halves = {fen(one) for one in sums if one and total == 2 * one}
    if len(halves) == 1:
        return Fees(halves.pop())
    return Fees(readings.pop()) if len(readings) == 1 else None
