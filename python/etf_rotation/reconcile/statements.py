"""Parse the broker's statements into entries."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal

from etf_rotation.reconcile import fees
from etf_rotation.reconcile.aliases import UNKNOWN, Seeds
from etf_rotation.reconcile.cells import day, fen, masked, moment, money, number, symbol
from etf_rotation.reconcile.findings import Finding, broken, note
from etf_rotation.reconcile.reader import Row, Table, read_table
from etf_rotation.reconcile.texts import RefusedError

TRADES = ("buy", "sell")
FLOWS = ("deposit", "withdrawal", "transfer")
# Default sign of the amount; transfers may have either sign.
SIGNS = {"dividend": 1, "interest": 1, "deposit": 1, "withdrawal": -1, "fee": -1, "transfer": 1}
# Allowed |price × shares - value|: half a tick per share plus rounding to the fen.
HALF_TICK, ROUNDING = Decimal("0.0005"), Decimal("0.01")
ORDER_ID = re.compile(r"(\d{8})-(\w+?)-(\d{6})(?:-(BUY|SELL)(?:-\d+)?)?")
FEES = ("fee", "net_commission", "commission", "fee_or_sum")
YUAN = ("", "人民币", "人民币元", "cny", "rmb", "元")


@dataclass(frozen=True)
class Entry:
    """One row of the fills. `cash` is the cash moved, CNY, positive for inflows.

    `symbol` is None for a row without a fund; `pool` is None for a symbol outside the
    pools. `order_id` is our order id from the remark, without a part number.
    """

    line: int
    trade_date: dt.date
    kind: str
    word: str
    symbol: str | None
    pool: str | None
    shares: int
    price: Decimal | None
    value: Decimal
    fees: Decimal
    cash: Decimal
    time: str | None = None
    fill_id: str | None = None
    order_id: str | None = None

    @property
    def is_trade(self) -> bool:
        """Whether the row is a trade of a pool fund."""
        return self.kind in TRADES and self.pool is not None

    @property
    def is_outside(self) -> bool:
        """Whether the row belongs to a symbol outside the pools."""
        has_own_meaning = self.kind in (*FLOWS, "interest")
        return self.symbol is not None and self.pool is None and not has_own_meaning

    @property
    def identity(self) -> tuple[object, ...]:
        """The values that identify a row; the broker's id may be a placeholder."""
        return (
            self.trade_date.isoformat(),
            self.kind,
            self.symbol,
            self.shares,
            str(self.price),
            str(self.value),
            str(self.cash),
            self.fill_id,
            self.time,
        )


@dataclass
class Fills:
    """The entries of a fills file, and findings from reading it."""

    entries: list[Entry]
    findings: list[Finding] = field(default_factory=list)
    sha256: str = ""


def read_fills(path: str, seeds: Seeds, default: dt.date | None) -> Fills:
    """Read a file of fills.

    Parameters
    ----------
    path : str
    seeds : Seeds
    default : date, optional
        The date of all rows if the file has no dates.

    Raises
    ------
    RefusedError
        The file or a cell cannot be read, a sign contradicts the business word, the
        fees are ambiguous, or no date is known.
    """
    table = read_table(path, seeds.fields["fills"], ("symbol", "word", "price", "shares"))
    if default is None and not (table.has("date") or table.has("time")):
        raise RefusedError("no_date", file=path)
    fills = Fills([], sha256=table.sha256)
    if table.rows and not table.has("cash") and not _has_fees(table):
        fills.findings.append(note("no_fees", file=table.label))
    for row in table.rows:
        entry = _entry(table, row, seeds, default, fills.findings)
        if entry:
            fills.entries.append(entry)
    table.refuse_faults()
    return fills


def _entry(
    table: Table, row: Row, seeds: Seeds, default: dt.date | None, findings: list[Finding]
) -> Entry | None:
    date, time = _date(table, row, default)
    word = table.text(row, "word")
    kind = seeds.kind(word)
    code = table.value(row, "symbol", lambda text: symbol(text, seeds.symbol_of_code), "no_code")
    numbers = {
        name: table.value(row, name, number, "no_number")
        for name in ("price", "shares", "value", "cash")
    }
    if date is None or table.is_faulty(row):
        return None
    entry = Entry(
        line=row.line,
        trade_date=date,
        kind=kind,
        word=masked(word),
        symbol=code,
        pool=seeds.pool_of.get(code or ""),
        shares=0,
        price=numbers["price"] or None,
        value=fen(abs(numbers["value"] or Decimal(0))),
        fees=Decimal(0),
        cash=fen(numbers["cash"] or Decimal(0)),
        time=time,
        fill_id=_fill_id(table, row),
        order_id=_order_id(table, row),
    )
    if kind in TRADES:
        return _trade(table, row, entry, numbers, findings)
    return _business(table, row, entry, numbers, findings)


