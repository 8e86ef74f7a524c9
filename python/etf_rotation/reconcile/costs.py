"""What the fills cost: slippage and fees in basis points, and the implementation shortfall."""

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
# Money of the shortfall: a price has three digits, or four, and shares are whole.
EXACT = Decimal("0.0001")


@dataclass(frozen=True)
class Cost:
    """The cost of one match.

    Prices are CNY a share; slippage and fees are basis points of the traded value, positive where
    they cost; the shortfall is CNY, positive where it costs. Of a fund without a bar on the session
    everything that needs its open is None.
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
    """Return the close at which the order was decided, ex-rights; None where it is not known.

    That is `pre_close` where the data has it. Else it is the last close over the ratio of a split.
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
    """Return what one order, or a trade without an order, cost.

    Notes
    -----
    With s = 1 for a buy and -1 for a sell, Q shares ordered, q filled at the mean price P, the
    decision's close D, the session's open O and close C: delay = s Q (O - D), execution =
    s q (P - O), missed = s (Q - q) (C - O). With the fees they add up to the paper result
    s Q (C - D) less the actual one, s q (C - P) - fees (Perold's implementation shortfall). A
    trade that was not ordered has no decision, so no delay.
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
