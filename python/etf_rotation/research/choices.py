"""The funds that tranches of many variants select, many rankings at once.

The rules are those of `signals.selection`, which handles one ranking at a time. A test
compares both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from etf_rotation.backtest.accounts import Selection, Target
from etf_rotation.research.data import PoolData, scores_of
from etf_rotation.signals.selection import LIMIT_TOLERANCE, Rules
from etf_rotation.signals.weights import EQUAL, OWN, Limits, redistribute


class Chain(NamedTuple):
    """The settings that determine a tranche's selections."""

    factors: tuple[str, ...]
    weighting: str
    top_n: int | None
    keep_rank: float
    redistribute: bool
    rebalance: str
    number: int  # of the rebalance session in its period
    first: int  # first session


class Rankings(NamedTuple):
    """Rankings of f funds on w sessions, best first."""

    order: np.ndarray  # (w, f), funds
    is_eligible: np.ndarray  # (w, f), by place in the order
    ranks: np.ndarray  # (w, f), by fund, from 1


def rank(data: PoolData, factors: Sequence[str], weighting: str) -> Rankings:
    """Rank the funds of every session by score; ties go by symbol."""
    scores = scores_of(data, factors)
    order = np.argsort(-scores, axis=1, kind="stable")
    is_eligible = data.is_eligible[weighting] & ~np.isnan(scores)
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, order.shape[1] + 1)[None, :], axis=1)
    return Rankings(order, np.take_along_axis(is_eligible, order, axis=1), ranks)


