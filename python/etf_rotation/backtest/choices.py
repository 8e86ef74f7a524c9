"""The selections of every tranche of every strategy, at each offset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from etf_rotation.backtest.prices import Prices
from etf_rotation.backtest.records import Parameters
from etf_rotation.signals.selection import Rules, first_sessions, nominal_weight
from etf_rotation.signals.selection_arrays import RankingRules, Rankings, choose_rows
from etf_rotation.signals.weight_arrays import Selected, redistribute_rows

# Offsets of a period, and how far apart its tranches are, in sessions.
OFFSETS = {"monthly": 20, "weekly": 5}
STEPS = {"monthly": 5, "weekly": 1}


class Rhythm(NamedTuple):
    """When a strategy is rebalanced."""

    rebalance: str
    rebalance_offset: int


class Tranche(NamedTuple):
    """A tranche: the number of its sessions in their period, and its first rebalance."""

    number: int
    first: int | None


class Eligible(NamedTuple):
    """The eligible funds of a strategy in a pool: s sessions, f funds, p places."""

    funds: np.ndarray  # (s, p), columns of the funds, best first; 0 beyond the last
    counts: np.ndarray  # (s,), eligible funds
    ranks: np.ndarray  # (s, f), 0 where a fund is not eligible
    adv20: np.ndarray  # (s, f), CNY
    raw_values: np.ndarray  # (s, f)
    sectors: np.ndarray  # (f,), codes of categories; -1 for a broad fund


class Strategy(NamedTuple):
    """A strategy in a pool; `numbers` are the sessions of each number in a period."""

    prices: Prices
    eligible: Eligible
    numbers: Mapping[int, np.ndarray]
    rules: Rules
    rhythm: Rhythm
    parameters: Parameters

    def tranches_by_offset(self) -> dict[int, list[Tranche]]:
        """Return the tranches of each offset; nothing if one of the offsets never begins."""
        step, count = STEPS[self.rhythm.rebalance], OFFSETS[self.rhythm.rebalance]
        eligible = {
            number: dict(zip(own.tolist(), self.eligible.counts[own].tolist(), strict=True))
            for number, own in self.numbers.items()
        }
        tranches = {}
        for offset in range(count):
            numbers = [(offset + step * n) % count for n in range(self.rules.tranches)]
            firsts = first_sessions([eligible[n] for n in numbers], self.rules.start_funds)
            if firsts[0] is None:
                return {}
            tranches[offset] = list(map(Tranche, numbers, firsts))
        return tranches

    def sessions(self, tranche: Tranche) -> np.ndarray:
        """Return the rebalance sessions of a tranche, from its first on."""
        own = self.numbers[tranche.number]
        return own[:0] if tranche.first is None else own[own >= tranche.first]


class Choices:
    """The selections of tranches of many strategies, in the form that `Accounts` reads."""

    def __init__(self, strategies: Sequence[Strategy]) -> None:
        self.strategies = strategies
        self.width = max(len(own.prices.symbols) for own in strategies)
        lengths = [len(own.prices.dates) for own in strategies]
        self._begins = np.cumsum([0, *lengths[:-1]])
        self._rules = RankingRules(
            np.array([own.rules.top_n or 0 for own in strategies]),
            *(
                np.array([getattr(own.rules, name) for own in strategies])
                for name in RankingRules._fields[1:]
            ),
        )
        self._sectors = np.full((len(strategies), self.width), -1)
        for row, strategy in zip(self._sectors, strategies, strict=True):
            row[: len(strategy.eligible.sectors)] = strategy.eligible.sectors
        # Rows are the sessions of the strategies, one strategy below the other.
        self._grids = {
            name: self._stacked([getattr(own.eligible, grid) for own in strategies])
            for name, grid in (("rank", "ranks"), ("adv20", "adv20"), ("raw_value", "raw_values"))
        }
        funds = self._stacked([own.eligible.funds for own in strategies])
        counts = np.concatenate([own.eligible.counts for own in strategies])
        owners = np.repeat(np.arange(len(strategies)), lengths)
        # Only raw weights of a strategy's own can be missing.
        can_take = np.take_along_axis(~np.isnan(self._grids["raw_value"]), funds, axis=1)
        self._rankings = Rankings(
            funds,
            np.arange(funds.shape[1]) < counts[:, None],
            can_take,
            self._sectors[owners[:, None], funds],
        )
        self._places: dict[tuple[int, Tranche], np.ndarray] = {}
        # Strategy, session and selected funds of each selection.
        self._owners: list[np.ndarray] = []
        self._sessions: list[np.ndarray] = []
        self._is_target: list[np.ndarray] = []
        self._count = 0

    @staticmethod
    def _stacked(grids: Sequence[np.ndarray]) -> np.ndarray:
        width = max(grid.shape[1] for grid in grids)
        rows = np.zeros((sum(map(len, grids)), width), grids[0].dtype)
        begin = 0
        for grid in grids:
            rows[begin : begin + len(grid), : grid.shape[1]] = grid
            begin += len(grid)
        return rows

    def choose(self, tranches: Sequence[tuple[int, Tranche]]) -> list[dict[int, int]]:
        """Return the places of each tranche's selections by session."""
        bound = [own for own in tranches if self.strategies[own[0]].rules.keep_rank > 1]
        for n in {n for n, _ in tranches} - {n for n, _ in bound}:
            self._choose_each(n, [own for own in tranches if own[0] == n])
        self._choose_in_turn(bound)
        return [
            dict(
                zip(
                    self.strategies[own[0]].sessions(own[1]).tolist(),
                    self._places[own].tolist(),
                    strict=True,
                )
            )
            for own in tranches
        ]

    def _keep(self, owners: np.ndarray, sessions: np.ndarray, is_target: np.ndarray) -> int:
        """Store selections; return the place of the first."""
        self._owners.append(owners)
        self._sessions.append(sessions)
        self._is_target.append(is_target)
        self._count += len(sessions)
        return self._count - len(sessions)

    def _choose_each(self, n: int, tranches: Sequence[tuple[int, Tranche]]) -> None:
        """Select per session without memory, so that tranches share selections."""
        strategy = self.strategies[n]
        each = [strategy.sessions(tranche) for _, tranche in tranches]
        sessions = np.unique(np.concatenate(each))
        owners = np.full(len(sessions), n)
        begin = self._keep(owners, sessions, self._choose_rows(owners, sessions))
        for own, at in zip(tranches, each, strict=True):
            self._places[own] = begin + np.searchsorted(sessions, at)

    def _choose_in_turn(self, tranches: Sequence[tuple[int, Tranche]]) -> None:
        """Select session by session: each tranche depends on its previous selection."""
        owners = np.array([n for n, _ in tranches], int)
        sessions = [self.strategies[n].sessions(tranche) for n, tranche in tranches]
        lengths = np.array(list(map(len, sessions)), int)
        grid = np.zeros((len(tranches), lengths.max(initial=0)), int)
        places = np.zeros(grid.shape, int)
        for row, own in enumerate(sessions):
            grid[row, : len(own)] = own
        previous = np.zeros((len(tranches), self.width), bool)
        for turn in range(grid.shape[1]):
            rows = np.flatnonzero(lengths > turn)
            at = grid[rows, turn]
            previous[rows] = self._choose_rows(owners[rows], at, previous[rows])
            begin = self._keep(owners[rows], at, previous[rows])
            places[rows, turn] = begin + np.arange(len(rows))
        for tranche, at, length in zip(tranches, places, lengths.tolist(), strict=True):
            self._places[tranche] = at[:length]

    def _choose_rows(
        self, owners: np.ndarray, sessions: np.ndarray, previous: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the selected funds of each strategy on its session, (rows, funds)."""
        at = self._begins[owners] + sessions
        rankings = Rankings(*(grid.take(at, axis=0) for grid in self._rankings))
        rules = RankingRules(*(values[owners] for values in self._rules))
        rows, places = np.nonzero(choose_rows(rankings, rules, previous))
        is_target = np.zeros((len(owners), self.width), bool)
        is_target[rows, rankings.funds[rows, places]] = True
        return is_target

    # -- the interface that Accounts uses ----------------------------------------------

    def add(self, place: int) -> int:
        """Return the place of a selection that is already stored."""
        return place

    def laid_out(self) -> dict[str, np.ndarray]:
        """Return arrays as in `LaidOut`."""
        is_target = np.concatenate(self._is_target)
        owners = np.concatenate(self._owners)
        rows = self._begins[owners] + np.concatenate(self._sessions)
        grids = {"is_target": is_target, "sector": self._sectors.take(owners, axis=0)}
        for name, grid in self._grids.items():
            grids[name] = grid.take(rows, axis=0)
        rules = [own.rules for own in self.strategies]
        single = np.array([own.max_single_weight for own in rules])
        nominal = np.array([nominal_weight(own) if own.top_n else 0.0 for own in rules])
        weight = np.where(is_target, nominal[owners][:, None], 0.0)
        shares_out = np.flatnonzero(np.array([own.redistribute for own in rules])[owners])
        own = owners[shares_out]
        weight[shares_out] = redistribute_rows(
            Selected(
                np.array([own.weighting for own in rules])[own],
                is_target[shares_out],
                grids["raw_value"][shares_out],
                grids["sector"][shares_out],
                single[own],
                np.array([own.max_sector_weight for own in rules])[own],
            )
        )
        return grids | {"weight": weight}