def _fill_id(table: Table, row: Row) -> str | None:
    """Return the broker's id of the fill, or else of the order."""
    return table.text(row, "fill_id") or table.text(row, "order_reference") or None


def _date(table: Table, row: Row, default: dt.date | None) -> tuple[dt.date | None, str | None]:
    date, time = table.value(row, "time", moment, "no_time") or (None, None)
    if table.has("date"):
        stated = table.value(row, "date", moment, "no_date") or (None, None)
        date, time = stated[0] or date, time or stated[1]
    date = date or (default if not table.has("date") else None)
    if date is None:
        table.fault(row, "date", "no_date")
    return date, time


def _order_id(table: Table, row: Row) -> str | None:
    for remark in table.texts(row, "remark"):
        match = ORDER_ID.search(remark)
        if match:
            # Even a truncated remark contains the date, pool and code.
            return "-".join(part for part in match.groups() if part)
    return None


def _trade(
    table: Table,
    row: Row,
    entry: Entry,
    numbers: dict[str, Decimal | None],
    findings: list[Finding],
) -> Entry | None:
    shares, price, cash = numbers["shares"], entry.price, numbers["cash"]
    is_buy = entry.kind == "buy"
    if not shares and not entry.value and not entry.cash:
        findings.append(note("no_shares", file=table.label, line=row.line))
        return None
    if entry.symbol is None:
        table.fault(row, "symbol", "no_code")
    if shares is None or shares == 0 or shares != int(shares):
        table.fault(row, "shares", "no_whole_shares")
    elif shares < 0 and is_buy:
        table.fault(row, "shares", "sign")
    if price is None or price <= 0:
        table.fault(row, "price", "no_price")
    if cash and cash > 0 and is_buy:
        table.fault(row, "cash", "sign")
    if table.is_faulty(row):
        return None
    count = abs(int(shares or 0))
    product = (price or Decimal(0)) * count
    has_value = table.has("value") and numbers["value"] is not None
    value = entry.value if has_value else fen(product)
    # Symbols outside the pools may be repos, whose price is a rate.
    if entry.pool and abs(product - value) > HALF_TICK * count + ROUNDING:
        findings.append(
            broken("value", file=table.label, line=row.line, product=fen(product), value=value)
        )
    charged = _fees(table, row, is_buy, value, cash)
    if charged is None:
        return None
    # The fees of a tiny sell can exceed its value; the fee columns then confirm it.
    if not is_buy and cash and cash < 0 and not (charged.is_explained and _has_fees(table)):
        table.fault(row, "cash", "sign")
        return None
    if not charged.is_explained:
        findings.append(broken("fees", file=table.label, line=row.line, implied=charged.amount))
    moved = -value - charged.amount if is_buy else value - charged.amount
    return replace(entry, shares=count, value=value, fees=charged.amount, cash=moved)


def _has_fees(table: Table) -> bool:
    return any(table.has(name) for name in FEES)


def _fees(
    table: Table, row: Row, is_buy: bool, value: Decimal, cash: Decimal | None
) -> fees.Fees | None:
    amounts: dict[str, list[Decimal]] = {}
    for name in FEES:
        for column in table.columns.get(name, []):
            try:
                amounts.setdefault(name, []).append(number(row.cells[column]) or Decimal(0))
            except ValueError:
                table.faults.append((row.line, table.headers[column], "no_number"))
                return None
    parts = amounts.get("fee", []) + amounts.get("net_commission", [])
    sums = amounts.get("fee_or_sum", [])
    # Next to a net commission, the commission may be the sum of its parts.
    (sums if table.has("net_commission") else parts).extend(amounts.get("commission", []))
    implied = None
    if cash is not None:
        implied = -fen(cash) - value if is_buy else value - fen(cash)
    charged = fees.of_trade(parts, sums, implied)
    if charged is None:
        table.fault(row, "fee_or_sum", "part_or_sum")
    return charged


