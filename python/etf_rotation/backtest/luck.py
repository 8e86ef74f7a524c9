"""The luck of the rebalance date: every strategy, started at each offset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import groupby
from operator import add
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etf_rotation.backtest.accounts import Accounts, Parameters, Selection, Target
from etf_rotation.backtest.evidence import sharpe_ratio
from etf_rotation.backtest.ledger import PARAMETERS_SCHEMA
from etf_rotation.backtest.marks import equity
from etf_rotation.backtest.prices import BARS_SCHEMA, ENDINGS_SCHEMA, Prices, read_prices
from etf_rotation.contracts import FundKey, read_checked, schema_of
from etf_rotation.signals.selection import (
    KEPT,
    SELECTED,
    Candidate,
    Rules,
    StrategyKey,
    choose,
    first_sessions,
    raw_value,
    weigh,
)

# Offsets of a period, and how far apart its tranches are, in sessions.
OFFSETS = {"monthly": 20, "weekly": 5}
STEPS = {"monthly": 5, "weekly": 1}
PERIODS = {"monthly": "month", "weekly": "week"}


class Rhythm(NamedTuple):
    """When a strategy is rebalanced."""

    rebalance: str
    rebalance_offset: int


class _PoolSession(NamedTuple):
    pool: str
    session: int  # from 0


class Numbers(NamedTuple):
    """The number of a session in its month and week, from 0, and the lengths of these."""

    session_of_month: int
    sessions_in_month: int
    session_of_week: int
    sessions_in_week: int


class Fund(NamedTuple):
    """An eligible fund before a session; meaning and units as in `signals.selection`."""

    session: int  # of the pool, from 0
    symbol: str
    rank: int
    adv20: float
    raw_value: float | None
    category: str
    is_broad: bool


class Luck(NamedTuple):
    """A strategy's figures at an offset, on the sessions that all offsets have."""

    strategy: str
    pool: str
    offset: int
    sessions: int
    annual_return: float | None
    sharpe: float | None
    is_own: bool


class Settings(NamedTuple):
    """As in the table metrics; on fewer than `min_sessions` sessions figures are None."""

    sessions_per_year: int
    risk_free_rate: float
    min_sessions: int


class Tranche(NamedTuple):
    """A tranche: the number of its sessions in their period, and its first rebalance."""

    number: int
    first: int | None


STRATEGIES_SCHEMA = schema_of(StrategyKey, Rules, Rhythm)
SESSIONS_SCHEMA = schema_of(_PoolSession, Numbers)
FUNDS_SCHEMA = schema_of(StrategyKey, Fund)
LUCK_SCHEMA = schema_of(Luck)


class Strategy:
    """The selections of a strategy's tranches in a pool, at any offset.

    Parameters
    ----------
    prices : Prices
        Of the pool.
    funds : mapping of int to sequence of (Candidate, float)
        The eligible funds with their ADV20, best first, by the position of the session.
    numbers : mapping of int to sequence of int
        The positions of the sessions on which a tranche of that number is rebalanced.
    rules, rhythm, parameters
        Of the strategy in the pool.
    """

    def __init__(
        self,
        prices: Prices,
        funds: Mapping[int, Sequence[tuple[Candidate, float]]],
        numbers: Mapping[int, Sequence[int]],
        rules: Rules,
        rhythm: Rhythm,
        parameters: Parameters,
    ) -> None:
        self.prices, self.funds, self.numbers = prices, funds, numbers
        self.rules, self.rhythm, self.parameters = rules, rhythm, parameters
        self.columns = {symbol: n for n, symbol in enumerate(prices.symbols)}
        self._chosen: dict[tuple[int, frozenset[str]], Selection] = {}

    def tranches_by_offset(self) -> dict[int, list[Tranche]]:
        """Return the tranches of each offset; nothing if one of the offsets never begins."""
        step, count = STEPS[self.rhythm.rebalance], OFFSETS[self.rhythm.rebalance]
        eligible = {
            number: {session: len(self.funds.get(session, ())) for session in sessions}
            for number, sessions in self.numbers.items()
        }
        tranches = {}
        for offset in range(count):
            numbers = [(offset + step * n) % count for n in range(self.rules.tranches)]
            firsts = first_sessions([eligible[n] for n in numbers], self.rules.start_funds)
            if firsts[0] is None:
                return {}
            tranches[offset] = list(map(Tranche, numbers, firsts))
        return tranches

    def schedule(self, tranche: Tranche) -> dict[int, Selection]:
        """Return the selections of a tranche, from its first session on."""
        schedule: dict[int, Selection] = {}
        previous = frozenset[str]()
        for session in self.numbers[tranche.number] if tranche.first is not None else ():
            if session >= tranche.first:
                schedule[session] = self._chosen_from(session, previous)
                if self.rules.keep_rank > 1:
                    previous = frozenset(self.prices.symbols[fund] for fund in schedule[session])
        return schedule

    def _chosen_from(self, session: int, previous: frozenset[str]) -> Selection:
        key = session, previous
        if key not in self._chosen:
            self._chosen[key] = self._choose(session, previous)
        return self._chosen[key]

    def _choose(self, session: int, previous: frozenset[str]) -> Selection:
        funds = self.funds.get(session, ())
        ranking = [fund for fund, _ in funds]
        reasons = choose(ranking, self.rules, previous)
        taken = [own for own in funds if reasons[own[0].symbol] in (SELECTED, KEPT)]
        weights = weigh([fund for fund, _ in taken], self.rules)
        as_of_date = self.prices.dates[session - 1]
        return {
            self.columns[fund.symbol]: Target(
                as_of_date,
                weight,
                fund.rank,
                adv20,
                raw_value(fund, self.rules),
                None if fund.is_broad else fund.category,
            )
            for (fund, adv20), weight in zip(taken, weights, strict=True)
        }


