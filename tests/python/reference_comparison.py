"""Compares a build's selections, weights, fills and equity with the reference."""

import pandas as pd
import pytest
from reference_portfolio import load, plan, start_funds
from reference_walk import walk

TOLERANCE = 1e-9

QUERIES = {
    "selected": "select trade_date, tranche, symbol, target_weight, reason"
    " from signals.target_weights"
    " inner join signals.selection_log using (strategy, pool, trade_date, tranche, symbol)",
    "rebalances": "select trade_date, tranche, symbol, target_weight, equity, equity_as_of, price,"
    " target_shares from backtest.rebalances",
    "tranches_daily": "select trade_date, tranche, equity, cash, holdings_value"
    " from backtest.tranches_daily",
    "trades": "select trade_date, tranche, symbol, side, shares, price, commission, reason"
    " from backtest.trades",
    "rejected_orders": "select trade_date, tranche, symbol, side, shares, reason"
    " from backtest.rejected_orders",
}
KEYS = {"selected": 3, "rebalances": 3, "tranches_daily": 2}


def differences(connection):
    """Compare every strategy and pool of a build; return differences and equal counts."""
    faults, compared = [], dict.fromkeys(QUERIES, 0)
    markets, funds, pools, rules = load(connection)
    for rule in rules:
        where = f"where strategy = '{rule['strategy']}' and pool = '{rule['pool']}'"
        expected = expect(markets[rule["pool"]], rule, pools[rule["pool"]], funds, rules)
        for table, query in QUERIES.items():
            order = "" if table in KEYS else "order by trade_date, tranche, sequence"
            rows = connection.execute(f"{query} {where} {order}").fetchall()
            rows = [(pd.Timestamp(day), *values) for day, *values in rows]
            found = by_key(table, rows)
            faults += unlike((rule["strategy"], rule["pool"], table), expected[table], found)
            compared[table] += len(found)
    return faults, compared


def expect(market, rule, pool, funds, rules):
    planned = plan(market, rule, pool, funds, start_funds(rule, rules))
    books = walk(market, rule, pool, funds, planned)
    selected = [
        (day, tranche, symbol, planned.weights[tranche][day][symbol], reason)
        for tranche, own in enumerate(planned.selected)
        for day, taken in own.items()
        for symbol, reason in taken.items()
    ]
    return {
        "selected": by_key("selected", selected),
        "rebalances": books["rebalances"],
        "tranches_daily": books["tranches_daily"],
        "trades": by_key("trades", books["trades"]),
        "rejected_orders": by_key("rejected_orders", books["rejected_orders"]),
    }


def by_key(table, rows):
    """Rows by their key, by their place where the order is part of the result."""
    length = KEYS.get(table)
    if length is None:
        return dict(enumerate(rows))
    return {row[:length]: row[length:] for row in rows}


def unlike(where, expected, found):
    faults = [(*where, "missing", key) for key in expected.keys() - found.keys()]
    faults += [(*where, "too much", key) for key in found.keys() - expected.keys()]
    for key in expected.keys() & found.keys():
        if not all(map(alike, expected[key], found[key])):
            faults.append((*where, key, expected[key], found[key]))
    return faults


def alike(expected, found):
    if isinstance(expected, float | int):
        return found == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE)
    return expected == found
