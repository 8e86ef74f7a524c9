"""The accounts of every strategy, from the specification alone.

What `reference_portfolio` selects is traded in plain Python: no module of the package
is imported.
"""

import math
from collections import defaultdict
from dataclasses import dataclass

from reference_portfolio import exact, weigh

SLIPPAGE, COMMISSION, MIN_COMMISSION, LOT = 0.001, 0.00025, 5.0, 100
ENDED_AFTER = 60


@dataclass
class Order:
    symbol: str
    side: str
    target: float
    reason: str


class Account:
    """Cash and shares of one tranche."""

    def __init__(self, capital, tranche, rule, ranked, books):
        self.cash, self.equity, self.tranche = capital, capital, tranche
        self.rule, self.ranked, self.books = rule, ranked, books
        self.shares, self.last_bar, self.orders = {}, {}, []

    def price(self, symbol, bars, at):
        return getattr(bars[symbol], at) if symbol in bars else self.last_bar[symbol].close

    def worth(self, bars, at):
        return sum(n * self.price(s, bars, at) for s, n in self.shares.items())

    def corporate_actions(self, bars):
        for symbol, bar in bars.items():
            if symbol in self.last_bar:
                ratio = bar.adj / self.last_bar[symbol].adj
                if symbol in self.shares:
                    self.shares[symbol] *= ratio
                for order in self.orders:
                    if order.symbol == symbol:
                        order.target *= ratio

    def pay_out(self, day, ended):
        for symbol in sorted(ended & self.shares.keys()):
            price, shares = self.last_bar[symbol].close, self.shares.pop(symbol)
            self.cash += shares * price
            self.book(day, symbol, "sell", shares, price, 0.0, "ended")
        self.orders = [order for order in self.orders if order.symbol not in ended]

    def rebalance(self, day, bars, weights):
        equity = self.cash + self.worth(bars, "open")
        sells, buys = [], []
        for symbol in self.shares.keys() | weights.keys():
            held, price = self.shares.get(symbol, 0.0), self.price(symbol, bars, "open")
            weight = weights.get(symbol, 0.0)
            target = math.floor(weight * equity / price / LOT + 1e-9) * LOT
            row = (weight, equity, self.equity, price, target)
            self.books["rebalances"][day, self.tranche, symbol] = row
            if target > 0 and abs(target - held) * price <= (
                self.rule["min_weight_change"] * equity
            ):
                continue
            if target < held:
                reason = "reduced" if symbol in weights else "left_selection"
                sells.append(Order(symbol, "sell", target, reason))
            elif target > held:
                buys.append(Order(symbol, "buy", target, "increased" if held else "entered"))
        sells.sort(key=lambda order: order.symbol)
        buys.sort(key=lambda order: self.ranked[day].index(order.symbol))
        self.orders = sells + buys

    def trade(self, day, bars):
        self.orders = [order for order in self.orders if not self.is_done(day, bars, order)]

    def is_done(self, day, bars, order):  # noqa: PLR0911
        held = self.shares.get(order.symbol, 0.0)
        shares = held - order.target
        if order.side == "buy":
            shares = math.floor((order.target - held) / LOT + 1e-9) * LOT
        if shares <= 0:
            return True
        bar = bars.get(order.symbol)
        if bar is None:
            return self.reject(day, order, shares, "suspended")
        if order.side == "sell":
            if bar.limit_down is not None and bar.open <= bar.limit_down:
                return self.reject(day, order, shares, "limit_down")
            return self.fill(day, order, shares, bar.open * (1 - SLIPPAGE), bar.open)
        if bar.limit_up is not None and bar.open >= bar.limit_up:
            return self.reject(day, order, shares, "limit_up")
        price = bar.open * (1 + SLIPPAGE)
        wanted = shares
        while shares and shares * price + max(MIN_COMMISSION, COMMISSION * shares * price) > (
            self.cash
        ):
            shares -= LOT
        if not shares:
            return self.reject(day, order, wanted, "cash")
        return self.fill(day, order, shares, price, bar.open)

    def reject(self, day, order, shares, reason):
        row = (day, self.tranche, order.symbol, order.side, shares, reason)
        self.books["rejected_orders"].append(row)
        return False

    def fill(self, day, order, shares, price, open_price):
        commission = max(MIN_COMMISSION, COMMISSION * shares * price)
        sign = 1 if order.side == "buy" else -1
        self.cash -= sign * shares * price + commission
        held = self.shares.pop(order.symbol, 0.0) + sign * shares
        if order.side == "buy" or order.target > 0:
            self.shares[order.symbol] = held
        self.book(day, order.symbol, order.side, shares, price, commission, order.reason)
        return True

    def book(self, day, symbol, side, shares, price, commission, reason):
        row = (day, self.tranche, symbol, side, shares, price, commission, reason)
        self.books["trades"].append(row)


def walk(market, rule, pool, funds, plan):
    """Trade a plan; return rebalances and equity by session, and trades and rejections in order."""
    books = defaultdict(dict) | {"trades": [], "rejected_orders": []}
    count = int(rule["tranches"])
    capital = pool["target_capital"] / count
    accounts = [Account(capital, j, rule, plan.ranked, books) for j in range(count)]
    ended = endings(market)
    for day in plan.sessions[:-1]:
        bars = market.bars.get(day, {})
        for account in accounts:
            j = account.tranche
            account.corporate_actions(bars)
            account.pay_out(day, ended[day])
            if plan.firsts[j] is not None and day >= plan.firsts[j] and day in plan.selected[j]:
                as_of = plan.previous[day]
                caps = {
                    symbol: exact(pool["max_adv_pct"])
                    * exact(market.adv20[as_of, symbol])
                    / count
                    / exact(account.equity)
                    for symbol in plan.selected[j][day]
                }
                weights = weigh(caps, as_of, market, rule, pool, funds, caps)
                account.rebalance(day, bars, weights)
            account.trade(day, bars)
            account.last_bar |= bars
            holdings = account.worth(bars, "close")
            account.equity = account.cash + holdings
            if plan.firsts[0] is not None and day >= plan.firsts[0]:
                books["tranches_daily"][day, j] = (account.equity, account.cash, holdings)
    return books


def endings(market):
    """Funds by the session on which they end after max_no_row_sessions without a row."""
    number = {day: n for n, day in enumerate(market.sessions)}
    ended = defaultdict(set)
    for symbol, dates in market.row_dates.items():
        known = sorted(number[d] for d in dates)
        for n, following in zip(known, [*known[1:], len(number)], strict=True):
            if n + ENDED_AFTER < following:
                ended[market.sessions[n + ENDED_AFTER]].add(symbol)
    return ended