def simulate_offsets(strategies: Sequence[Strategy]) -> list[dict[int, tuple[int, np.ndarray]]]:
    """Return for each strategy the first session and the equity from it on, by offset.

    All strategies are of one pool. A tranche depends only on its number and its first
    session, so offsets share the accounts of their tranches.
    """
    by_offset = [own.tranches_by_offset() for own in strategies]
    accounts = [
        (n, tranche)
        for n, offsets in enumerate(by_offset)
        for tranche in dict.fromkeys(one for own in offsets.values() for one in own)
    ]
    trail = Accounts(
        strategies[0].prices,
        [strategies[n].parameters for n, _ in accounts],
        [
            strategies[n].parameters.target_capital / strategies[n].rules.tranches
            for n, _ in accounts
        ],
        [strategies[n].schedule(tranche) for n, tranche in accounts],
    ).run()
    equities = {own: equity(trail, n, strategies[0].prices) for n, own in enumerate(accounts)}
    return [
        {
            offset: (
                own[0].first,
                reduce(add, (equities[n, tranche] for tranche in own))[own[0].first :],
            )
            for offset, own in offsets.items()
        }
        for n, offsets in enumerate(by_offset)
    ]


def figures_by_offset(
    curves: Mapping[int, tuple[int, np.ndarray]], capital: float, settings: Settings
) -> list[tuple[int, int, float | None, float | None]]:
    """Return offset, common sessions, annual return and Sharpe ratio of each curve."""
    rows = []
    first = max((begin for begin, _ in curves.values()), default=0)
    for offset, (begin, closes) in curves.items():
        levels = np.concatenate([[capital], closes])[first - begin :]
        count = len(levels) - 1
        figures: tuple[float | None, float | None] = (None, None)
        if count >= settings.min_sessions:
            daily_rate = settings.risk_free_rate / settings.sessions_per_year
            excess = levels[1:] / levels[:-1] - 1 - daily_rate
            growth = float(levels[-1] / levels[0])
            figures = (
                growth ** (settings.sessions_per_year / count) - 1,
                sharpe_ratio(excess, settings.sessions_per_year),
            )
        rows.append((offset, count, *figures))
    return rows


