"""Selection and weights of every strategy, from the specification alone.

Plain Python over dictionaries, slow and short; no module of the package is imported. It
starts from the build's bars, scores and volatilities, which have references of their
own, and from the seeds. The exchange's sessions come from exchange-calendars, never
from the build.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

import exchange_calendars
import pandas as pd

MIN_ADV = 1_000_000
SHIPPED = {"rank_by_score", "rank_by_liquidity"}  # computed here; others are read from their view


def exact(number):
    """The shortest decimal of a float, as a fraction."""
    return Fraction(repr(float(number)))


# ---------- data


@dataclass
class Bar:
    open: float
    close: float
    adj: float
    limit_up: float
    limit_down: float


@dataclass
class Market:
    """One pool: bars by session and fund, and each fund's figures at the close."""

    sessions: list
    bars: dict = field(default_factory=lambda: defaultdict(dict))
    adv20: dict = field(default_factory=dict)
    score: dict = field(default_factory=dict)
    volatility: dict = field(default_factory=dict)  # by window, session and fund
    own: dict = field(default_factory=dict)  # score and raw weight by ranking, session and fund
    row_dates: dict = field(default_factory=lambda: defaultdict(set))


def load(connection):
    """Read markets by pool, funds by symbol, and the rows of the seeds as dictionaries."""

    def rows(query):
        frame = connection.execute(query).df()
        return frame.astype(object).where(frame.notna(), None).to_dict("records")

    funds = {fund["symbol"]: fund for fund in rows("from seeds.etf_pools")}
    pools = {pool["pool"]: pool for pool in rows("from seeds.pool_constraints")}
    limits = rows("from seeds.price_limits order by valid_from")
    bars = rows("from staging.stg_etf_daily order by symbol, trade_date")
    sessions = _exchange_sessions(bars)
    markets = {pool: Market(sessions) for pool in pools}
    amounts, before = defaultdict(list), {}
    for row in bars:
        market, symbol, day = markets[row["pool"]], row["symbol"], row["trade_date"]
        market.bars[day][symbol] = _bar(row, before.get(symbol), limits)
        amounts[symbol].append(row["amount"])
        if len(amounts[symbol]) >= 20:
            market.adv20[day, symbol] = math.fsum(amounts[symbol][-20:]) / 20
        market.row_dates[symbol].add(day)
        before[symbol] = row
    for row in rows("from staging.suspensions where kind <> 'no_row'"):
        markets[row["pool"]].row_dates[row["symbol"]].add(row["trade_date"])
    for row in rows("from signals.scores where score is not null"):
        markets[row["pool"]].score[row["as_of_date"], row["symbol"]] = row["score"]
    rules = rows("from seeds.strategies")
    for rule in rules:
        whole = ("top_n", "volatility_window", "rebalance_offset", "tranches")
        rule |= {name: None if rule[name] is None else int(rule[name]) for name in whole}
    for window in {rule["volatility_window"] for rule in rules}:
        value = f"volatility_{window}"
        for row in rows(f"select pool, as_of_date, symbol, {value} from signals.factor_panel"):
            key = window, row["as_of_date"], row["symbol"]
            markets[row["pool"]].volatility[key] = row[value]
    as_of = {day: before for before, day in pairwise(sessions)}
    for ranking in {rule["ranking"] for rule in rules} - SHIPPED:
        for row in rows(f"from strategies.{ranking}"):
            key = ranking, as_of[row["trade_date"]], row["symbol"]
            markets[row["pool"]].own[key] = row["score"], row.get("raw_weight")
    return markets, funds, pools, rules


def _exchange_sessions(bars):
    first = min(row["trade_date"] for row in bars).replace(day=1) - pd.Timedelta(days=7)
    last = max(row["trade_date"] for row in bars) + pd.Timedelta(days=70)
    return list(exchange_calendars.get_calendar("XSHG", start=first, end=last).sessions)


