"""Slippage and fees in basis points, and the implementation shortfall."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from etf_rotation.reconcile.aliases import Action
from etf_rotation.reconcile.books import ZERO
from etf_rotation.reconcile.matching import Match
from etf_rotation.reconcile.orders import Costs
from etf_rotation.reconcile.prices import Prices

BPS = 10_000
# Exact for whole shares and prices with up to four decimals.
EXACT = Decimal("0.0001")


@dataclass(frozen=True)
class Cost:
    """The cost of one match.

    Prices are CNY per share. Slippage and fees are basis points of the traded value.
    The shortfall is CNY. Positive values are costs. Fields that need the open are None
    without a bar.
    """

    price: Decimal | None
    decision_price: Decimal | None
    open: Decimal | None
    close: Decimal | None
    slippage_bps: Decimal | None
    fees_bps: Decimal | None
    assumed_slippage_bps: Decimal
    assumed_fees_bps: Decimal | None
    delay: Decimal | None
    execution: Decimal | None
    missed: Decimal | None
    shortfall: Decimal | None


def decision_price(
    symbol: str, session: dt.date, prices: Prices, actions: Mapping[str, Sequence[Action]]
) -> Decimal | None:
    """Return the ex-rights close at which the order was decided, None if unknown.

    The raw `pre_close` is used if present, otherwise the last close divided by a split
    ratio.
    """
    bar, before = prices.bar(symbol, session), prices.before(symbol, session)
    if bar and bar.pre_close is not None:
        return bar.pre_close
    if before is None:
        return None
    ratios = {action.symbol: action.ratio for action in actions.get(session.isoformat(), ())}
    return before.close / ratios.get(symbol, Decimal(1))


def cost_of(
    match: Match,
    session: dt.date,
    prices: Prices,
    actions: Mapping[str, Sequence[Action]],
    assumed: Costs,
) -> Cost:
    """Return the cost of one order, or of trades without an order.

    Notes
    -----
    With s = 1 for a buy and -1 for a sell, Q shares ordered, q filled at the mean price
    P, the decision's close D, the session's open O and close C: delay = s Q (O - D),
    execution = s q (P - O), missed = s (Q - q) (C - O). With the fees they add up to
    the paper result s Q (C - D) less the actual one, s q (C - P) - fees (Perold's
    implementation shortfall). Trades without an order have no decision and therefore no
    delay.
    """
    bar = prices.bar(match.symbol, session)
    decided = decision_price(match.symbol, session, prices, actions)
    ordered = match.ordered
    delay = execution = missed = shortfall = slippage = None
    if bar and (decided is not None or not ordered):
        delay = (match.sign * ordered * (bar.open - (decided or ZERO))).quantize(EXACT)
        execution = (match.sign * (match.value - match.filled * bar.open)).quantize(EXACT)
        missed = (match.sign * match.unfilled * (bar.close - bar.open)).quantize(EXACT)
        shortfall = delay + execution + match.fees + missed
        if match.filled:
            slippage = execution / (match.filled * bar.open) * BPS
    return Cost(
        price=match.value / match.filled if match.filled else None,
        decision_price=decided,
        open=bar.open if bar else None,
        close=bar.close if bar else None,
        slippage_bps=slippage,
        fees_bps=match.fees / match.value * BPS if match.value else None,
        assumed_slippage_bps=assumed.slippage_bps,
        assumed_fees_bps=(
            assumed.commission(match.value) / match.value * BPS if match.value else None
        ),
        delay=delay,
        execution=execution,
        missed=missed,
        shortfall=shortfall,
    )
