"""Prices of a pool's funds, arranged by session and fund for the simulation."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etf_rotation.contracts import FundKey, refuse, schema_of

# Limit prices are multiples of 0.001 CNY. Raw prices carry floating-point noise.
PRICE_DECIMALS = 3
HALF_TOLERANCE = 1e-3  # of a tick


class Bar(NamedTuple):
    """A fund's session in unadjusted CNY; a limit is a multiple of 0.001, or null."""

    open: float
    close: float
    adj: float  # cumulative adjustment factor
    limit_up: float | None
    limit_down: float | None


@dataclass(frozen=True)
class Prices:
    """Unadjusted prices of a pool's funds in CNY: (sessions, funds), NaN if missing.

    `symbols` is sorted. `last_close` is the close of the session or, without a bar, of
    the last bar before it. `actions` maps session and fund to adj / adj of the fund's
    previous bar where they differ. `endings` maps a session to the funds that end on
    it.
    """

    dates: Sequence[date]
    symbols: Sequence[str]
    open: np.ndarray
    last_close: np.ndarray
    limit_up: np.ndarray
    limit_down: np.ndarray
    actions: Mapping[int, Mapping[int, float]]
    endings: Mapping[int, Sequence[int]]

    @cached_property
    def known_closes(self) -> np.ndarray:
        """The last close; 0 before the first bar: unlisted funds are never held."""
        return np.nan_to_num(self.last_close)

    @cached_property
    def known_closes_by_fund(self) -> np.ndarray:
        """The known closes as (funds, sessions)."""
        return np.ascontiguousarray(self.known_closes.T)

    @cached_property
    def _extreme_closes(self) -> tuple[np.ndarray, np.ndarray]:
        closes = self.known_closes_by_fund
        is_known = closes > 0
        return (
            np.min(closes, axis=1, where=is_known, initial=np.inf),
            np.max(closes, axis=1, initial=0.0),
        )

    def sizes_of_holdings(self, shares: np.ndarray) -> tuple[float, float]:
        """Return bounds of what a holding above zero can be worth, CNY.

        Parameters
        ----------
        shares : array of shape (funds, n)
            The holdings, at any closes.
        """
        least = np.min(shares, axis=1, where=shares > 0, initial=np.inf)
        low, high = self._extreme_closes
        greatest = np.max(shares, axis=1, initial=0.0) * high
        return float(np.min(least * low, initial=np.inf)), float(np.max(greatest, initial=0.0))

    @cached_property
    def open_or_close(self) -> np.ndarray:
        """The open, else the last close; NaN before the first bar."""
        return np.where(np.isnan(self.open), self.last_close, self.open)

    @cached_property
    def ratios(self) -> np.ndarray:
        """New shares per old share at a corporate action, else 1."""
        ratios = np.ones_like(self.open)
        for session, actions in self.actions.items():
            ratios[session, list(actions)] = list(actions.values())
        return ratios

    @cached_property
    def has_ended(self) -> np.ndarray:
        """Whether the fund ends on the session."""
        has_ended = np.zeros(self.open.shape, bool)
        for session, funds in self.endings.items():
            has_ended[session, funds] = True
        return has_ended

    @cached_property
    def next_events(self) -> np.ndarray:
        """Per session, the next session with a corporate action or an ending."""
        count = len(self.dates)
        has_event = (self.ratios != 1).any(axis=1) | self.has_ended.any(axis=1)
        here = np.where(has_event, np.arange(count), count)
        return np.minimum.accumulate(np.append(here[1:], count)[::-1])[::-1]

    @cached_property
    def is_limit_up(self) -> np.ndarray:
        """Whether the open, rounded to a tick, is at or above the upper limit."""
        # A NaN limit means no limit, and comparisons with NaN are false.
        return self._rounded_open >= self.limit_up

    @cached_property
    def is_limit_down(self) -> np.ndarray:
        """Whether the open, rounded to a tick, is at or below the lower limit."""
        return self._rounded_open <= self.limit_down

    @cached_property
    def _rounded_open(self) -> np.ndarray:
        scale = 10**PRICE_DECIMALS
        ticks = self.open * scale
        rounded = np.rint(ticks) / scale
        # Near a half the product's own rounding could decide. Python rounds the exact value.
        halves = np.abs(ticks - np.floor(ticks) - 0.5) < HALF_TOLERANCE
        rounded[halves] = [round(price, PRICE_DECIMALS) for price in self.open[halves].tolist()]
        return rounded

    @classmethod
    def of(
        cls,
        dates: Sequence[date],
        days: np.ndarray,
        symbols: Sequence | np.ndarray,
        bars: Mapping,
        endings: Iterable[tuple[int, str]] = (),
    ) -> "Prices":
        """Arrange bars by session and fund.

        Parameters
        ----------
        dates : sequence of date
            Every session, in order.
        days, symbols : sequence of int and of str, length n
            Position in `dates` and fund of each bar; at most one bar per fund and
            session.
        bars : mapping of str to array of float, length n
            The fields of `Bar`, NaN for null.
        endings : iterable of (int, str)
            Position in `dates` of the session on which a fund counts as ended, and the
            fund. Funds without any bar are left out.
        """
        funds, columns = np.unique(np.array(symbols, dtype=str), return_inverse=True)
        shape = len(dates), len(funds)
        grids = {}
        for name in Bar._fields:
            grids[name] = np.full(shape, np.nan)
            grids[name][days, columns] = bars[name]
        has_bar = ~np.isnan(grids["close"])
        last_bar = np.where(has_bar, np.arange(len(dates))[:, None], 0)
        last_bar = np.maximum.accumulate(last_bar, axis=0)
        last_close, last_adj = (
            np.take_along_axis(grids[name], last_bar, axis=0) for name in ("close", "adj")
        )
        ratio = grids["adj"][1:] / last_adj[:-1]
        actions: dict[int, dict[int, float]] = {}
        for day, fund in np.argwhere(~np.isnan(ratio) & (ratio != 1)).tolist():
            actions.setdefault(day + 1, {})[fund] = ratio.item(day, fund)
        listed = funds.tolist()
        column_of = {symbol: n for n, symbol in enumerate(listed)}
        ended: dict[int, list[int]] = {}
        for day, symbol in sorted(endings):
            if symbol in column_of:
                ended.setdefault(day, []).append(column_of[symbol])
        return cls(
            dates,
            listed,
            grids["open"],
            last_close,
            grids["limit_up"],
            grids["limit_down"],
            actions,
            ended,
        )


