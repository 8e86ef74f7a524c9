"""Daily returns of the account and the model, and the parts of their difference."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from etf_rotation.reconcile.books import ZERO, Books, sum_of
from etf_rotation.reconcile.cells import fen
from etf_rotation.reconcile.costs import Cost
from etf_rotation.reconcile.identities import Day, Settled
from etf_rotation.reconcile.matching import Match
from etf_rotation.reconcile.prices import Prices
from etf_rotation.reconcile.texts import RefusedError

PARTS = ("cost", "missed", "holdings", "rest")


@dataclass(frozen=True)
class Live:
    """The account's figures for one session, CNY.

    Attributes
    ----------
    opening_value, closing_value : Decimal
        Cash, dividends receivable and shares at the close (or last close, if not
        traded).
    flows : Decimal
        Net inflow: deposits, cash of symbols outside the pools, and unknown business
        rows.
    cost : Decimal
        Execution cost against the session's open plus all fees; positive.
    missed : Decimal
        Profit that the unfilled shares would have made between open and close.
    made : dict of symbol to Decimal
        Profit of each fund at the session's prices if all orders had been filled at the
        open.
    """

    opening_value: Decimal
    closing_value: Decimal
    flows: Decimal
    cost: Decimal
    missed: Decimal
    made: dict[str, Decimal]

    @property
    def base(self) -> Decimal:
        """The base of the return: the opening value plus a net inflow."""
        return self.opening_value + max(self.flows, ZERO)

    @property
    def profit(self) -> Decimal:
        """Profit without flows, CNY."""
        return self.closing_value - self.opening_value - self.flows

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values; `from_dict` restores them exactly."""
        plain = {name: str(value) for name, value in self.__dict__.items() if name != "made"}
        return {**plain, "made": {name: str(value) for name, value in sorted(self.made.items())}}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Live:
        """Restore the figures from `as_dict`."""
        plain = {name: Decimal(value) for name, value in content.items() if name != "made"}
        return cls(**plain, made={name: Decimal(v) for name, v in content["made"].items()})


def value_of(books: Books, prices: Prices, session: dt.date) -> Decimal:
    """Return the value of the books at the close of a session, CNY."""
    held = sum_of(n * prices.close(symbol, session) for symbol, n in books.shares.items())
    return held + books.total_cash + books.total_receivable


def value_before(books: Books, prices: Prices, session: dt.date) -> Decimal:
    """Return the value of the books at the last close before a session, CNY.

    A fund whose first bar is this session is valued at its open.
    """
    total = books.total_cash + books.total_receivable
    for symbol, shares in books.shares.items():
        bar = prices.before(symbol, session)
        total += shares * (bar.close if bar else _first_open(prices, symbol, session))
    return total


def _first_open(prices: Prices, symbol: str, session: dt.date) -> Decimal:
    bar = prices.bar(symbol, session)
    if bar is None:
        raise RefusedError("no_price", symbol=symbol, session=session)
    return bar.open


def live_of(
    day: Day, settled: Settled, costs: Sequence[tuple[Match, Cost]], prices: Prices
) -> Live:
    """Return the account's figures for one session."""
    account = settled.account
    receivable = {
        due.symbol: due.amount
        for due in settled.closing.receivables
        if due.ex_date == day.session and due not in day.opening.receivables
    }
    made: dict[str, Decimal] = {}
    for line in settled.positions:
        if line.pool is None:
            continue
        bar, before = prices.bar(line.symbol, day.session), prices.before(line.symbol, day.session)
        close = prices.close(line.symbol, day.session)
        opened = bar.open if bar else close
        held = line.opening + line.split
        start = line.opening * (before.close if before else opened)
        made[line.symbol] = (
            held * opened
            - start
            + receivable.get(line.symbol, ZERO)
            + line.expected * (close - opened)
        )
    missed, execution = ZERO, ZERO
    for match, cost in costs:
        close = prices.close(match.symbol, day.session)
        opened = cost.open if cost.open is not None else close
        effect = match.sign * match.unfilled * (close - opened)
        made[match.symbol] = made.get(match.symbol, ZERO) + effect
        missed += effect
        execution += match.sign * (match.value - match.filled * opened)
    return Live(
        opening_value=value_before(day.opening, prices, day.session),
        closing_value=value_of(settled.closing, prices, day.session),
        flows=account.flows + account.unknown,
        cost=execution + account.fees,
        missed=missed,
        made=made,
    )


@dataclass(frozen=True)
class Model:
    """The model's figures for one session, as ratios of its equity at the last close.

    `made` is the profit by fund at the session's prices before costs; `cost` is
    positive; `run_id` names the build.
    """

    daily_return: float
    cost: float
    made: dict[str, float]
    run_id: str


@dataclass(frozen=True)
class Tracked:
    """One row of the tracking table: exact CNY, and ratios of `base`.

    `difference` is the live return less the model's. `cost`, `missed`, `holdings` and
    `rest` sum to it, as ratios and to the fen in CNY. They are None until a run fills
    in the model. `day_sha256` is the checksum of the day file that the row was computed
    from.
    """

    trade_date: dt.date
    opening_value: Decimal
    flows: Decimal
    closing_value: Decimal
    base: Decimal
    live_return: float | None
    day_sha256: str
    model_return: float | None = None
    difference: float | None = None
    cost: float | None = None
    missed: float | None = None
    holdings: float | None = None
    rest: float | None = None
    cny: dict[str, Decimal] = field(default_factory=dict)
    run_id: str | None = None

    @property
    def is_filled(self) -> bool:
        """Whether a run has filled in the model's part."""
        return self.difference is not None


def row_of(trade_date: dt.date, live: Live, day_sha256: str) -> Tracked:
    """Return a row without the model's part."""
    return Tracked(
        trade_date=trade_date,
        opening_value=fen(live.opening_value),
        flows=live.flows,
        closing_value=fen(live.closing_value),
        base=fen(live.base),
        live_return=float(live.profit / live.base) if live.base > 0 else None,
        day_sha256=day_sha256,
    )


def fill(row: Tracked, live: Live, model: Model) -> Tracked:
    """Return a row with the model's part.

    Notes
    -----
    With B the base, L and M the account's and the model's profit by fund at the
    session's prices: cost = -(live cost / B - model cost), missed = -(missed / B),
    holdings = Σ (L / B - M), which is Σ (live weight - model weight) × fund return,
    evaluated before and after the open. The rest holds interest, rounding of dividends
    and accepted differences.
    """
    if row.live_return is None:
        return row
    base = float(live.base)
    symbols = sorted({*live.made, *model.made})
    difference = row.live_return - model.daily_return
    cost = model.cost - float(live.cost) / base
    missed = -float(live.missed) / base
    holdings = sum(
        float(live.made.get(symbol, ZERO)) / base - model.made.get(symbol, 0.0)
        for symbol in symbols
    )
    rest = difference - cost - missed - holdings
    ratios = {"cost": cost, "missed": missed, "holdings": holdings}
    cny = {name: fen(Decimal(repr(ratio * base))) for name, ratio in ratios.items()}
    cny["difference"] = fen(Decimal(repr(difference * base)))
    cny["rest"] = cny["difference"] - sum_of(cny[name] for name in ratios)
    return replace(
        row,
        model_return=model.daily_return,
        difference=difference,
        rest=rest,
        cost=cost,
        missed=missed,
        holdings=holdings,
        cny=cny,
        run_id=model.run_id,
    )
