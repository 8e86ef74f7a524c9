"""The simulation against bt, an independent engine, without the rules that bt lacks.

Lots are a billionth of a share, no fund opens at a limit, a commission has no minimum.
Each session is two rows for bt, open and close; its prices are adjusted, the walk's are
not.
"""

from datetime import date, datetime, time, timedelta

import bt
import ffn
import numpy as np
import pandas as pd
import pytest
from etf_rotation.backtest.ledger import Rebalance, walk
from etf_rotation.backtest.prices import Bar
from etf_rotation.backtest.records import Parameters, Target
from etf_rotation.signals.weights import Limits, redistribute

FUNDS = ["A", "B", "C", "D"]
DAYS = [date(2021, 3, 1) + timedelta(days=n) for n in range(300)]
REBALANCES = range(5, 300, 20)
CAPITAL = 1e6
LOOKBACK = 40
WEIGHTS = [0.4, 0.3, 0.2]


@pytest.fixture(scope="module")
def market():
    """Unadjusted opens and closes with splits, distributions and suspensions, and the plan."""
    rng = np.random.default_rng(7)
    bars = {day: {} for day in DAYS}
    prices = {}
    for symbol in FUNDS:
        adj, close = 1.0, rng.uniform(0.8, 3)
        last = None
        for n, day in enumerate(DAYS):
            ratio = rng.choice([1, 1.02, 2.0, 0.5], p=[0.97, 0.01, 0.01, 0.01])
            adj *= ratio
            open_ = close / ratio * rng.lognormal(0, 0.01)
            close = open_ * rng.lognormal(0, 0.015)
            is_suspended = n > 0 and n not in REBALANCES and rng.random() < 0.05
            if is_suspended:
                prices[_at(day, 9), symbol] = prices[_at(day, 15), symbol] = last
                continue
            bars[day][symbol] = Bar(open_, close, adj, None, None)
            prices[_at(day, 9), symbol] = open_ * adj
            prices[_at(day, 15), symbol] = last = close * adj
    plan = {DAYS[n]: dict(zip(rng.permutation(FUNDS), WEIGHTS, strict=False)) for n in REBALANCES}
    assert sum(len(funds) for funds in bars.values()) < len(DAYS) * len(FUNDS)
    return bars, pd.Series(prices).unstack(), plan


def _at(day, hour):
    return datetime.combine(day, time(hour))


def walked_equity(bars, plan, slippage_bps, commission_bps):
    targets = {
        day: {
            symbol: Target(day - timedelta(days=1), weight, rank, 1e12)
            for rank, (symbol, weight) in enumerate(weights.items(), start=1)
        }
        for day, weights in plan.items()
    }
    rebalances = [Rebalance(0, day, len(FUNDS)) for day in plan]
    parameters = Parameters(
        strategy="rotation",
        pool="A_SHARE",
        target_capital=CAPITAL,
        start_funds=len(WEIGHTS),
        max_single_weight=1.0,
        max_sector_weight=1.0,
        max_adv_pct=1.0,
        enforce_adv=True,
        carry_over=True,
        min_weight_change=0.0,
        slippage_bps=slippage_bps,
        commission_bps=commission_bps,
        min_commission_cny=0.0,
        lot_size=1e-9,
    )
    ledger = walk(bars, DAYS, rebalances, {0: targets}, parameters)
    assert not [entry for entry in ledger if entry.kind == "rejected"]
    return {entry.trade_date: entry.equity for entry in ledger if entry.kind == "session"}


def bt_equity(prices, algos, commissions=None):
    strategy = bt.Strategy("rotation", algos, children=[bt.Security(symbol) for symbol in FUNDS])
    test = bt.Backtest(
        strategy,
        prices,
        initial_capital=CAPITAL,
        commissions=commissions,
        integer_positions=False,
        progress_bar=False,
    )
    test.run()
    values = test.strategy.values
    return {day: values[_at(day, 15)] for day in DAYS[REBALANCES[0] :]}


class TradeToShares(bt.Algo):
    """Trade to weight × equity at the open / price, leaving cash and equity to bt.

    bt's own Rebalance takes the costs of a purchase out of its size; the walk does not.
    """

    def __init__(self, plan):
        super().__init__()
        self.plan = {_at(day, 9): weights for day, weights in plan.items()}

    def __call__(self, target):
        weights = self.plan.get(target.now.to_pydatetime())
        if weights is not None:
            equity = target.value
            for symbol, security in target.children.items():
                shares = weights.get(symbol, 0) * equity / security.price
                security.transact(shares - security.position)
        return True


def test_without_costs_equity_equals_bts_rebalancing(market):
    bars, prices, plan = market
    weights = pd.DataFrame({_at(day, 9): row for day, row in plan.items()}).T
    algos = [bt.algos.WeighTarget(weights), bt.algos.Rebalance()]
    expected = bt_equity(prices, algos)
    assert walked_equity(bars, plan, 0.0, 0.0) == pytest.approx(expected, rel=1e-13)


def test_with_slippage_and_commission_equity_equals_bts_accounts(market):
    bars, prices, plan = market

    def costs(shares, price):
        value = abs(shares) * price
        fill = value * (1 + np.sign(shares) * 0.001)
        return 0.001 * value + 0.00025 * fill

    expected = bt_equity(prices, [TradeToShares(plan)], costs)
    equity = walked_equity(bars, plan, 10.0, 2.5)
    assert equity == pytest.approx(expected, rel=1e-13)
    free = walked_equity(bars, plan, 0.0, 0.0)
    assert equity[DAYS[-1]] < free[DAYS[-1]] * (1 - 1e-3)


def test_inverse_volatility_without_limits_equals_bt(market):
    """The weights are those of ffn, bt's library, from the previous closes."""
    bars, prices, _ = market
    closes = prices[prices.index.hour == 15]
    closes.index = [at.date() for at in closes.index]
    plan, weights = {}, {}
    for n in REBALANCES:
        if n < LOOKBACK:
            continue
        returns = closes.iloc[n - LOOKBACK : n].pct_change().dropna()
        volatilities = returns.std(ddof=1).to_dict()
        shares = redistribute(
            "inverse_volatility", list(volatilities.values()), [None] * len(FUNDS), Limits(1.0, 1.0)
        )
        plan[DAYS[n]] = dict(zip(volatilities, shares, strict=True))
        weights[_at(DAYS[n], 9)] = ffn.calc_inv_vol_weights(returns)
    algos = [bt.algos.WeighTarget(pd.DataFrame(weights).T), bt.algos.Rebalance()]
    expected = bt_equity(prices, algos)
    equity = walked_equity(bars, plan, 0.0, 0.0)
    assert len(plan) > 10
    assert len({round(weight, 3) for weight in next(iter(plan.values())).values()}) > 2
    assert equity == pytest.approx({day: expected[day] for day in equity}, rel=1e-10)
