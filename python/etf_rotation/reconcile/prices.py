"""Unadjusted prices of the sessions, read from the raw root."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb

from etf_rotation.reconcile.aliases import Seeds
from etf_rotation.reconcile.texts import RefusedError
from etf_rotation.staging import raw_files, raw_rows
from etf_rotation.staging.seed_checks import Universe

# As in the build, a bar has positive volume and prices and is unique for its session.
# The last bar before the first session is included, however old.
BARS = """
    with
    rows as (
        select distinct
            upper(trim(raw_symbol)) as symbol, trade_date, open, close, pre_close, high, low
        from raw_rows
        where
            upper(trim(raw_symbol)) in (select unnest($symbols))
            and trade_date <= $last and date_fault is null
            and vol > 0 and isfinite(open) and isfinite(close) and open > 0 and close > 0
    ),
    single as (
        select * from rows
        qualify count(*) over (partition by symbol, trade_date) = 1
    ),
    since as (
        select symbol, max(trade_date) as trade_date from single
        where trade_date < $first group by symbol
    )
    select single.symbol, single.trade_date, open, close,
        case when isfinite(pre_close) and pre_close > 0 then pre_close end
    from single
    left join since using (symbol)
    where single.trade_date >= coalesce(since.trade_date, $first)
    order by single.symbol, single.trade_date
"""
# Raw prices are doubles with rounding noise; the tick of a fund is 0.001.
DIGITS, TICK = Decimal("0.0001"), Decimal("0.001")


@dataclass(frozen=True)
class Bar:
    """Unadjusted prices of one session, CNY per share; `pre_close` is ex-rights."""

    trade_date: dt.date
    open: Decimal
    close: Decimal
    pre_close: Decimal | None


class Prices:
    """Bars by fund."""

    def __init__(self, bars: dict[str, list[Bar]]):
        self._bars = bars
        self._dates = {symbol: [bar.trade_date for bar in own] for symbol, own in bars.items()}

    def bar(self, symbol: str, session: dt.date) -> Bar | None:
        """Return the bar of a session, None if the fund did not trade."""
        place = bisect_left(self._dates.get(symbol, []), session)
        own = self._bars.get(symbol, [])
        return own[place] if place < len(own) and own[place].trade_date == session else None

    def before(self, symbol: str, session: dt.date) -> Bar | None:
        """Return the last bar before a session, None if there is none."""
        place = bisect_left(self._dates.get(symbol, []), session)
        return self._bars[symbol][place - 1] if place else None

    def close(self, symbol: str, session: dt.date) -> Decimal:
        """Return the close of a session, or the last one if the fund did not trade.

        Raises
        ------
        RefusedError
            The fund has no bar up to the session.
        """
        bar = self.bar(symbol, session) or self.before(symbol, session)
        if bar is None:
            raise RefusedError("no_price", symbol=symbol, session=session)
        return bar.close

    @property
    def last(self) -> dt.date | None:
        """The last session of any fund."""
        return max((dates[-1] for dates in self._dates.values() if dates), default=None)


def read_prices(
    root: Path, seeds: Seeds, symbols: Collection[str], first: dt.date, last: dt.date
) -> Prices:
    """Read bars from each fund's last bar before `first` up to `last`.

    Raises
    ------
    RefusedError
        No fund has a bar on `last`.
    InputError
        A raw file cannot be read.
    """
    wanted = set(symbols)
    if not wanted:
        return Prices({})
    universe = Universe(frozenset(wanted), frozenset(seeds.pool_of))
    files = raw_files.inspect_files(root, universe)
    found: dict[str, list[Bar]] = {}
    if any(files["is_read"].to_pylist()):
        with duckdb.connect() as connection:
            rows = raw_rows.read_rows(connection, files, universe, last.isoformat())
            connection.register("raw_rows", rows)
            values = {"symbols": sorted(wanted), "first": first, "last": last}
            for symbol, *row in connection.execute(BARS, values).fetchall():
                found.setdefault(symbol, []).append(_bar(*row))
    prices = Prices(found)
    if prices.last == last:
        return prices
    # Either all are suspended or the session is not fetched; the other funds decide.
    if wanted < set(seeds.pool_of):
        return read_prices(root, seeds, set(seeds.pool_of), first, last)
    raise RefusedError("no_session", root=root, session=last, last=prices.last or "-")


def _bar(session: dt.date, opened: float, closed: float, pre_close: float | None) -> Bar:
    return Bar(
        session,
        _exact(opened),
        _exact(closed),
        None if pre_close is None else _exact(pre_close),
    )


def _exact(price: float) -> Decimal:
    exact = Decimal(repr(price)).quantize(DIGITS)
    tick = exact.quantize(TICK)
    return tick if tick == exact else exact