def _bar(row, previous, limits):
    limit = Fraction(1, 10)
    for entry in limits:
        if entry["symbol"] == row["symbol"] and entry["valid_from"] <= row["trade_date"]:
            limit = exact(entry["price_limit"])
    reference = row["pre_close"]
    if reference is None and previous is not None:
        reference = previous["close"]
    up = down = None
    if reference is not None:
        # Rounded half up to a tick of 0.001.
        up, down = (
            math.floor(exact(reference) * factor * 1000 + Fraction(1, 2)) / 1000
            for factor in (1 + limit, 1 - limit)
        )
    return Bar(row["open"], row["close"], row["adj"], up, down)


# ---------- rebalance sessions and selection


def rebalance_sessions(sessions, rule, tranche):
    """Sessions of one tranche: the n-th of each month or week, or the last of a shorter one."""
    if rule["rebalance"] == "daily":
        return set(sessions)
    is_monthly = rule["rebalance"] == "monthly"
    periods = defaultdict(list)
    for day in sessions:
        periods[(day.year, day.month) if is_monthly else day.isocalendar()[:2]].append(day)
    step, length = (5, 20) if is_monthly else (1, 5)
    number = (rule["rebalance_offset"] + step * tranche) % length
    return {days[min(number, len(days) - 1)] for days in periods.values()}


def eligible_funds(market, rule, as_of):
    """Eligible funds in the order of the ranking, ties by symbol."""
    ranked = []
    for symbol in market.bars[as_of]:
        adv20 = market.adv20.get((as_of, symbol))
        value, _ = market.own.get((rule["ranking"], as_of, symbol), (None, None))
        if rule["ranking"] == "rank_by_score":
            value = market.score.get((as_of, symbol))
        elif rule["ranking"] == "rank_by_liquidity":
            value = adv20
        if value is None or adv20 is None or adv20 < MIN_ADV:
            continue
        volatility = market.volatility.get((rule["volatility_window"], as_of, symbol))
        if rule["weighting"] == "inverse_volatility" and not (volatility or 0) > 0:
            continue
        ranked.append((-value, symbol))
    return [symbol for _, symbol in sorted(ranked)]


def select(ranked, remembered, rule, pool, funds):
    """Selected funds with the reason, in the order in which they were taken."""
    top_n = rule["top_n"]
    if top_n is None:
        return dict.fromkeys(ranked, "selected")
    stays = max(top_n, min(exact(rule["keep_rank"]) * top_n, Fraction(len(ranked), 2)))
    kept = []
    if rule["keep_rank"] > 1:
        kept = [s for rank, s in enumerate(ranked, 1) if s in remembered and rank <= stays]
    counted = min(Fraction(1, int(top_n)), exact(pool["max_single_weight"]))
    taken, n_broad, of_category = {}, 0, defaultdict(int)
    for symbol in kept + [s for s in ranked if s not in kept]:
        if len(taken) == top_n:
            break
        fund = funds[symbol]
        if fund["is_broad"]:
            if n_broad + 1 > pool["max_broad_funds"]:
                continue
            n_broad += 1
        else:
            number = of_category[fund["category"]] + 1
            if number * counted > exact(pool["max_sector_weight"]):
                continue
            of_category[fund["category"]] = number
        taken[symbol] = "kept" if symbol in kept else "selected"
    return taken


# ---------- weights


def share_out(amount, raw, bounds):
    """Repeat: spread the rest in proportion to raw weights, fix funds above their bound."""
    shares = dict.fromkeys(raw, Fraction(0))
    free = {symbol for symbol, weight in raw.items() if weight > 0}
    left = amount
    while free:
        total = sum(raw[symbol] for symbol in free)
        spread = {symbol: left * raw[symbol] / total for symbol in free}
        above = {symbol for symbol in free if spread[symbol] > bounds[symbol]}
        if not above:
            return shares | spread
        for symbol in above:
            shares[symbol] = bounds[symbol]
            left -= bounds[symbol]
        free -= above
    return shares


