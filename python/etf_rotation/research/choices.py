"""The funds that tranches of many variants select, many rankings at once.

The rules are those of `signals.selection`, which handles one ranking at a time. A test
compares both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from etf_rotation.research.data import PoolData, scores_of
from etf_rotation.signals.selection import Rules
from etf_rotation.signals.selection_arrays import RankingRules, Rankings, choose_rows
from etf_rotation.signals.weight_arrays import Selected, redistribute_rows
from etf_rotation.signals.weights import EQUAL, OWN


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


class Ranked(NamedTuple):
    """Rankings of f funds on w sessions, best first."""

    order: np.ndarray  # (w, f), funds
    is_eligible: np.ndarray  # (w, f), by place in the order
    ranks: np.ndarray  # (w, f), by fund, from 1


def rank(data: PoolData, factors: Sequence[str], weighting: str) -> Ranked:
    """Rank the funds of every session by score; ties go by symbol."""
    scores = scores_of(data, factors)
    order = np.argsort(-scores, axis=1, kind="stable")
    is_eligible = data.is_eligible[weighting] & ~np.isnan(scores)
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, order.shape[1] + 1)[None, :], axis=1)
    return Ranked(order, np.take_along_axis(is_eligible, order, axis=1), ranks)


class Chosen:
    """The selections of chains by session, in the form that `Accounts` reads."""

    def __init__(self, data: PoolData, rules: Rules) -> None:
        self.data, self.rules = data, rules
        self.funds = len(data.prices.symbols)
        _, codes = np.unique(np.array(data.sectors), return_inverse=True)
        self.sector_codes = np.where(data.is_broad, -1, codes)
        self._rankings: dict[tuple, Ranked] = {}
        self._parts: dict[str, list[np.ndarray]] = {
            name: [] for name in ("is_target", "weight", "rank", "place")
        }
        self._weightings: list[str] = []
        self._count = 0

    def rankings(self, factors: Sequence[str], weighting: str) -> Ranked:
        """Return the rankings of a subset of factors, computed once."""
        key = tuple(factors), weighting
        if key not in self._rankings:
            self._rankings[key] = rank(self.data, factors, weighting)
        return self._rankings[key]

    # -- the interface that Accounts uses ----------------------------------------------

    def add(self, place: int) -> int:
        """Return the place of a selection that is already stored."""
        return place

    def laid_out(self) -> dict[str, np.ndarray]:
        """Return arrays (selections, funds), zero where a fund is not selected."""
        grids = {name: np.concatenate(parts) for name, parts in self._parts.items()}
        place = grids.pop("place")
        raw_values = np.ones(grids["weight"].shape)
        weightings = np.array(self._weightings)
        for name in set(self._weightings) - {EQUAL}:
            is_own = weightings == name
            raw_values[is_own] = self.data.raw_values[name][place[is_own]]
        return grids | {
            "adv20": np.where(grids["is_target"], self.data.adv20[place], np.nan),
            "raw_value": raw_values,
            "sector": np.broadcast_to(self.sector_codes, raw_values.shape),
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
        count, rules = len(chains), self.rules
        taken = choose_rows(
            Rankings(order, is_eligible, can_take, self.sector_codes[order]),
            RankingRules(
                np.array([chain.top_n or 0 for chain in chains]),
                np.array([chain.keep_rank for chain in chains]),
                np.full(count, rules.max_single_weight),
                np.full(count, rules.max_sector_weight),
                np.full(count, rules.max_broad_funds),
            ),
            previous,
        )
        is_target = np.zeros_like(taken)
        np.put_along_axis(is_target, order, taken, axis=1)
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
        count, values = len(places), np.ones(is_target.shape)
        if weighting != EQUAL:
            values = self.data.raw_values[weighting][places]
        return redistribute_rows(
            Selected(
                np.full(count, weighting),
                is_target,
                values,
                np.broadcast_to(self.sector_codes, is_target.shape),
                np.full(count, self.rules.max_single_weight),
                np.full(count, self.rules.max_sector_weight),
            )
        )


def _sort_key(chain: Chain) -> tuple:
    return chain.factors, chain.weighting, chain.top_n or 0, chain.redistribute
