"""Find the orders that were last published before a session opened."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from etf_rotation.reconcile.aliases import Seeds
from etf_rotation.reconcile.cells import SHANGHAI
from etf_rotation.reconcile.findings import Finding, broken, note
from etf_rotation.reconcile.orders import Costs, Order, sendable
from etf_rotation.reconcile.storage import Store, read_sealed
from etf_rotation.reconcile.texts import RefusedError

# Start of the opening call auction.
AUCTION = dt.time(9, 15)
COSTS = ("slippage_bps", "commission_bps", "min_commission_cny")


@dataclass(frozen=True)
class Published:
    """Orders of a session and their origin; `run_id` is None for a user's file."""

    orders: Sequence[Order]
    run_id: str | None
    published_at: str | None
    costs: Costs

    def as_dict(self) -> dict[str, Any]:
        """Return the origin as JSON values."""
        return {"run_id": self.run_id, "published_at": self.published_at}


def content_of(
    rows: Sequence[Mapping[str, Any]],
    seeds: Seeds,
    *,
    run_id: str,
    published_at: dt.datetime,
    variables: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of a publication file.

    Parameters
    ----------
    rows : sequence of mapping
        `marts.next_session_orders` of the run.
    seeds : Seeds
    run_id : str
    published_at : datetime
        In Shanghai.
    variables : mapping
        The run's vars, including the costs that its backtest assumes.
    """
    traded = [row for row in rows if not row["is_simulated_pool"]]
    return {
        "run_id": run_id,
        "published_at": published_at.isoformat(timespec="seconds"),
        "trade_dates": sorted({str(row["trade_date"]) for row in traded}),
        "costs": {name: variables[name] for name in COSTS},
        "orders": [order.as_dict() for order in sendable(traded, seeds.name_of, "en")],
    }


class Publications:
    """All recorded publications, read once."""

    def __init__(self, store: Store, costs: Costs):
        self.costs = costs
        self.findings: list[Finding] = []
        self._kept: list[dict[str, Any]] = []
        for path in store.publications():
            try:
                self._kept.append(read_sealed(path)[0])
            except RefusedError as refused:
                self.findings.append(
                    broken("damaged_orders", blocks_holdings=False, **refused.values)
                )

    def of(self, session: dt.date) -> tuple[Published | None, list[Finding]]:
        """Return the orders of a session and findings about them.

        If every publication is later than the auction, the first one is used and a note
        says so.
        """
        auction = dt.datetime.combine(session, AUCTION, SHANGHAI)
        kept = [one for one in self._kept if session.isoformat() in one["trade_dates"]]
        kept.sort(key=lambda one: dt.datetime.fromisoformat(one["published_at"]))
        early = [one for one in kept if dt.datetime.fromisoformat(one["published_at"]) < auction]
        if not kept:
            return None, [note("no_orders", session=session)]
        chosen = early[-1] if early else kept[0]
        findings = (
            []
            if early
            else [note("late_orders", run_id=chosen["run_id"], published_at=chosen["published_at"])]
        )
        orders = [Order.from_dict(order) for order in chosen["orders"]]
        return Published(
            [order for order in orders if order.trade_date == session],
            chosen["run_id"],
            chosen["published_at"],
            Costs.of(chosen["costs"]),
        ), findings


def from_file(
    orders: Sequence[Order], session: dt.date, costs: Costs
) -> tuple[Published, list[Finding]]:
    """Return the orders of a session from a file given by the user."""
    own = [order for order in orders if order.trade_date == session]
    findings = [] if own else [note("no_orders", session=session)]
    return Published(own, None, None, costs), findings
