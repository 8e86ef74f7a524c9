"""A pool's data as arrays: all inputs of a sweep's variants, without a database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from etf_rotation.backtest.choices import OFFSETS, STEPS
from etf_rotation.backtest.prices import BARS_SCHEMA, Prices, read_prices
from etf_rotation.contracts import FundKey, read_checked
from etf_rotation.dbt_project import percentile_ranks, render
from etf_rotation.research.build import BY_SCORE, Build, Variant, tables_of
from etf_rotation.signals.weights import INVERSE_VOLATILITY
from etf_rotation.sql import attach


def tranche_numbers(variant: Variant) -> list[int]:
    """Return, per tranche, the number of its rebalance session in the period."""
    if variant.rebalance not in OFFSETS:
        return [0]
    step, count = STEPS[variant.rebalance], OFFSETS[variant.rebalance]
    return [(variant.rebalance_offset + step * n) % count for n in range(variant.tranches)]


@dataclass(frozen=True)
class PoolData:
    """A pool's data: s sessions, w rebalance sessions, f funds, k scored factors.

    `sessions` holds the positions of the w sessions, `rebalances` those of each rhythm
    and number in the period. NaN in `scores` or `ranks` marks a fund that cannot be
    ranked; False in `is_eligible` marks a fund that is not eligible.
    """

    prices: Prices
    sessions: np.ndarray  # (w,)
    rebalances: Mapping[tuple[str, int], np.ndarray]
    factors: tuple[str, ...]
    percentile_ranks: np.ndarray  # (k, w, f), NaN if unknown
    scores: np.ndarray  # (w, f), from the ranking model, if not ranked by score
    is_eligible: Mapping[str, np.ndarray]  # by weighting, (w, f), ignoring the score
    raw_values: Mapping[str, np.ndarray]  # by weighting, (w, f)
    adv20: np.ndarray  # (w, f), CNY
    sectors: tuple[str, ...]  # (f,), categories
    is_broad: np.ndarray  # (f,)
    benchmark_returns: np.ndarray  # (s,), plain ratios, 0 if missing
    min_scored_share: float


def read_data(build: Build, variants: Sequence[Variant]) -> PoolData:
    """Read the inputs of these variants from a build."""
    with closing(duckdb.connect()) as connection:
        return _Reader(build, connection).read(variants)


class _Reader:
    def __init__(self, build: Build, connection: duckdb.DuckDBPyConnection) -> None:
        self.build, self.connection = build, connection
        attach(connection, build.database, "build")
        with closing(duckdb.connect(str(build.database), read_only=True)) as own:
            self.relations = {name: f"build.{table}" for name, table in tables_of(own).items()}
        dates = self._of_pool("int_backtest__sessions", "trade_date")["trade_date"].to_pylist()
        bars = read_checked(
            "bars",
            self._of_pool("int_backtest__bars", "trade_date, symbol"),
            BARS_SCHEMA,
            FundKey._fields,
        )
        endings = self._of_pool("int_backtest__endings", "trade_date, symbol")
        self.prices = read_prices(bars, dates, endings)
        self.days = {trade_date: n for n, trade_date in enumerate(dates)}
        self.funds = {symbol: n for n, symbol in enumerate(self.prices.symbols)}

    def read(self, variants: Sequence[Variant]) -> PoolData:
        rebalances = self._rebalances(variants)
        sessions = np.unique(np.concatenate([[], *rebalances.values()])).astype(int)
        self.places = {self.prices.dates[n]: place for place, n in enumerate(sessions.tolist())}
        self._load(sessions)
        weightings = sorted({variant.weighting for variant in variants})
        known, scores = self._known_funds(weightings)
        funds = self._of_pool("int_funds", "symbol").to_pylist()
        fund_of = {row["symbol"]: row for row in funds}
        listed = [fund_of[symbol] for symbol in self.prices.symbols]
        names = tuple(sorted({name for variant in variants for name in variant.factors}))
        return PoolData(
            prices=self.prices,
            sessions=sessions,
            rebalances=rebalances,
            factors=names,
            percentile_ranks=self._percentile_ranks(names),
            scores=scores,
            is_eligible={name: own["is_eligible"] > 0 for name, own in known.items()},
            raw_values={name: own["raw_value"] for name, own in known.items()},
            adv20=known[weightings[0]]["adv20"],
            sectors=tuple(row["category"] for row in listed),
            is_broad=np.array([row["is_broad"] for row in listed], bool),
            benchmark_returns=self._benchmark_returns(),
            min_scored_share=float(str(self.build.variables["min_scored_share"])),
        )

    def _rebalances(self, variants: Sequence[Variant]) -> dict[tuple[str, int], np.ndarray]:
        """Return the sessions of each rhythm, without those after the last bar."""
        asked = sorted({(own.rebalance, n) for own in variants for n in tranche_numbers(own)})
        labels = [f"{rebalance} {number}" for rebalance, number in asked]
        self.connection.register(
            "asked",
            pa.table(
                {
                    "strategy": labels,
                    "pool": [self.build.pool] * len(asked),
                    "rebalance": [rebalance for rebalance, _ in asked],
                    "rebalance_offset": [number for _, number in asked],
                    "tranches": [1] * len(asked),
                }
            ),
        )
        sessions = self._sql("int_rebalance_sessions", asked="asked")
        rows = self.connection.execute(
            f"select strategy, trade_date from ({sessions}) order by all"
        ).fetchall()
        found: dict[str, list[int]] = {label: [] for label in labels}
        for label, trade_date in rows:
            if trade_date in self.days:
                found[label].append(self.days[trade_date])
        return {key: np.array(found[n], int) for key, n in zip(asked, labels, strict=True)}

    def _load(self, sessions: np.ndarray) -> None:
        """Load the facts on funds that are known before these sessions."""
        dates = pa.array([self.prices.dates[n] for n in sessions.tolist()], pa.date32())
        self.connection.register("wanted", pa.table({"trade_date": dates}))
        for name in ("int_bars__lagged", "int_scored_factors"):
            self.connection.execute(
                f"create table {name} as from {self.relations[name]} "
                "where pool = $pool and trade_date in (select trade_date from wanted)",
                {"pool": self.build.pool},
            )
            self.relations[name] = name

    def _known_funds(
        self, weightings: Sequence[str]
    ) -> tuple[dict[str, dict[str, np.ndarray]], np.ndarray]:
        """Return eligibility by weighting, ignoring the score, and the scores."""
        asked = {
            "strategy": weightings,
            "pool": [self.build.pool] * len(weightings),
            "ranking": [self.build.ranking] * len(weightings),
            "weighting": weightings,
            "volatility_window": [self.build.volatility_window] * len(weightings),
        }
        self.connection.register("weightings", pa.table(asked))
        relations = {"asked": "weightings"}
        if self.build.ranking == BY_SCORE:
            # The score differs by variant. A constant score for every fund keeps it out
            # of the eligibility.
            relations["int_rankings"] = (
                f"(select '{BY_SCORE}' as ranking, pool, trade_date, symbol, 0.0::double as score, "
                "null::double as raw_weight, 1 as rank from int_bars__lagged)"
            )
        relations["factor_panel"] = self._volatilities(weightings)
        rows = self.connection.sql(
            "select strategy, trade_date, symbol, score, adv20, raw_value, "
            "(ineligible is null)::double as is_eligible "
            f"from ({self._sql('int_selection__funds', **relations)})"
        ).to_arrow_table()
        labels = rows["strategy"].to_numpy()
        known = {
            name: {
                column: self._grid(rows.filter(pa.array(labels == name)), column)
                for column in ("score", "adv20", "raw_value", "is_eligible")
            }
            for name in weightings
        }
        return known, known[weightings[0]]["score"]

    def _volatilities(self, weightings: Sequence[str]) -> str:
        """Return a relation of volatilities; all null if no weighting needs them."""
        columns = ", ".join(f"volatility_{n}" for n in (5, 10, 20, 30, 60, 120))
        if INVERSE_VOLATILITY in weightings:
            query = (
                f"select symbol, trade_date, {columns} from {self.relations['factor_panel']} "
                "where pool = $pool and trade_date in (select trade_date from wanted)"
            )
            values = {"pool": self.build.pool}
        else:
            nothing = columns.replace(", ", ", null::double as ")
            query = f"select symbol, trade_date, null::double as {nothing} from int_bars__lagged"
            values = {}
        self.connection.execute(f"create table volatilities as {query}", values)
        return "volatilities"

    def _percentile_ranks(self, names: Sequence[str]) -> np.ndarray:
        ranks = percentile_ranks("int_scored_factors", self.relations["factor_catalog"])
        rows = self.connection.sql(ranks).to_arrow_table()
        factors = rows["factor_id"].to_numpy()
        grids = [
            self._grid(rows.filter(pa.array(factors == name)), "percentile_rank") for name in names
        ]
        shape = len(names), len(self.places), len(self.funds)
        return np.array(grids).reshape(shape)

    def _benchmark_returns(self) -> np.ndarray:
        rows = self._of_pool("int_backtest__benchmark", "trade_date")
        returns = np.zeros(len(self.days))
        places = [self.days[day] for day in rows["trade_date"].to_pylist()]
        returns[places] = rows["benchmark_return"].to_numpy()
        return returns

    def _grid(self, rows: pa.Table, column: str) -> np.ndarray:
        """Arrange a column by session and fund, NaN where a value is missing."""
        grid = np.full((len(self.places), len(self.funds)), np.nan)
        days = [self.places[day] for day in rows["trade_date"].to_pylist()]
        funds = [self.funds[symbol] for symbol in rows["symbol"].to_pylist()]
        grid[days, funds] = rows[column].to_numpy()
        return grid

    def _of_pool(self, name: str, order: str) -> pa.Table:
        query = f"from {self.relations[name]} where pool = $pool order by {order}"
        return self.connection.sql(query, params={"pool": self.build.pool}).to_arrow_table()

    def _sql(self, model: str, *, asked: str, **relations: str) -> str:
        """Render a model's SQL with `asked` in place of the build's strategies."""
        relations = {**self.relations, "int_strategies": asked, **relations}
        return render(model, relations.__getitem__, self.build.variables)


def scores_of(data: PoolData, factors: Iterable[str]) -> np.ndarray:
    """Return the score of every fund, (w, f), NaN if it has none.

    Notes
    -----
    Source: "Score" in the strategy's specification, and the model `scores`: the mean of
    the known ranks, added up in the order of the factors' names and rounded to 12
    decimals.
    """
    chosen = [data.factors.index(factor) for factor in sorted(factors)]
    if not data.factors:
        return data.scores
    ranks = data.percentile_ranks[chosen]
    has_rank = ~np.isnan(ranks)
    available = has_rank.sum(axis=0)
    total = np.zeros(ranks.shape[1:])
    for own, is_there in zip(ranks, has_rank, strict=True):
        total += np.where(is_there, own, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = total / available * 1e12
    # Not np.round: SQL rounds halves away from zero.
    whole = np.floor(scaled)
    rounded = np.where(scaled - whole >= 0.5, whole + 1, whole) / 1e12  # noqa: PLR2004
    is_scored = (available >= data.min_scored_share * len(chosen)) & (available > 0)
    return np.where(is_scored, rounded, np.nan)