def weigh(symbols, as_of, market, rule, pool, funds, caps=None):
    """Weights of the selected funds, with the ADV caps of a tranche where given."""
    single = exact(pool["max_single_weight"])
    if not rule["redistribute"]:
        weight = min(1 / rule["top_n"], pool["max_single_weight"])
        return {s: min(weight, float(caps[s])) if caps else weight for s in symbols}
    raw = dict.fromkeys(symbols, Fraction(1))
    if rule["weighting"] == "inverse_volatility":
        raw = {
            s: 1 / exact(market.volatility[rule["volatility_window"], as_of, s]) for s in symbols
        }
    if rule["weighting"] == "own":
        raw = {s: exact(market.own[rule["ranking"], as_of, s][1]) for s in symbols}
    bounds = {s: min(single, caps[s]) if caps else single for s in symbols}
    categories = defaultdict(list)
    for symbol in symbols:
        if not funds[symbol]["is_broad"]:
            categories[funds[symbol]["category"]].append(symbol)
    for members in categories.values():
        part = share_out(exact(pool["max_sector_weight"]), {s: raw[s] for s in members}, bounds)
        bounds |= {s: min(bounds[s], part[s]) for s in members}
    total = Fraction(1)
    if rule["weighting"] == "own":
        total = min(total, sum(raw.values()))
    shares = share_out(total, raw, bounds)
    return {s: float(Fraction(math.floor(share * 10**12), 10**12)) for s, share in shares.items()}


# ---------- from session to session


@dataclass
class Plan:
    """Rebalances of one strategy in one pool, by tranche, and their start."""

    sessions: list  # sessions of the data and the next one
    previous: dict
    ranked: dict  # eligible funds by session
    firsts: list  # the first rebalance of each tranche
    selected: list  # by tranche and session: reasons by fund
    weights: list  # the same: weights by fund, before the ADV cap


def plan(market, rule, pool, funds, start_funds):
    """Select and weigh the funds of every rebalance.

    `start_funds` is the number of eligible funds with which an account begins.
    """
    traded = [day for day, bars in market.bars.items() if bars]
    previous = {day: before for before, day in pairwise(market.sessions)}
    first, last = min(traded), max(traded)
    days = [day for day in market.sessions[1:] if first < day and previous[day] <= last]
    ranked = {day: eligible_funds(market, rule, previous[day]) for day in days}
    own = [rebalance_sessions(market.sessions, rule, j) for j in range(int(rule["tranches"]))]
    rebalances = [[day for day in days if day in sessions] for sessions in own]
    enough = [[d for d in days if len(ranked[d]) >= start_funds] for days in rebalances]
    begin = min(enough[0], default=max(days) + pd.Timedelta(days=1))
    firsts = [min((d for d in days if d >= begin), default=None) for days in enough]
    selected = [
        _remembering(market, rule, pool, funds, (days, first, ranked, previous))
        for days, first in zip(rebalances, firsts, strict=True)
    ]
    weights = [
        {d: weigh(taken, previous[d], market, rule, pool, funds) for d, taken in own.items()}
        for own in selected
    ]
    return Plan(days, previous, ranked, firsts, selected, weights)


def _remembering(market, rule, pool, funds, calendar):
    """Selections of one tranche, which remembers those since its own first session."""
    days, first, ranked, previous = calendar
    selected, remembered = {}, set()
    for day in days:
        known = ranked[day]
        if rule["weighting"] == "own":
            own = (market.own[rule["ranking"], previous[day], symbol] for symbol in known)
            known = [s for s, (_, raw) in zip(known, own, strict=True) if raw is not None]
        selected[day] = select(known, remembered, rule, pool, funds)
        if first is not None and day >= first:
            remembered = set(selected[day])
    return selected


def start_funds(rule, rules):
    """The strategy's top_n, else that of the pool's live strategy, else two."""
    (live,) = [r for r in rules if r["pool"] == rule["pool"] and r["is_live"]]
    return int(rule["top_n"] or live["top_n"] or 2)
