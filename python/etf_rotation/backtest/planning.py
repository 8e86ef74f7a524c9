"""The next orders of a tranche, planned as if every fund opened at its last close."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import NamedTuple

import numpy as np

from etf_rotation.backtest.accounts import Accounts
from etf_rotation.backtest.prices import Bar, lay_out
from etf_rotation.backtest.records import Order, Parameters, Target


class Planned(NamedTuple):
    """An order for a future session; its targets are None unless it is a rebalance."""

    symbol: str
    side: str
    shares: float
    is_filled: bool  # whether the cash buys at least one lot
    target_weight: float | None
    target_shares: float | None


def plan(
    trade_date: date,
    last_bars: Mapping[str, Bar],
    targets: Mapping[str, Target] | None,
    parameters: Parameters,
    *,
    cash: float,
    shares: Mapping[str, float],
    open_orders: Mapping[str, Order],
    only: Collection[str] | None = None,
) -> list[Planned]:
    """Plan a tranche's next orders as if every fund opened at its last close.

    Parameters
    ----------
    trade_date : date
        The session after the last close.
    last_bars : mapping of symbol to Bar
        The last bar of each fund that is held, selected or in an open order.
    targets : mapping of symbol to Target
        The funds selected for the session; None unless it is a rebalance.
    parameters : Parameters
        The strategy's parameters in the pool. `target_capital` is ignored: the
        account's own cash and shares are the capital.
    cash : float
        CNY at the last close.
    shares : mapping of symbol to float
        Shares held at the last close, above zero.
    open_orders : mapping of symbol to Order
        Orders of the last rebalance without a fill so far.
    only : collection of str, optional
        Funds that the rebalance may trade; None for all.

    Returns
    -------
    list of Planned
        Orders in the sequence in which to send them.

    Raises
    ------
    ValueError
        A target without the ADV20 that caps it.
    """
    bars = {
        symbol: Bar(bar.close, bar.close, bar.adj, None, None) for symbol, bar in last_bars.items()
    }
    prices = lay_out([None, trade_date], {None: bars, trade_date: bars}, parameters.pool)
    columns = {symbol: n for n, symbol in enumerate(prices.symbols)}
    held = np.zeros((1, len(columns)))
    for symbol, count in shares.items():
        held[0, columns[symbol]] = count
    schedule = {}
    if targets is not None:
        schedule[1] = {columns[symbol]: target for symbol, target in targets.items()}
    orders = {columns[symbol]: order for symbol, order in open_orders.items()}
    accounts = Accounts({parameters.pool: prices}, [parameters], [cash], [schedule], held, [orders])
    may_trade = None if only is None else [columns[symbol] for symbol in only if symbol in columns]
    trail = accounts.trade_once(1, may_trade)
    rebalanced, attempts = trail.rebalanced, trail.attempts
    aims = dict(
        zip(
            rebalanced.fund.tolist(),
            zip(
                *(c.tolist() for c in (rebalanced.target_weight, rebalanced.target_shares)),
                strict=True,
            ),
            strict=True,
        )
    )
    return [
        Planned(
            prices.symbols[fund],
            "buy" if is_buy else "sell",
            count,
            is_filled,
            *aims.get(fund, (None, None)),
        )
        for fund, is_buy, count, is_filled in zip(
            attempts.fund.tolist(),
            attempts.is_buy.tolist(),
            attempts.shares.tolist(),
            attempts.is_filled.tolist(),
            strict=True,
        )
    ]
