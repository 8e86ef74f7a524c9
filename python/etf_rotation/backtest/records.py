"""Records of accounts: their parameters, their targets, and the trail of their trading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import numpy as np

from etf_rotation.contracts import schema_of
from etf_rotation.signals.weights import EQUAL

# Reasons of an order, or obstacles to its fill; `ended` is the payout of an ended fund.
ENTERED, INCREASED, LEFT, REDUCED, ENDED = range(5)
SUSPENDED, LIMIT_UP, LIMIT_DOWN, CASH = range(5, 9)
REASONS = (
    "entered",
    "increased",
    "left_selection",
    "reduced",
    "ended",
    "suspended",
    "limit_up",
    "limit_down",
    "cash",
)
FILLED = ENDED  # reasons up to it belong to fills


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Capital, limits, costs and rules of a strategy in one pool."""

    strategy: str
    pool: str
    target_capital: float  # CNY
    start_funds: int  # eligible funds that the first rebalance needs
    tranches: int = 1
    weighting: str = EQUAL
    redistribute: bool = False
    max_single_weight: float
    max_sector_weight: float
    max_adv_pct: float  # fraction of ADV20
    enforce_adv: bool
    carry_over: bool
    min_weight_change: float  # fraction of equity
    slippage_bps: float
    commission_bps: float
    min_commission_cny: float
    lot_size: int  # shares

    def __post_init__(self) -> None:
        """Reject values with which the simulation would make no sense."""
        for name in ("target_capital", "start_funds", "tranches", "max_adv_pct", "lot_size"):
            if not getattr(self, name) > 0:
                raise ValueError(f"parameters, pool {self.pool}: {name} is not above zero")
        for name in ("min_weight_change", "slippage_bps", "commission_bps", "min_commission_cny"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"parameters, pool {self.pool}: {name} is below zero")


PARAMETERS_SCHEMA = schema_of(Parameters)


class Target(NamedTuple):
    """The nominal weight of a selected fund, from bars up to `as_of_date`; ADV20 in CNY.

    `raw_value` is what the weighting takes of the fund (see `signals.weights.redistribute`), and
    `sector` its category, None for a broad fund; both count only where weights are redistributed.
    """

    as_of_date: date
    target_weight: float
    rank: int
    adv20: float | None
    raw_value: float = 1.0
    sector: str | None = None


Selection = Mapping[int, Target]  # by the fund's column in `Prices`


class Order(NamedTuple):
    """An open order: the shares to hold once it is filled.

    `rank` is that of the selected fund; 0 for a fund that left the selection.
    """

    target_shares: float
    rank: int


class Rebalanced(NamedTuple):
    """The funds of every rebalance, one array per field; equities and price in CNY."""

    account: np.ndarray
    session: np.ndarray
    fund: np.ndarray
    target_weight: np.ndarray
    target_shares: np.ndarray
    price: np.ndarray
    equity: np.ndarray
    equity_as_of: np.ndarray


class Attempts(NamedTuple):
    """Attempts to fill an order, and payouts, one array per field; amounts in CNY.

    `reason` is an index into `REASONS`. Up to `FILLED` the order was filled; above it the reason
    names the obstacle, and the amounts are NaN.
    """

    account: np.ndarray
    session: np.ndarray
    fund: np.ndarray
    is_buy: np.ndarray
    is_carry_over: np.ndarray
    shares: np.ndarray
    reason: np.ndarray
    price: np.ndarray
    value: np.ndarray
    commission: np.ndarray
    slippage: np.ndarray

    @property
    def is_filled(self) -> np.ndarray:
        """Whether shares and cash changed hands."""
        return self.reason <= FILLED


class States(NamedTuple):
    """Cash in CNY and shares at a close, valid until the account's next state; (rows,) each."""

    account: np.ndarray
    session: np.ndarray
    cash: np.ndarray
    shares: np.ndarray  # (rows, funds)


class Trail(NamedTuple):
    """The record of accounts; the rows of an account are in the order of events."""

    capital: np.ndarray  # (accounts,), CNY before the first session
    states: States
    rebalanced: Rebalanced
    attempts: Attempts

    def part(self, accounts: range, funds: int) -> Trail:
        """Return the trail of consecutive accounts, numbered from 0, and of their funds."""
        ends = [accounts.start, accounts.stop]

        def part(table: Any) -> Any:
            rows = slice(*np.searchsorted(table.account, ends))
            account, *others = (column[rows] for column in table)
            return type(table)(account - accounts.start, *others)

        states = part(self.states)
        if len(states.account):
            states = states._replace(shares=states.shares[:, :funds])
        return Trail(self.capital[slice(*ends)], states, part(self.rebalanced), part(self.attempts))


def rows_of(accounts: np.ndarray, account: int) -> slice:
    """Return the rows of one account in a table that is sorted by account."""
    return slice(*np.searchsorted(accounts, [account, account + 1]))