class Chosen:
    """The selections of chains by session, in the form that `Accounts` reads."""

    def __init__(self, data: PoolData, rules: Rules) -> None:
        self.data, self.rules = data, rules
        self.funds = len(data.prices.symbols)
        _, codes = np.unique(np.array(data.sectors), return_inverse=True)
        self.sector_codes = np.where(data.is_broad, -1, codes)
        self._rankings: dict[tuple, Rankings] = {}
        self._parts: dict[str, list[np.ndarray]] = {
            name: [] for name in ("is_target", "weight", "rank", "place")
        }
        self._weightings: list[str] = []
        self._count = 0

    def rankings(self, factors: Sequence[str], weighting: str) -> Rankings:
        """Return the rankings of a subset of factors, computed once."""
        key = tuple(factors), weighting
        if key not in self._rankings:
            self._rankings[key] = rank(self.data, factors, weighting)
        return self._rankings[key]

    # -- the interface that Accounts uses ----------------------------------------------

    @property
    def rows(self) -> Chosen:
        """The selections by place."""
        return self

    def __getitem__(self, place: int) -> Selection:
        """Return one selection as targets by fund."""
        session = self.grids["place"][place]
        weighting = self._weightings[place]
        raw_values = self.data.raw_values[weighting][session]
        as_of_date = self.data.prices.dates[self.data.sessions[session] - 1]
        return {
            fund: Target(
                as_of_date,
                self.grids["weight"].item(place, fund),
                self.grids["rank"].item(place, fund),
                self.data.adv20.item(session, fund),
                1.0 if weighting == EQUAL else raw_values.item(fund),
                None if self.data.is_broad[fund] else self.data.sectors[fund],
            )
            for fund in np.flatnonzero(self.grids["is_target"][place]).tolist()
        }

    def add(self, place: int) -> int:
        """Return the place of a selection that is already stored."""
        return place

    def laid_out(self) -> dict[str, np.ndarray]:
        """Return arrays (selections, funds), zero where a fund is not selected."""
        self.grids = {name: np.concatenate(parts) for name, parts in self._parts.items()}
        is_target = self.grids["is_target"]
        adv20 = np.where(is_target, self.data.adv20[self.grids["place"]], np.nan)
        return {name: self.grids[name] for name in ("is_target", "weight", "rank")} | {
            "adv20": adv20
        }

    # -- selecting ---------------------------------------------------------------------

    def choose(self, chains: Iterable[Chain]) -> dict[Chain, dict[int, int]]:
        """Return the places of each chain's selections by session."""
        chains = list(dict.fromkeys(chains))
        free = [own for own in chains if own.keep_rank == 1]
        bound = [own for own in chains if own.keep_rank != 1]
        return self._choose_each(free) | self._choose_in_turn(bound)

    def _sessions(self, chain: Chain) -> np.ndarray:
        sessions = self.data.rebalances[chain.rebalance, chain.number]
        return sessions[sessions >= chain.first]

    def _choose_each(self, chains: Sequence[Chain]) -> dict[Chain, dict[int, int]]:
        """Select per session without memory, so that tranches can share selections."""
        found = {}
        by_rules = sorted(chains, key=_sort_key)
        for _, group in groupby(by_rules, key=_sort_key):
            own = list(group)
            sessions = np.unique(np.concatenate([self._sessions(chain) for chain in own]))
            places = np.searchsorted(self.data.sessions, sessions)
            count = len(places)
            is_target = self._walk([own[0]] * count, places, None)
            begin = self._keep(own[0], places, is_target)
            for chain in own:
                at = self._sessions(chain)
                rows = begin + np.searchsorted(sessions, at)
                found[chain] = dict(zip(at.tolist(), rows.tolist(), strict=True))
        return found

    def _choose_in_turn(self, chains: Sequence[Chain]) -> dict[Chain, dict[int, int]]:
        """Select session by session: each chain depends on its previous selection."""
        if not chains:
            return {}
        sessions = [self._sessions(chain) for chain in chains]
        previous = np.zeros((len(chains), self.funds), bool)
        found: dict[Chain, list[np.ndarray]] = {chain: [] for chain in chains}
        for turn in range(max(map(len, sessions))):
            rows = [n for n, own in enumerate(sessions) if turn < len(own)]
            own = [chains[n] for n in rows]
            places = np.searchsorted(self.data.sessions, [sessions[n][turn] for n in rows])
            previous[rows] = self._walk(own, places, previous[rows])
            for n in rows:
                found[chains[n]].append(previous[n].copy())
        result = {}
        for chain, at in zip(chains, sessions, strict=True):
            places = np.searchsorted(self.data.sessions, at)
            begin = self._keep(chain, places, np.array(found[chain]).reshape(-1, self.funds))
            result[chain] = dict(zip(at.tolist(), range(begin, begin + len(at)), strict=True))
        return result

    def _walk(
        self, chains: Sequence[Chain], places: np.ndarray, previous: np.ndarray | None
    ) -> np.ndarray:
        """Return the selected funds, (rows, funds), one row per chain and session."""
        keys = [(chain.factors, chain.weighting) for chain in chains]
        order = np.empty((len(chains), self.funds), int)
        is_eligible = np.empty((len(chains), self.funds), bool)
        can_take = np.ones_like(is_eligible)
        for key in dict.fromkeys(keys):
            rows = [n for n, own in enumerate(keys) if own == key]
            rankings = self.rankings(*key)
            order[rows] = rankings.order[places[rows]]
            is_eligible[rows] = rankings.is_eligible[places[rows]]
            if key[1] == OWN:
                has_raw = ~np.isnan(self.data.raw_values[OWN][places[rows]])
                can_take[rows] = np.take_along_axis(has_raw, order[rows], axis=1)
        top_n = np.array([chain.top_n or 0 for chain in chains])
        if previous is not None:
            keep_rank = np.array([chain.keep_rank for chain in chains])
            place = np.cumsum(is_eligible, axis=1)
            longest = np.maximum(top_n, np.minimum(keep_rank * top_n, place[:, -1] / 2))
            stays = is_eligible & np.take_along_axis(previous, order, axis=1)
            stays &= place <= longest[:, None]
            first = np.argsort(~stays, axis=1, kind="stable")
            order, is_eligible, can_take = (
                np.take_along_axis(grid, first, axis=1) for grid in (order, is_eligible, can_take)
            )
        return self._take(order, is_eligible & can_take, top_n)

    def _take(self, order: np.ndarray, is_open: np.ndarray, top_n: np.ndarray) -> np.ndarray:
        """Take funds in ranking order unless one breaks a limit."""
        rules, rows = self.rules, np.arange(len(order))
        has_top_n = top_n > 0
        weight = np.minimum(1 / np.maximum(top_n, 1), rules.max_single_weight)
        sector_limit = rules.max_sector_weight * (1 + LIMIT_TOLERANCE)
        taken, broad_funds = np.zeros(len(order), int), np.zeros(len(order), int)
        in_sector = np.zeros((len(order), self.sector_codes.max(initial=0) + 1), int)
        is_target = np.zeros(order.shape, bool)
        for place in range(order.shape[1]):
            fund = order[:, place]
            sector, is_broad = self.sector_codes[fund], self.data.is_broad[fund]
            is_full = has_top_n & (taken == top_n)
            is_over = is_broad & (broad_funds == rules.max_broad_funds)
            is_over |= ~is_broad & ((in_sector[rows, sector] + 1) * weight > sector_limit)
            takes = is_open[:, place] & ~is_full & ~(has_top_n & is_over)
            taken += takes
            broad_funds += takes & is_broad
            in_sector[rows, sector] += takes & ~is_broad
            is_target[rows, fund] = takes
        return is_target

    def _keep(self, chain: Chain, places: np.ndarray, is_target: np.ndarray) -> int:
        """Store selections with their weights; return the place of the first."""
        begin = self._count
        self._count += len(places)
        if chain.redistribute:
            weight = self._redistributed(chain.weighting, places, is_target)
        else:
            nominal = min(1 / chain.top_n, self.rules.max_single_weight)
            weight = np.where(is_target, nominal, 0.0)
        ranks = self.rankings(chain.factors, chain.weighting).ranks[places]
        parts = {
            "is_target": is_target,
            "weight": weight,
            "rank": np.where(is_target, ranks, 0),
            "place": places,
        }
        for name, part in parts.items():
            self._parts[name].append(part)
        self._weightings += [chain.weighting] * len(places)
        return begin

    def _redistributed(
        self, weighting: str, places: np.ndarray, is_target: np.ndarray
    ) -> np.ndarray:
        weight = np.zeros(is_target.shape)
        limits = Limits(self.rules.max_single_weight, self.rules.max_sector_weight)
        sectors = [
            None if is_broad else sector
            for sector, is_broad in zip(self.data.sectors, self.data.is_broad, strict=True)
        ]
        values = self.data.raw_values[weighting]
        for row, place in enumerate(places.tolist()):
            funds = np.flatnonzero(is_target[row]).tolist()
            weight[row, funds] = redistribute(
                weighting,
                [1.0] * len(funds) if weighting == EQUAL else values[place, funds].tolist(),
                [sectors[fund] for fund in funds],
                limits,
            )
        return weight


def _sort_key(chain: Chain) -> tuple:
    return chain.factors, chain.weighting, chain.top_n or 0, chain.redistribute
