"""Tomorrow's orders over all tranches of a pool: one net order per fund."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from etf_rotation.bilingual import Bilingual
from etf_rotation.contracts import schema_of

if TYPE_CHECKING:
    from etf_rotation.backtest.planning import Planned
    from etf_rotation.marts.next_session import Fund


class NextOrder(NamedTuple):
    """An order of tomorrow, or one row without a symbol for a pool without orders."""

    pool: str
    sequence: int
    basis: str
    symbol: str | None
    side: str | None
    shares: float | None
    target_weight: float | None
    target_shares: float | None
    reason: str
    reason_zh: str


class Part(NamedTuple):
    """The planned order of one tranche in a fund."""

    tranche: int
    fund: Fund
    planned: Planned
    target_weight: float | None
    target_shares: float
    reason: Bilingual


ORDERS_SCHEMA = schema_of(NextOrder)


def netted(parts: Sequence[Part], basis: str, tranches: int) -> list[NextOrder]:
    """Return the net order of each fund, sells before buys.

    Parameters
    ----------
    parts : sequence of Part
        The planned orders of all tranches of one pool that trade.
    basis : str
        `simulated` or `holdings_file`, for the rows.
    tranches : int
        Number of tranches that share the capital; 1 for the user's own holdings.

    Returns
    -------
    list of NextOrder
        One order per fund whose tranches do not cancel out, numbered from 1. Its target
        weight is the sum of the tranches' weights over their number.
    """
    by_symbol: dict[str, list[Part]] = {}
    for part in parts:
        by_symbol.setdefault(part.fund.symbol, []).append(part)
    orders = []
    for symbol, own in by_symbol.items():
        # Missing cash is the reason only if there is no other reason.
        filled = [part for part in own if part.planned.is_filled] or own
        signed = [
            part.planned.shares if part.planned.side == "buy" else -part.planned.shares
            for part in filled
        ]
        if not (net := sum(signed)):
            continue
        reason = _joined(filled, tranches)
        orders.append(
            NextOrder(
                pool=own[0].fund.pool,
                sequence=0,
                basis=basis,
                symbol=symbol,
                side="buy" if net > 0 else "sell",
                shares=abs(net),
                target_weight=_total_weight(own, tranches),
                target_shares=sum(part.target_shares for part in own),
                reason=reason.en,
                reason_zh=reason.zh,
            )
        )
    if tranches > 1:
        best = {
            symbol: min(part.fund.rank or 0 for part in own) for symbol, own in by_symbol.items()
        }
        orders.sort(key=lambda order: (order.side == "buy", best[order.symbol], order.symbol))
    return [order._replace(sequence=n) for n, order in enumerate(orders, start=1)]


def _total_weight(parts: Sequence[Part], tranches: int) -> float | None:
    weights = [part.target_weight for part in parts if part.target_weight is not None]
    return sum(weights) / tranches if weights else None


def _joined(parts: Sequence[Part], tranches: int) -> Bilingual:
    reasons = list(dict.fromkeys(part.reason for part in parts))
    reason = Bilingual("; ".join(one.en for one in reasons), "；".join(one.zh for one in reasons))
    if tranches > 1:
        named = [str(part.tranche) for part in parts]
        reason += Bilingual(
            f", tranche {' and '.join(named)}", f"，第 {'、'.join(named)} 份（编号自 0 起）"
        )
    return reason
