"""The luck of the rebalance date: every strategy, started at each offset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etf_rotation.backtest.accounts import Accounts
from etf_rotation.backtest.choices import OFFSETS, Choices, Eligible, Rhythm, Strategy
from etf_rotation.backtest.evidence import sharpe_ratio
from etf_rotation.backtest.marks import equity
from etf_rotation.backtest.prices import BARS_SCHEMA, ENDINGS_SCHEMA, Prices, read_prices
from etf_rotation.backtest.records import PARAMETERS_SCHEMA, Parameters, States
from etf_rotation.contracts import FundKey, read_checked, schema_of
from etf_rotation.signals.selection import Rules, StrategyKey
from etf_rotation.signals.weights import EQUAL

PERIODS = {"monthly": "month", "weekly": "week"}


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


STRATEGIES_SCHEMA = schema_of(StrategyKey, Rules, Rhythm)
SESSIONS_SCHEMA = schema_of(_PoolSession, Numbers)
FUNDS_SCHEMA = schema_of(StrategyKey, Fund)
LUCK_SCHEMA = schema_of(Luck)


def simulate_offsets(strategies: Sequence[Strategy]) -> list[dict[int, tuple[int, np.ndarray]]]:
    """Return for each strategy the first session and the equity from it on, by offset.

    A tranche depends only on its number and its first session, so offsets share the
    accounts of their tranches.
    """
    by_offset = [own.tranches_by_offset() for own in strategies]
    accounts = [
        (n, tranche)
        for n, offsets in enumerate(by_offset)
        for tranche in dict.fromkeys(one for own in offsets.values() for one in own)
    ]
    if not accounts:
        return [{} for _ in strategies]
    choices = Choices(strategies)
    parameters = [strategies[n].parameters for n, _ in accounts]
    trail = Accounts(
        {own.parameters.pool: own.prices for own in strategies},
        parameters,
        [own.target_capital / own.tranches for own in parameters],
        choices.choose(accounts),
        selections=choices,
        records=(States,),
    ).run()
    equities = {own: equity(trail, n, strategies[own[0]].prices) for n, own in enumerate(accounts)}
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
    eligible = _Funds(funds)
    own = []
    for pool in sorted(set(strategies["pool"].to_pylist())):
        is_of_pool = pc.field("pool") == pool
        days = dates.filter(is_of_pool).sort_by("trade_date")["trade_date"].to_pylist()
        prices = read_prices(bars.filter(is_of_pool), days, endings.filter(is_of_pool))
        own_sessions = sessions.filter(is_of_pool)
        for row in strategies.filter(is_of_pool).to_pylist():
            key_of_row = row["strategy"], pool
            # A pool without any bar has no parameters, and no rows.
            if row["rebalance"] in OFFSETS and key_of_row in parameters_of:
                rules = Rules(*(row[name] for name in Rules._fields))
                rhythm = Rhythm(*(row[name] for name in Rhythm._fields))
                found = eligible.of(*key_of_row, rules, prices)
                numbers = _numbers(own_sessions, rhythm.rebalance, found.counts)
                given = Parameters(**parameters_of[key_of_row])
                own.append(Strategy(prices, found, numbers, rules, rhythm, given))
    rows = []
    for one, curves in zip(own, simulate_offsets(own), strict=True):
        capital = one.parameters.target_capital
        for figures in figures_by_offset(curves, capital, settings):
            is_own = figures[0] == one.rhythm.rebalance_offset
            name, pool = one.parameters.strategy, one.parameters.pool
            rows.append(Luck(name, pool, *figures, is_own=is_own))
    table = pa.Table.from_pylist([row._asdict() for row in rows], schema=LUCK_SCHEMA)
    return table.sort_by([(name, "ascending") for name in (*key, "offset")])


class _Funds:
    """The eligible funds of all strategies and pools, as arrays."""

    def __init__(self, funds: pa.Table) -> None:
        self.table = funds
        self.codes, self.names = {}, {}
        for name in ("strategy", "pool", "symbol", "category"):
            encoded = funds[name].combine_chunks().dictionary_encode()
            self.codes[name] = encoded.indices.to_numpy()
            self.names[name] = encoded.dictionary.to_pylist()
        self.numbers = {
            name: funds[name].to_numpy() for name in ("session", "rank", "adv20", "raw_value")
        }
        self.is_broad = funds["is_broad"].to_numpy()

    def of(self, strategy: str, pool: str, rules: Rules, prices: Prices) -> Eligible:
        """Arrange the funds of a strategy in a pool by session."""
        rows = np.flatnonzero(self._is("strategy", strategy) & self._is("pool", pool))
        session, rank = self.numbers["session"][rows], self.numbers["rank"][rows]
        rows = rows[np.lexsort((rank, session))]
        session, rank, adv20, value = (own[rows] for own in self.numbers.values())
        column_of = {symbol: n for n, symbol in enumerate(prices.symbols)}
        columns = np.array([column_of.get(symbol, -1) for symbol in self.names["symbol"]], int)
        column = columns[self.codes["symbol"][rows]]
        counts = np.bincount(session, minlength=len(prices.dates))
        funds = np.zeros((len(counts), counts.max(initial=0)), int)
        begins = np.cumsum(counts) - counts
        funds[session, np.arange(len(rows)) - begins[session]] = column
        shape = len(counts), len(prices.symbols)
        ranks, adv20_of, values = np.zeros(shape, int), np.full(shape, np.nan), np.ones(shape)
        ranks[session, column], adv20_of[session, column] = rank, adv20
        if rules.weighting != EQUAL:
            values[session, column] = value
        sectors = np.full(shape[1], -1)
        category = np.where(self.is_broad[rows], -1, self.codes["category"][rows])
        sectors[column] = category
        return Eligible(funds, counts, ranks, adv20_of, values, sectors)

    def _is(self, column: str, name: str) -> np.ndarray:
        names = self.names[column]
        return self.codes[column] == (names.index(name) if name in names else -1)


def _numbers(sessions: pa.Table, rebalance: str, counts: np.ndarray) -> dict[int, np.ndarray]:
    """Return the sessions of each number, from the first with an eligible fund on."""
    first = np.argmax(counts > 0) if counts.any() else len(counts)
    period = PERIODS[rebalance]
    own = sessions[f"session_of_{period}"].to_numpy()
    last = sessions[f"sessions_in_{period}"].to_numpy() - 1
    places = sessions["session"].to_numpy()
    return {
        number: places[(own == np.minimum(number, last)) & (places >= first)]
        for number in range(OFFSETS[rebalance])
    }
