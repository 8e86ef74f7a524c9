"""The simulation as tables: fills, shares, cash and equity per strategy and pool."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from etf_rotation.backtest.accounts import Accounts
from etf_rotation.backtest.entries import LEDGER_SCHEMA, Entry, ledger_of
from etf_rotation.backtest.marks import add_up, mark
from etf_rotation.backtest.prices import (
    BARS_SCHEMA,
    ENDINGS_SCHEMA,
    Bar,
    Prices,
    fault,
    lay_out,
    read_prices,
)
from etf_rotation.backtest.records import PARAMETERS_SCHEMA, Parameters, Selection, Target
from etf_rotation.contracts import FundKey, read_checked, refuse, schema_of
from etf_rotation.signals.selection import StrategyKey, first_sessions


class Rebalance(NamedTuple):
    """A session at whose open a tranche is rebalanced."""

    tranche: int
    trade_date: date
    n_eligible: int


class _Session(NamedTuple):
    pool: str
    trade_date: date


class _TargetKey(NamedTuple):
    tranche: int
    trade_date: date
    symbol: str


SESSIONS_SCHEMA = schema_of(_Session)
REBALANCES_SCHEMA = schema_of(StrategyKey, Rebalance)
TARGETS_SCHEMA = schema_of(StrategyKey, _TargetKey, Target)

Targets = Mapping[int, Mapping[date, Mapping[str, Target]]]  # by tranche, session and symbol


class Simulation(NamedTuple):
    """A strategy in a pool; the fields are the arguments of `simulate`."""

    prices: Prices
    rebalances: Sequence[Rebalance]
    targets: Targets
    parameters: Parameters


def simulate(
    prices: Prices,
    rebalances: Sequence[Rebalance],
    targets: Targets,
    parameters: Parameters,
) -> pa.Table:
    """Simulate a strategy in a pool, session by session.

    Parameters
    ----------
    prices : Prices
        The pool's prices, from its first session to its last.
    rebalances : sequence of Rebalance
        Every rebalance of every tranche, in any order.
    targets : mapping of tranche to mapping of date to mapping of symbol to Target
        The selected funds of each rebalance. If none is selected, everything is sold.
    parameters : Parameters
        Of the strategy in the pool.

    Returns
    -------
    pyarrow.Table
        `LEDGER_SCHEMA`. It begins with the first rebalance of tranche 0 that has at
        least `start_funds` eligible funds. Amounts are CNY; shares are real numbers.
        Each session has these entries in this order; the first three are listed tranche
        by tranche:

        - a `trade` for each held fund that ends: side `sell`, reason `ended`, its
          shares at the last close, without costs;
        - on a rebalance, a `rebalance` for each fund selected or held, by symbol:
          target_weight (capped), equity (at the open), equity_as_of (at the last
          close), price (the open, else the last close), target_shares;
        - an entry for each order tried, sells before buys. A `trade` has side, shares,
          reason (sells: `left_selection`, `reduced`; buys: `entered`, `increased`),
          price (of the fill), value, commission, slippage, is_carry_over. A `rejected`
          has side, shares, reason, is_carry_over;
        - a `position` for each fund held, by symbol: shares, close (the last known),
          market_value;
        - a `tranche` for each tranche: equity, cash, holdings_value. On the last
          session also a `tranche_position` for each fund that it holds: shares;
        - one `session` with the sums over the tranches: equity, cash, holdings_value,
          commission, slippage, corporate_action_value, price_pnl.

        `sequence` numbers the entries of a strategy and pool from 0; `tranche` and
        `tranche_position` entries have none.

    Raises
    ------
    ValueError
        A rebalance or a target lies on a date that is no session; a target lies on a
        session on which its tranche is not rebalanced; an `as_of_date` is not the
        previous session; a target's fund has no bar yet, or lacks the ADV20 that caps
        it.

    Notes
    -----
    Source: "Execution and accounting" and "Portfolio construction" in the strategy's
    specification. Except for rounding, the change in equity is price_pnl +
    corporate_action_value - commission - slippage (see `marks.mark`). The first change
    starts from `target_capital`.
    """
    return simulate_all([Simulation(prices, rebalances, targets, parameters)])[0]


def simulate_all(simulations: Sequence[Simulation]) -> list[pa.Table]:
    """Return the ledger of each strategy and pool, as `simulate` does, in one pass."""
    if not simulations:
        return []
    schedules: list[dict[int, Selection]] = []
    owners: list[Parameters] = []
    accounts, firsts = [], []
    for one in simulations:
        own_schedules, first = schedules_of(*one)
        begin = len(schedules)
        # A strategy that never begins needs no accounts.
        schedules += own_schedules if first is not None else ()
        accounts.append(range(begin, len(schedules)))
        owners += [one.parameters] * len(accounts[-1])
        firsts.append(first)
    prices = {one.parameters.pool: one.prices for one in simulations}
    cash = [own.target_capital / own.tranches for own in owners]
    trail = Accounts(prices, owners, cash, schedules).run()
    ledgers = []
    for one, own, first in zip(simulations, accounts, firsts, strict=True):
        if first is None:
            ledgers.append(LEDGER_SCHEMA.empty_table())
            continue
        part = trail.part(own, len(one.prices.symbols))
        marks = [mark(part, tranche, one.prices, first) for tranche in range(len(own))]
        ledgers.append(ledger_of(part, one.prices, one.parameters, marks, add_up(marks)))
    return ledgers


def schedules_of(
    prices: Prices,
    rebalances: Sequence[Rebalance],
    targets: Targets,
    parameters: Parameters,
) -> tuple[list[dict[int, Selection]], int | None]:
    """Return each tranche's rebalances, and the strategy's first session."""
    selections, eligible = _selections(prices, rebalances, targets, parameters)
    firsts = first_sessions(eligible, parameters.start_funds)
    schedules = [
        {n: own for n, own in of_tranche.items() if first is not None and n >= first}
        for of_tranche, first in zip(selections, firsts, strict=True)
    ]
    return schedules, firsts[0]


def _selections(
    prices: Prices,
    rebalances: Sequence[Rebalance],
    targets: Targets,
    parameters: Parameters,
) -> tuple[list[dict[int, Selection]], list[dict[int, int]]]:
    """Return each tranche's selections and numbers of eligible funds, by session."""
    pool = parameters.pool
    days = {trade_date: n for n, trade_date in enumerate(prices.dates)}
    columns = {symbol: n for n, symbol in enumerate(prices.symbols)}
    selections: list[dict[int, Selection]] = [{} for _ in range(parameters.tranches)]
    eligible: list[dict[int, int]] = [{} for _ in range(parameters.tranches)]
    for tranche, trade_date, n_eligible in sorted(rebalances):
        if trade_date not in days:
            raise ValueError(f"rebalances, pool {pool}: {trade_date} is not a session")
        own = targets.get(tranche, {}).get(trade_date, {})
        for symbol, target in own.items():
            if symbol not in columns:
                raise fault("targets", pool, trade_date, symbol, "no bar so far")
            session = days[trade_date]
            before = prices.dates[session - 1] if session else None
            if target.as_of_date >= trade_date or before not in (None, target.as_of_date):
                what = f"as_of_date {target.as_of_date} is not the session before"
                raise fault("targets", pool, trade_date, symbol, what)
        eligible[tranche][days[trade_date]] = n_eligible
        selections[tranche][days[trade_date]] = {
            columns[symbol]: target for symbol, target in own.items()
        }
    for tranche, sessions in targets.items():
        for trade_date, funds in sessions.items():
            if funds and days.get(trade_date) not in selections[tranche]:
                what = f"not a rebalance session of tranche {tranche}"
                raise fault("targets", pool, trade_date, min(funds), what)
    return selections, eligible