def _business(
    table: Table,
    row: Row,
    entry: Entry,
    numbers: dict[str, Decimal | None],
    findings: list[Finding],
) -> Entry | None:
    shares, cash = numbers["shares"] or Decimal(0), entry.cash
    kind = entry.kind
    sign = SIGNS.get(kind)
    if sign and not cash:
        cash = sign * entry.value
    if sign and not cash:
        table.fault(row, "cash" if table.has("cash") else "value", "no_amount")
        return None
    if sign and kind != "transfer" and cash * sign < 0:
        table.fault(row, "cash" if table.has("cash") else "value", "sign")
        return None
    if kind == "none" and cash:
        kind = UNKNOWN
    if kind == "none":
        findings.append(note("no_effect", file=table.label, line=row.line, word=entry.word))
        return None
    if kind == UNKNOWN:
        findings.append(
            broken(
                "unknown_word", file=table.label, line=row.line, word=entry.word or "-", cash=cash
            )
        )
    return replace(entry, kind=kind, shares=int(shares), cash=cash)


def read_positions(path: str, seeds: Seeds) -> tuple[dict[str, int], str]:
    """Read the broker's positions; return shares by symbol and the file's SHA-256.

    Raises
    ------
    RefusedError
        The file or a cell cannot be read, or two columns of holdings disagree.
    """
    table = read_table(path, seeds.fields["positions"], ("symbol",))
    names = [name for name in ("holding", "holding_now") if table.has(name)]
    if not names:
        raise RefusedError(
            "column_missing", file=path, fields="holding", headers=", ".join(table.headers)
        )
    held: Counter[str] = Counter()
    for row in table.rows:
        code = table.value(
            row, "symbol", lambda text: symbol(text, seeds.symbol_of_code), "no_code"
        )
        counts = [table.value(row, name, number, "no_number") for name in names]
        shares = counts[0]
        if code is None:
            table.fault(row, "symbol", "no_code")
        elif shares is None or shares != int(shares):
            table.fault(row, names[0], "no_whole_shares")
        elif any(count != shares for count in counts):
            table.fault(row, names[1], "two_holdings")
        else:
            # A fund may appear once per shareholder account; the rows are summed.
            held[code] += int(shares)
    table.refuse_faults()
    return {code: shares for code, shares in sorted(held.items()) if shares}, table.sha256


def read_balance(path: str, seeds: Seeds) -> tuple[Decimal, str]:
    """Read the cash balance in CNY; return it and the file's SHA-256.

    Raises
    ------
    RefusedError
        The file or a cell cannot be read, or it does not have exactly one CNY row.
    """
    table = read_table(path, seeds.fields["balance"], ())
    names = ("cash",) if table.has("cash") else ("available", "frozen")
    if not table.has(names[0]):
        raise RefusedError(
            "column_missing", file=path, fields="cash", headers=", ".join(table.headers)
        )
    rows = [row for row in table.rows if table.text(row, "currency").casefold() in YUAN]
    if len(rows) != 1:
        raise RefusedError("balance_rows", file=path, found=len(rows))
    amounts = [table.value(rows[0], name, number, "no_number") for name in names if table.has(name)]
    if amounts[0] is None:
        table.fault(rows[0], names[0], "no_number")
    table.refuse_faults()
    return fen(sum((amount or Decimal(0) for amount in amounts), Decimal(0))), table.sha256


@dataclass(frozen=True)
class Flow:
    """A deposit (positive) or withdrawal (negative), CNY."""

    trade_date: dt.date
    amount: Decimal
    pool: str | None = None


def read_flows(path: str, seeds: Seeds) -> tuple[list[Flow], str]:
    """Read a file of deposits and withdrawals; return them and the file's SHA-256.

    Raises
    ------
    RefusedError
        The file or a cell cannot be read, or a pool is unknown.
    """
    table = read_table(path, seeds.fields["flows"], ("date", "amount"))
    flows = []
    for row in table.rows:
        date = table.value(row, "date", day, "no_date")
        amount = table.value(row, "amount", money, "no_money")
        pool = table.text(row, "pool") or None
        if pool is not None and pool not in seeds.weights:
            table.fault(row, "pool", "no_pool")
        elif date is not None and amount is not None:
            flows.append(Flow(date, amount, pool))
    table.refuse_faults()
    return flows, table.sha256
