"""The simulation against akquant, an independent engine that receives its orders.

Whole lots, slippage and the minimum commission are akquant's. No fund has a corporate
action, for akquant knows none, and none opens at a limit.
"""

from datetime import date, timedelta

import akquant
import numpy as np
import pandas as pd
import pytest
from akquant.backtest.fill_mode import NextOpen
from etf_rotation.backtest.ledger import Rebalance, walk
from etf_rotation.backtest.prices import Bar
from etf_rotation.backtest.records import Parameters, Target

FUNDS = ["510001", "510002", "510003", "510004", "510005"]
DAYS = [date(2021, 3, 1) + timedelta(days=n) for n in range(250)]
CAPITAL, SLIPPAGE, COMMISSION, MIN_COMMISSION, LOT = 150_000.0, 0.001, 0.00025, 5.0, 100
REBALANCES = range(3, 250, 10)
WEIGHTS = [0.4, 0.3, 0.25]


@pytest.fixture(scope="module")
def prices():
    """Opens and closes in ticks of 0.001."""
    rng = np.random.default_rng(11)
    frames = {}
    for symbol in FUNDS:
        close = 2 * np.exp(np.cumsum(rng.normal(0, 0.015, len(DAYS))))
        open_ = close * np.exp(rng.normal(0, 0.008, len(DAYS)))
        frame = pd.DataFrame({"open": open_, "close": close}).round(3)
        frame["high"] = frame[["open", "close"]].max(axis=1)
        frame["low"] = frame[["open", "close"]].min(axis=1)
        frames[symbol] = frame.assign(date=pd.to_datetime(DAYS), volume=1e12, symbol=symbol)
    return frames


@pytest.fixture(scope="module")
def ledger(prices):
    rng = np.random.default_rng(12)
    bars = {day: {} for day in DAYS}
    for symbol, frame in prices.items():
        for day, open_, close in zip(DAYS, frame["open"], frame["close"], strict=True):
            bars[day][symbol] = Bar(float(open_), float(close), 1.0, None, None)
    plan = {
        DAYS[n]: {
            symbol: Target(DAYS[n - 1], weight, rank, 1e12)
            for rank, (symbol, weight) in enumerate(
                zip(rng.permutation(FUNDS), WEIGHTS, strict=False), start=1
            )
        }
        for n in REBALANCES
    }
    parameters = Parameters(
        strategy="rotation",
        pool="A_SHARE",
        target_capital=CAPITAL,
        start_funds=1,
        tranches=1,
        weighting="equal",
        redistribute=False,
        max_single_weight=1.0,
        max_sector_weight=1.0,
        max_adv_pct=1.0,
        enforce_adv=True,
        carry_over=True,
        min_weight_change=0.0,
        slippage_bps=SLIPPAGE * 1e4,
        commission_bps=COMMISSION * 1e4,
        min_commission_cny=MIN_COMMISSION,
        lot_size=LOT,
    )
    rebalances = [Rebalance(0, day, len(FUNDS)) for day in plan]
    return walk(bars, DAYS, rebalances, {0: plan}, parameters)


@pytest.fixture(scope="module")
def result(prices, ledger):
    """Send each order on the session before its fill."""
    orders = {}
    for entry in ledger:
        if entry.kind == "trade":
            eve = DAYS[DAYS.index(entry.trade_date) - 1]
            orders[eve, entry.symbol] = (entry.side, entry.shares)

    class Given(akquant.Strategy):
        def on_bar(self, bar):
            day = pd.Timestamp(bar.timestamp, tz="UTC").tz_convert("Asia/Shanghai").date()
            side, shares = orders.get((day, bar.symbol), (None, 0))
            if side:
                {"buy": self.buy, "sell": self.sell}[side](bar.symbol, shares)

    return akquant.run_backtest(
        data=prices,
        strategy=Given,
        symbols=FUNDS,
        initial_cash=CAPITAL,
        commission_rate=COMMISSION,
        min_commission=MIN_COMMISSION,
        slippage={"type": "percent", "value": SLIPPAGE},
        lot_size=LOT,
        fill_policy=NextOpen(),
        volume_limit_pct=1.0,
        show_progress=False,
        risk_config={"check_cash": False, "safety_margin": 0.0},
    )


def test_every_fill_has_akquants_price_and_commission(ledger, result):
    fills = {
        (at.tz_convert("Asia/Shanghai").date(), symbol): (side, shares, price, commission)
        for at, symbol, side, shares, price, commission in result.executions_df[
            ["timestamp", "symbol", "side", "quantity", "price", "commission"]
        ].itertuples(index=False)
    }
    trades = {
        (e.trade_date, e.symbol): (e.side, e.shares, e.price, e.commission)
        for e in ledger
        if e.kind == "trade"
    }
    assert fills.keys() == trades.keys()
    assert len(trades) > 60
    for key, (side, *amounts) in trades.items():
        assert fills[key][0] == side
        assert fills[key][1:] == pytest.approx(tuple(amounts), rel=1e-13)
    commissions = [commission for *_, commission in trades.values()]
    assert min(commissions) == MIN_COMMISSION < max(commissions)


def test_equity_at_every_close_equals_akquants(ledger, result):
    curve = {
        at.tz_convert("Asia/Shanghai").date(): value for at, value in result.equity_curve.items()
    }
    # On a session of fills akquant holds buys back until the last sell, and notes
    # equity before.
    traded = {e.trade_date for e in ledger if e.kind == "trade"}
    equity = {
        e.trade_date: e.equity for e in ledger if e.kind == "session" and e.trade_date not in traded
    }
    assert len(equity) == len(DAYS) - REBALANCES[0] - len(REBALANCES)
    assert equity == pytest.approx({day: curve[day] for day in equity}, rel=1e-13)