def walk(
    bars: Mapping[date, Mapping[str, Bar]],
    dates: Sequence[date],
    rebalances: Sequence[Rebalance],
    targets: Targets,
    parameters: Parameters,
    endings: Iterable[tuple[date, str]] = (),
) -> list[Entry]:
    """Simulate a strategy on bars given as mappings; see `simulate`.

    Parameters
    ----------
    bars : mapping of date to mapping of symbol to Bar
        A fund has a bar only on sessions on which it traded.
    dates : sequence of date
        Every session of the exchange from the pool's first to its last, in order.
    rebalances, targets, parameters
        As in `simulate`.
    endings : iterable of (date, str)
        Sessions on which a fund counts as ended, with the fund. It has had no row for
        so long that its shares can no longer be sold.

    Raises
    ------
    ValueError
        A bar or an ending lies on a date that is no session; a fund ends on a session
        on which it has a bar; and the errors of `simulate`.
    """
    prices = lay_out(dates, bars, parameters.pool, endings)
    ledger = simulate(prices, rebalances, targets, parameters)
    return _records(ledger, Entry)


def run(
    bars: pa.Table,
    endings: pa.Table,
    sessions: pa.Table,
    rebalances: pa.Table,
    targets: pa.Table,
    parameters: pa.Table,
) -> pa.Table:
    """Simulate every strategy and pool of `parameters`.

    Parameters
    ----------
    bars, endings, sessions, rebalances, targets, parameters : pyarrow.Table
        Columns of `BARS_SCHEMA`, `ENDINGS_SCHEMA`, `SESSIONS_SCHEMA`,
        `REBALANCES_SCHEMA`, `TARGETS_SCHEMA` and `PARAMETERS_SCHEMA`, rows in any
        order; meaning and units as in `simulate`. `sessions` holds every session of a
        pool from its first to its last. Rebalances and targets after a pool's last
        session belong to tomorrow and are ignored.

    Returns
    -------
    pyarrow.Table
        `LEDGER_SCHEMA`, sorted by strategy, pool and sequence; rows without a sequence
        come last.

    Raises
    ------
    ValueError
        A missing column, a null or infinite value, a duplicate row, a price, limit or
        adjustment factor that is not positive, a weight outside 0 to 1, an ADV20 below
        zero, a pool without sessions or parameters, and the errors of `simulate`. The
        message names pool, fund and date.
    """
    bars = read_checked("bars", bars, BARS_SCHEMA, FundKey._fields)
    endings = read_checked("endings", endings, ENDINGS_SCHEMA, FundKey._fields)
    sessions = read_checked("sessions", sessions, SESSIONS_SCHEMA, _Session._fields)
    strategy = StrategyKey._fields
    rebalances = read_checked(
        "rebalances", rebalances, REBALANCES_SCHEMA, (*strategy, "tranche", "trade_date")
    )
    targets = read_checked("targets", targets, TARGETS_SCHEMA, (*strategy, *_TargetKey._fields))
    parameters = read_checked("parameters", parameters, PARAMETERS_SCHEMA, strategy)
    for column in Bar._fields:
        refuse("bars", bars, pc.less_equal(bars[column], 0), f"{column} is not above zero")
    refuse("targets", targets, pc.less(targets["adv20"], 0), "adv20 is below zero")
    refuse("targets", targets, pc.less(targets["target_weight"], 0), "target_weight is below 0")
    refuse("targets", targets, pc.greater(targets["target_weight"], 1), "target_weight is above 1")
    for name, table, owner, owners in (
        ("bars", bars, "sessions", sessions),
        ("targets", targets, "sessions", sessions),
        ("endings", endings, "sessions", sessions),
        ("parameters", parameters, "sessions", sessions),
        ("sessions", sessions, "parameters", parameters),
    ):
        is_known = pc.is_in(table["pool"], value_set=owners["pool"].combine_chunks())
        refuse(name, table, pc.invert(is_known), f"unknown pool, it has no {owner}")

    prices = {}
    for pool in parameters["pool"].unique().to_pylist():
        is_of_pool = pc.field("pool") == pool
        dates = sessions.filter(is_of_pool)["trade_date"].to_pylist()
        prices[pool] = read_prices(bars.filter(is_of_pool), dates, endings.filter(is_of_pool))
    simulations = []
    for row in parameters.to_pylist():
        last = prices[row["pool"]].dates[-1]
        own = (pc.field("strategy") == row["strategy"]) & (pc.field("pool") == row["pool"])
        own &= pc.field("trade_date") <= last
        simulations.append(
            Simulation(
                prices[row["pool"]],
                _records(rebalances.filter(own), Rebalance),
                read_targets(targets.filter(own)),
                Parameters(**row),
            )
        )
    return pa.concat_tables([LEDGER_SCHEMA.empty_table(), *simulate_all(simulations)])


def read_targets(table: pa.Table) -> Targets:
    """Read the targets of one strategy and pool from columns of `TARGETS_SCHEMA`."""
    targets: dict[int, dict[date, dict[str, Target]]] = defaultdict(lambda: defaultdict(dict))
    for key, target in zip(_records(table, _TargetKey), _records(table, Target), strict=True):
        targets[key.tranche][key.trade_date][key.symbol] = target
    return targets


def _records(table: pa.Table, record: Any) -> list:
    columns = (table[name].to_pylist() for name in record._fields)
    return list(map(record._make, zip(*columns, strict=True)))
