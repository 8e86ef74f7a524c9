"""Orders ready to send: whole shares, order ids, batches and parts."""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from etf_rotation.reconcile.aliases import Seeds
from etf_rotation.reconcile.cells import day, symbol
from etf_rotation.reconcile.reader import read_table
from etf_rotation.reconcile.texts import RefusedError

LOT = 100
SIDES = {"buy": 23, "sell": 24}  # as QMT's order types number them
BATCHES = {"sell": 1, "buy": 2}
DIALECTS = {"plain": "utf-8-sig", "qmt": "ascii"}
COLUMNS = (
    "order_id",
    "batch",
    "code",
    "name",
    "side",
    "side_code",
    "shares",
    "limit_down",
    "limit_up",
    "pool",
    "reason",
)
FORMULA = ("=", "+", "-", "@", "\t")
NEARLY_WHOLE = 1e-6  # of a share: the rounding error of doubles


@dataclass(frozen=True)
class Order:
    """An order of a traded pool for one session; `shares` are whole and above zero."""

    order_id: str
    trade_date: dt.date
    pool: str
    symbol: str
    side: str
    shares: int
    limit_down: float | None = None
    limit_up: float | None = None
    name: str = ""
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the order as JSON values."""
        return {**self.__dict__, "trade_date": self.trade_date.isoformat()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Order:
        """Return the order that `as_dict` wrote."""
        return cls(**{**content, "trade_date": dt.date.fromisoformat(content["trade_date"])})

    @property
    def sign(self) -> int:
        """1 for a buy, -1 for a sell."""
        return 1 if self.side == "buy" else -1


def order_id(trade_date: dt.date, pool: str, symbol: str, side: str) -> str:
    """Return the order id `YYYYMMDD-POOL-CODE-SIDE`, for the order's remark."""
    return f"{trade_date:%Y%m%d}-{pool}-{symbol[:6]}-{side.upper()}"


def sendable(rows: Sequence[Mapping[str, Any]], names: Mapping[str, str], language: str) -> list:
    """Return the orders to send, sells first.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of `marts.next_session_orders`. Simulated pools and rows without a symbol
        are skipped.
    names : mapping of symbol to name
    language : str
        Language of the reason.
    """
    orders = []
    for row in rows:
        if row["is_simulated_pool"] or not row["symbol"]:
            continue
        # Simulated holdings may be fractional; the exchange trades whole shares.
        shares = math.floor(float(row["shares"]) + NEARLY_WHOLE)
        if shares:
            date = row["trade_date"]
            date = dt.date.fromisoformat(date) if isinstance(date, str) else date
            is_chinese = language == "zh" and row.get("reason_zh")
            orders.append(
                Order(
                    order_id=order_id(date, row["pool"], row["symbol"], row["side"]),
                    trade_date=date,
                    pool=row["pool"],
                    symbol=row["symbol"],
                    side=row["side"],
                    shares=shares,
                    limit_down=_float(row["limit_down"]),
                    limit_up=_float(row["limit_up"]),
                    name=row.get("name") or names.get(row["symbol"], ""),
                    reason=str(row["reason_zh"] if is_chinese else row["reason"]),
                )
            )
    return sorted(orders, key=lambda order: BATCHES[order.side])


def parts(shares: int, largest: int) -> list[int]:
    """Split shares into orders of at most `largest`.

    Less than a lot can only be sold in one order, so the last part is never below a
    lot.
    """
    sizes = [largest] * (shares // largest)
    rest = shares % largest
    if rest:
        sizes.append(rest)
    if len(sizes) > 1 and sizes[-1] < LOT:
        sizes[-2] -= LOT
        sizes[-1] += LOT
    return sizes


def as_csv(
    orders: Sequence[Order],
    dialect: str,
    largest: int,
    *,
    side_words: Mapping[str, str],
    is_synthetic: bool,
) -> bytes:
    """Return orders as the bytes of a CSV file.

    Parameters
    ----------
    orders : sequence of Order
    dialect : str
        `plain` (UTF-8 with a byte order mark) or `qmt` (ASCII, so no Chinese names).
    largest : int
        The exchange's maximum order size in shares; larger orders are split into
        numbered parts.
    side_words : mapping of side to word
        For people; scripts read `side_code`.
    is_synthetic : bool
        Adds a warning to every reason.

    Raises
    ------
    RefusedError
        A pool name is not ASCII and the dialect is `qmt`.
    """
    encoding = DIALECTS[dialect]
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for order in orders:
        if encoding == "ascii" and not order.order_id.isascii():
            raise RefusedError("pool_not_ascii", pool=order.pool)
        sizes = parts(order.shares, largest)
        for number, size in enumerate(sizes, start=1):
            suffix = f"-{number}" if len(sizes) > 1 else ""
            values = (
                order.order_id + suffix,
                BATCHES[order.side],
                order.symbol,
                order.name,
                side_words[order.side],
                SIDES[order.side],
                size,
                _price(order.limit_down),
                _price(order.limit_up),
                order.pool,
                f"SYNTHETIC DATA, do not send: {order.reason}" if is_synthetic else order.reason,
            )
            cells = [guarded(value) if isinstance(value, str) else value for value in values]
            if encoding == "ascii":
                cells = [_ascii(cell) if isinstance(cell, str) else cell for cell in cells]
                cells[COLUMNS.index("name")] = order.name if order.name.isascii() else order.symbol
            writer.writerow(cells)
    return file.getvalue().encode(encoding)


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _price(price: float | None) -> str:
    return "" if price is None else f"{price:.3f}"


def guarded(text: str) -> str:
    """Prefix a text with an apostrophe if a spreadsheet would read it as a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode("ascii")


def read_orders(path: str, seeds: Seeds) -> list[Order]:
    """Read a file written by `as_csv` and merge the parts of split orders.

    Raises
    ------
    RefusedError
        The file or a cell of it cannot be read.
    """
    table = read_table(
        path, {name: name for name in COLUMNS}, ("order_id", "code", "side", "shares")
    )
    orders: dict[tuple[str, str], Order] = {}
    for row in table.rows:
        date = table.value(row, "order_id", lambda text: day(text[:8]), "no_order_id")
        code = table.value(row, "code", lambda text: symbol(text, seeds.symbol_of_code), "no_code")
        shares = table.value(row, "shares", int, "no_whole_shares")
        side = seeds.kind(table.text(row, "side"))
        if side not in SIDES:
            table.fault(row, "side", "no_side")
        if code not in seeds.pool_of:
            table.fault(row, "code", "no_fund")
        if table.is_faulty(row) or not (date and code and shares):
            continue
        pool, known = seeds.pool_of[code], orders.get((code, side))
        orders[code, side] = Order(
            order_id=order_id(date, pool, code, side),
            trade_date=date,
            pool=pool,
            symbol=code,
            side=side,
            shares=shares + (known.shares if known else 0),
        )
    table.refuse_faults()
    return list(orders.values())


@dataclass(frozen=True)
class Costs:
    """The costs that the backtest assumes, in basis points of the value and in CNY."""

    slippage_bps: Decimal
    commission_bps: Decimal
    min_commission: Decimal

    @classmethod
    def of(cls, variables: Mapping[str, Any]) -> Costs:
        """Return the costs from the project's vars."""
        return cls(
            *(
                Decimal(str(variables[name]))
                for name in ("slippage_bps", "commission_bps", "min_commission_cny")
            )
        )

    def commission(self, value: Decimal) -> Decimal:
        """Return the assumed commission for all fills of one order, CNY."""
        return max(self.min_commission, value * self.commission_bps / 10_000)
