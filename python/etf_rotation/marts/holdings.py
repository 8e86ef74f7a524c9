"""The user's own holdings, read from a file and checked."""

import csv
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from etf_rotation.errors import InputError

COLUMNS = ("pool", "symbol", "shares")
CASH = "CASH"


class Holdings(NamedTuple):
    """Holdings of one pool at the last close: CNY, and shares by symbol, above zero."""

    cash: float
    shares: dict[str, float]


class _Row(NamedTuple):
    line: int
    pool: str
    symbol: str
    shares: str


def read(
    path: str, *, pool_of: Mapping[str, str], pools: Collection[str], priced: Collection[str]
) -> dict[str, Holdings]:
    """Read a holdings file.

    Parameters
    ----------
    path : str
        A CSV file in UTF-8 with a header.
    pool_of, pools, priced
        As in `parse`.

    Returns
    -------
    dict of str to Holdings
        As `parse` returns it.

    Raises
    ------
    InputError
        The file cannot be read; and the errors of `parse`.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(
            f"holdings file {path} cannot be read: {why}; correct the var holdings_file (or "
            "ETF_HOLDINGS_FILE), or leave it out to get orders for the simulated holdings"
        ) from None
    return parse(text, name=path, pool_of=pool_of, pools=pools, priced=priced)


def parse(
    text: str,
    *,
    name: str,
    pool_of: Mapping[str, str],
    pools: Collection[str],
    priced: Collection[str],
) -> dict[str, Holdings]:
    """Check holdings and return them by pool.

    Parameters
    ----------
    text : str
        CSV with the columns pool, symbol, shares; others are ignored. Fractions of a
        share are allowed. The symbol `CASH` carries CNY; each pool in the file has one
        such row.
    name : str
        What to call the file in a message.
    pool_of : mapping of symbol to pool
        All funds of all pools, including pools outside this build.
    pools : collection of str
        The pools of this build. Rows of other pools are checked and dropped.
    priced : collection of str
        Funds of this build with at least one bar.

    Returns
    -------
    dict of str to Holdings
        Holdings of the pools that are in this build and in the file.

    Raises
    ------
    InputError
        One line per fault, with the file, its line, and what to do.
    """
    rows, faults = _read_rows(text)
    accounts: dict[str, dict[str, float]] = {}
    first_lines: dict[tuple[str, str], int] = {}
    for row in rows:
        fault = _fault_of_key(row, pool_of, pools, priced) or _fault_of_shares(row.shares)
        first = first_lines.setdefault((row.pool, row.symbol), row.line)
        if first < row.line:
            fault = f"{row.pool} {row.symbol} is already on line {first}; keep one of the two"
        if fault:
            faults.append((row.line, fault))
        else:
            accounts.setdefault(row.pool, {})[row.symbol] = float(row.shares)
    for pool in sorted({row.pool for row in rows} & set(pool_of.values())):
        if (pool, CASH) not in first_lines:
            line = next(row.line for row in rows if row.pool == pool)
            fault = f"pool {pool} has no {CASH} row; add the line {pool},{CASH},<its cash in CNY>"
            faults.append((line, fault))
    if not rows and not faults:
        faults.append((1, f"no holdings; add at least one line <pool>,{CASH},<its cash in CNY>"))
    if faults:
        lines = [f"holdings file {name}, line {line}: {fault}" for line, fault in sorted(faults)]
        raise InputError("\n".join(lines))

    return {
        pool: Holdings(
            cash=account.pop(CASH),
            shares={symbol: n for symbol, n in sorted(account.items()) if n > 0},
        )
        for pool, account in sorted(accounts.items())
        if pool in pools
    }


def _read_rows(text: str) -> tuple[list[_Row], list[tuple[int, str]]]:
    lines = csv.reader(text.splitlines())
    header = [column.strip() for column in next(lines, [])]
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        columns = ", ".join(COLUMNS)
        fault = f"no column {', '.join(missing)}; the first line must name the columns {columns}"
        return [], [(1, fault)]
    rows, faults = [], []
    for values in lines:
        if not any(value.strip() for value in values):
            continue
        if len(values) == len(header):
            row = dict(zip(header, values, strict=True))
            rows.append(_Row(lines.line_num, *(row[column].strip() for column in COLUMNS)))
        else:
            fault = f"{len(values)} values under {len(header)} columns; write one for each"
            faults.append((lines.line_num, fault))
    return rows, faults


def _fault_of_key(
    row: _Row, pool_of: Mapping[str, str], pools: Collection[str], priced: Collection[str]
) -> str | None:
    known = sorted(set(pool_of.values()))
    if row.pool not in known:
        return f"pool {row.pool!r} is unknown; write one of {', '.join(known)}"
    if row.symbol == CASH:
        return None
    if row.symbol not in pool_of:
        return f"fund {row.symbol!r} is in no pool; correct it, or take the line out"
    if pool_of[row.symbol] != row.pool:
        return f"fund {row.symbol} is not in pool {row.pool}; write {pool_of[row.symbol]}"
    if row.pool in pools and row.symbol not in priced:
        return f"fund {row.symbol} has no bar, so no price; add its raw file, or take the line out"
    return None


def _fault_of_shares(text: str) -> str | None:
    try:
        shares = float(text)
    except ValueError:
        shares = math.nan
    if not math.isfinite(shares):
        return f"shares {text!r} is not a number; write plain digits, no separators and no unit"
    if shares < 0:
        return f"shares {text} is negative; write what is held, zero or more"
    return None
