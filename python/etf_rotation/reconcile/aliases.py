"""Header aliases, business words and pools, read from the seeds."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path

from etf_rotation.reconcile.cells import clean
from etf_rotation.reconcile.texts import RefusedError

STATEMENTS = ("fills", "positions", "balance", "flows")
# A file may have several columns of these fields, and one column of any other.
REPEATABLE = ("fee", "fee_or_sum", "fill_id", "order_reference", "remark")
KINDS = (
    "buy",
    "sell",
    "dividend",
    "interest",
    "deposit",
    "withdrawal",
    "transfer",
    "fee",
    "split",
    "none",
)
UNKNOWN = "unknown"
_UNIT = re.compile(r"\((元|股|份|人民币|人民币元)\)$")


def heading(text: str) -> str:
    """Normalize a header as in the seed: lower case, no blanks, no unit in brackets."""
    return _UNIT.sub("", re.sub(r"\s", "", clean(text))).casefold()


@dataclass(frozen=True)
class Action:
    """A split or consolidation: each share becomes `ratio` shares."""

    symbol: str
    ratio: Decimal


@dataclass(frozen=True)
class Seeds:
    """The seeds that reconciliation reads from CSV, so that it needs no build.

    Attributes
    ----------
    fields : dict of statement to dict of heading to field kinds : dict of business word
    to its kind, one of `KINDS` pool_of, name_of : dict of symbol to pool and to the
    fund's name weights : dict of pool to its fraction of the portfolio, for all of
    `pool_constraints` actions : dict of ISO date to the splits of that session
    """

    fields: dict[str, dict[str, str]]
    kinds: dict[str, str]
    pool_of: dict[str, str]
    name_of: dict[str, str]
    weights: dict[str, Decimal]
    actions: dict[str, list[Action]]

    @cached_property
    def symbol_of_code(self) -> dict[str, str]:
        """The funds of the pools by their six digits."""
        return {symbol[:6]: symbol for symbol in self.pool_of}

    @property
    def traded(self) -> list[str]:
        """The pools with a portfolio weight, sorted; others are only simulated."""
        return sorted(pool for pool, weight in self.weights.items() if weight > 0)

    def kind(self, word: str) -> str:
        """Return the kind of a business word, `UNKNOWN` if the seed lacks it."""
        return self.kinds.get(word.casefold(), UNKNOWN)


def read_seeds(folder: Path) -> Seeds:
    """Read the seeds.

    Raises
    ------
    RefusedError
        A header or word that stands twice with different meanings, or an unknown kind.
    """
    fields: dict[str, dict[str, str]] = {statement: {} for statement in STATEMENTS}
    for line, row in _rows(folder, "broker_headers"):
        if row["statement"] not in fields:
            raise RefusedError(
                "seed_value", seed="broker_headers", line=line, allowed=", ".join(STATEMENTS)
            )
        _put(fields[row["statement"]], heading(row["header"]), row["field"], "broker_headers", line)
    kinds: dict[str, str] = {}
    for line, row in _rows(folder, "broker_words"):
        if row["kind"] not in KINDS:
            raise RefusedError(
                "seed_value", seed="broker_words", line=line, allowed=", ".join(KINDS)
            )
        _put(kinds, clean(row["word"]).casefold(), row["kind"], "broker_words", line)
    funds = [row for _, row in _rows(folder, "etf_pools")]
    actions: dict[str, list[Action]] = {}
    for _, row in _rows(folder, "corporate_actions"):
        action = Action(row["symbol"], Decimal(row["share_ratio"]))
        actions.setdefault(row["trade_date"], []).append(action)
    return Seeds(
        fields=fields,
        kinds=kinds,
        pool_of={row["symbol"]: row["pool"] for row in funds},
        name_of={row["symbol"]: row["name"] for row in funds},
        weights={
            row["pool"]: Decimal(row["portfolio_weight"])
            for _, row in _rows(folder, "pool_constraints")
        },
        actions=actions,
    )


def _rows(folder: Path, name: str) -> Iterator[tuple[int, dict[str, str]]]:
    with (folder / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            yield reader.line_num, row


def _put(table: dict[str, str], key: str, value: str, seed: str, line: int) -> None:
    if table.setdefault(key, value) != value:
        raise RefusedError("seed_twice", seed=seed, line=line)