BARS_SCHEMA = schema_of(FundKey, Bar)
ENDINGS_SCHEMA = schema_of(FundKey)


def read_prices(bars: pa.Table, dates: Sequence[date], endings: pa.Table) -> Prices:
    """Arrange a pool's bars from tables.

    Parameters
    ----------
    bars : pyarrow.Table
        Columns of `BARS_SCHEMA`, of one pool, one row per fund and session.
    dates : sequence of date
        Every session from the pool's first to its last, in order.
    endings : pyarrow.Table
        Columns of `ENDINGS_SCHEMA`, of the same pool.

    Raises
    ------
    ValueError
        A bar or an ending lies on a date that is no session, or a fund ends on a
        session on which it has a bar. The message names pool, fund and date.
    """
    sessions = pa.array(dates, pa.date32())
    for name, table in (("bars", bars), ("endings", endings)):
        is_session = pc.is_in(table["trade_date"], value_set=sessions)
        refuse(name, table, pc.invert(is_session), "not a session")

    def position(table: pa.Table) -> np.ndarray:
        days = sessions.to_numpy(zero_copy_only=False)
        return np.searchsorted(days, table["trade_date"].to_numpy())

    prices = Prices.of(
        dates,
        position(bars),
        bars["symbol"].to_numpy(),
        {name: bars[name].to_numpy() for name in Bar._fields},
        zip(position(endings).tolist(), endings["symbol"].to_pylist(), strict=True),
    )
    for session, funds in prices.endings.items():
        for fund in funds:
            if not math.isnan(prices.open.item(session, fund)):
                pool, symbol = bars["pool"][0].as_py(), prices.symbols[fund]
                raise fault("endings", pool, dates[session], symbol, "the fund has a bar")
    return prices


def lay_out(
    dates: Sequence[date | None],
    bars: Mapping[date | None, Mapping[str, Bar]],
    pool: str,
    endings: Iterable[tuple[date, str]] = (),
) -> Prices:
    """Arrange a pool's bars from mappings; arguments and errors as in `ledger.walk`."""
    days = {trade_date: n for n, trade_date in enumerate(dates)}
    rows = []
    for trade_date, funds in bars.items():
        for symbol, bar in funds.items():
            if trade_date not in days:
                raise fault("bars", pool, trade_date, symbol, "not a session")
            rows.append((days[trade_date], symbol, *bar))
    ended = []
    for trade_date, symbol in endings:
        if trade_date not in days:
            raise fault("endings", pool, trade_date, symbol, "not a session")
        if symbol in bars.get(trade_date, {}):
            raise fault("endings", pool, trade_date, symbol, "the fund has a bar")
        ended.append((days[trade_date], symbol))
    at, symbols, *columns = zip(*rows, strict=True) if rows else [()] * (2 + len(Bar._fields))
    values = (np.array(column, dtype=float) for column in columns)
    columns_of = dict(zip(Bar._fields, values, strict=True))
    return Prices.of(dates, np.array(at, dtype=int), symbols, columns_of, ended)


def fault(table: str, pool: str, trade_date: date, symbol: str, what: str) -> ValueError:
    """Return the error about a row of an input table."""
    return ValueError(f"{table}, pool {pool}, trade_date {trade_date}, symbol {symbol}: {what}")
