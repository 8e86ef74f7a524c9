"""Selected funds of many rebalances, laid out by fund."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from etf_rotation.backtest.records import Selection


class LaidOut(Protocol):
    """Selections that `Accounts` reads by place, laid out by fund."""

    def add(self, selection: Any, /) -> int:
        """Return the place of what a schedule names."""

    def laid_out(self) -> dict[str, np.ndarray]:
        """Return arrays of shape (selections, funds).

        `is_target`, and of selected funds `weight`, `rank`, `adv20` (NaN if unknown),
        `raw_value` and `sector` (a code from 0, -1 for a broad fund).
        """


class Selections:
    """Selections given as mappings; equal objects are kept once."""

    def __init__(self, funds: int) -> None:
        self.funds = funds
        self.rows: list[Selection] = []
        self._places: dict[int, int] = {}

    def add(self, selection: Selection) -> int:
        """Return the place of a selection."""
        # By identity: rebalances that choose alike pass the same object.
        if id(selection) not in self._places:
            self._places[id(selection)] = len(self.rows)
            self.rows.append(selection)
        return self._places[id(selection)]

    def laid_out(self) -> dict[str, np.ndarray]:
        """Return arrays as in `LaidOut`; weight and rank are 0 where no fund is selected."""
        lengths = list(map(len, self.rows))
        rows = np.repeat(np.arange(len(self.rows)), lengths)
        columns = np.array([fund for own in self.rows for fund in own], int)
        targets = [target for own in self.rows for target in own.values()]
        codes: dict[str | None, int] = {None: -1}
        sectors = [codes.setdefault(target.sector, len(codes) - 1) for target in targets]
        adv20 = [np.nan if target.adv20 is None else target.adv20 for target in targets]
        values: dict[str, tuple[Any, list]] = {
            "is_target": (False, [True] * len(targets)),
            "weight": (0.0, [target.target_weight for target in targets]),
            "rank": (0, [target.rank for target in targets]),
            "adv20": (np.nan, adv20),
            "raw_value": (1.0, [target.raw_value for target in targets]),
            "sector": (-1, sectors),
        }
        grids = {}
        for name, (empty, own) in values.items():
            grids[name] = np.full((len(self.rows), self.funds), empty)
            grids[name][rows, columns] = own
        return grids
