"""The orders that a session's fills are held against: those last published before its opening."""

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

# The opening call auction takes orders from here on.
AUCTION = dt.time(9, 15)
COSTS = ("slippage_bps", "commission_bps", "min_commission_cny")


@dataclass(frozen=True)
class Published:
    """A session's orders, and where they are from; `run_id` is None for a file of the user's."""

    orders: Sequence[Order]
    run_id: str | None
    published_at: str | None
    costs: Costs

    def as_dict(self) -> dict[str, Any]:
        """Return what a kept day says of them."""
        return {"run_id": self.run_id, "published_at": self.published_at}


def content_of(
    rows: Sequence[Mapping[str, Any]],
    seeds: Seeds,
    *,
    run_id: str,
    published_at: dt.datetime,
    variables: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what is kept of a publication.

    Parameters
    ----------
    rows : sequence of mapping
        `marts.next_session_orders` of the run.
    seeds : Seeds
    run_id : str
    published_at : datetime
        In Shanghai.
    variables : mapping
        The run's vars, which hold the costs that its backtest assumes.
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
    """All publications that are kept, read once."""

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
        """Return the orders of a session, and what is to be said of them.

        Where all of its orders were published too late for the auction, the first ones count, and
        a line says so.
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
    """Return a session's orders from a file that was read."""
    own = [order for order in orders if order.trade_date == session]
    findings = [] if own else [note("no_orders", session=session)]
    return Published(own, None, None, costs), findings