def run(
    bars: pa.Table,
    endings: pa.Table,
    dates: pa.Table,
    sessions: pa.Table,
    funds: pa.Table,
    strategies: pa.Table,
    parameters: pa.Table,
    settings: Settings,
) -> pa.Table:
    """Simulate every monthly or weekly strategy at each offset.

    Parameters
    ----------
    bars, endings, dates, parameters : pyarrow.Table
        As in `ledger.run`, `dates` being its sessions.
    sessions, funds, strategies : pyarrow.Table
        Columns of `SESSIONS_SCHEMA`, `FUNDS_SCHEMA` and `STRATEGIES_SCHEMA`, in any order; a
        strategy without parameters is left out.
    settings : Settings
        Of the metrics.

    Returns
    -------
    pyarrow.Table
        `LUCK_SCHEMA`, sorted by strategy, pool and offset.

    Raises
    ------
    ValueError
        A missing column, a null or infinite value, a duplicate row.

    Notes
    -----
    Source: "Is it skill?" in the strategy's specification.
    """
    key = StrategyKey._fields
    bars = read_checked("bars", bars, BARS_SCHEMA, FundKey._fields)
    endings = read_checked("endings", endings, ENDINGS_SCHEMA, FundKey._fields)
    sessions = read_checked("sessions", sessions, SESSIONS_SCHEMA, _PoolSession._fields)
    strategies = read_checked("strategies", strategies, STRATEGIES_SCHEMA, key)
    parameters = read_checked("parameters", parameters, PARAMETERS_SCHEMA, key)
    parameters_of = {(row["strategy"], row["pool"]): row for row in parameters.to_pylist()}
    rows = []
    # A pool without any bar has no parameters, and no rows.
    with_bars = [
        row for row in strategies.to_pylist() if (row["strategy"], row["pool"]) in parameters_of
    ]
    by_pool = sorted(with_bars, key=lambda row: row["pool"])
    for pool, own_rows in groupby(by_pool, key=lambda row: row["pool"]):
        is_of_pool = pc.field("pool") == pool
        days = dates.filter(is_of_pool).sort_by("trade_date")["trade_date"].to_pylist()
        prices = read_prices(bars.filter(is_of_pool), days, endings.filter(is_of_pool))
        own_sessions, own_funds = sessions.filter(is_of_pool), funds.filter(is_of_pool)
        own = [
            _strategy(
                row,
                prices,
                own_sessions,
                own_funds.filter(pc.field("strategy") == row["strategy"]),
                Parameters(**parameters_of[row["strategy"], pool]),
            )
            for row in own_rows
            if row["rebalance"] in OFFSETS
        ]
        for one, curves in zip(own, simulate_offsets(own) if own else (), strict=True):
            capital = one.parameters.target_capital
            for figures in figures_by_offset(curves, capital, settings):
                is_own = figures[0] == one.rhythm.rebalance_offset
                rows.append(Luck(one.parameters.strategy, pool, *figures, is_own=is_own))
    table = pa.Table.from_pylist([row._asdict() for row in rows], schema=LUCK_SCHEMA)
    return table.sort_by([(name, "ascending") for name in (*key, "offset")])


def _strategy(
    row: dict, prices: Prices, sessions: pa.Table, funds: pa.Table, parameters: Parameters
) -> Strategy:
    rhythm = Rhythm(*(row[name] for name in Rhythm._fields))
    by_session = _by_session(funds)
    return Strategy(
        prices,
        by_session,
        _numbers(sessions, rhythm.rebalance, min(by_session, default=len(prices.dates))),
        Rules(*(row[name] for name in Rules._fields)),
        rhythm,
        parameters,
    )


def _by_session(funds: pa.Table) -> dict[int, list[tuple[Candidate, float]]]:
    session, rank = (funds[name].to_numpy() for name in ("session", "rank"))
    funds = funds.take(np.lexsort((rank, session)))
    by_session: dict[int, list[tuple[Candidate, float]]] = {}
    columns = (funds[name].to_pylist() for name in Fund._fields)
    for place, symbol, own_rank, adv20, value, category, is_broad in zip(*columns, strict=True):
        candidate = Candidate(symbol, own_rank, None, value, category, is_broad)
        by_session.setdefault(place, []).append((candidate, adv20))
    return by_session


def _numbers(sessions: pa.Table, rebalance: str, first: int) -> dict[int, list[int]]:
    """Return the positions of the sessions of each number, from `first` on."""
    period = PERIODS[rebalance]
    own = sessions[f"session_of_{period}"].to_numpy()
    last = sessions[f"sessions_in_{period}"].to_numpy() - 1
    places = sessions["session"].to_numpy()
    return {
        number: places[(own == np.minimum(number, last)) & (places >= first)].tolist()
        for number in range(OFFSETS[rebalance])
    }
