"""The prices of several pools in one array each, one pool below the other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from etf_rotation.backtest.prices import Prices


class Market:
    """Prices by row and fund: the sessions of each pool are consecutive rows.

    Parameters
    ----------
    pools : mapping of str to Prices
        The prices of each pool.

    Attributes
    ----------
    begins, ends : dict of str to int
        The first row of each pool, and the row after its last.
    funds : int
        Funds of the largest pool. Rows of other pools end with funds that have no bar.
    """

    def __init__(self, pools: Mapping[str, Prices]) -> None:
        self.pools = pools
        counts = [len(own.dates) for own in pools.values()]
        ends = np.cumsum(counts, dtype=int).tolist()
        self.ends = dict(zip(pools, ends, strict=True))
        begins = [end - count for end, count in zip(ends, counts, strict=True)]
        self.begins = dict(zip(pools, begins, strict=True))
        self.funds = max(len(own.symbols) for own in pools.values())

    def _stacked(self, name: str, missing: float) -> np.ndarray:
        grids = [getattr(own, name) for own in self.pools.values()]
        if len(grids) == 1:
            return grids[0]
        rows = np.full((sum(map(len, grids)), self.funds), missing, grids[0].dtype)
        for grid, begin in zip(grids, self.begins.values(), strict=True):
            rows[begin : begin + len(grid), : grid.shape[1]] = grid
        return rows

    @cached_property
    def open(self) -> np.ndarray:
        """The open, NaN without a bar."""
        return self._stacked("open", np.nan)

    @cached_property
    def known_closes(self) -> np.ndarray:
        """The last close; 0 before the first bar."""
        return self._stacked("known_closes", 0.0)

    @cached_property
    def open_or_close(self) -> np.ndarray:
        """The open, else the last close; NaN before the first bar."""
        return self._stacked("open_or_close", np.nan)

    @cached_property
    def ratios(self) -> np.ndarray:
        """New shares per old share at a corporate action, else 1."""
        return self._stacked("ratios", 1.0)

    @cached_property
    def has_ended(self) -> np.ndarray:
        """Whether the fund ends on the session."""
        return self._stacked("has_ended", False)

    @cached_property
    def is_limit_up(self) -> np.ndarray:
        """Whether the open is at or above the upper limit."""
        return self._stacked("is_limit_up", False)

    @cached_property
    def is_limit_down(self) -> np.ndarray:
        """Whether the open is at or below the lower limit."""
        return self._stacked("is_limit_down", False)

    @cached_property
    def has_event(self) -> np.ndarray:
        """Whether the session has a corporate action or an ending, (rows,)."""
        return (self.ratios != 1).any(axis=1) | self.has_ended.any(axis=1)

    @cached_property
    def next_events(self) -> np.ndarray:
        """Per row, the next row of the pool with an event, else the pool's end."""
        parts = [
            own.next_events + begin
            for own, begin in zip(self.pools.values(), self.begins.values(), strict=True)
        ]
        return np.concatenate(parts)
