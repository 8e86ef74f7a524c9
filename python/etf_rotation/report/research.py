"""Capacity, and the predictive power of the scored factors."""

from __future__ import annotations

from collections import defaultdict
from functools import partial

from etf_rotation.report import plots
from etf_rotation.report.numbers import money
from etf_rotation.report.source import Source
from etf_rotation.sql import sql_text

WINDOW = 126  # sessions of the mean rank IC, half a year


def capacity(source: Source) -> dict:
    """Return the capacity curves of all pools, and the binding limits."""
    curves: dict[str, list[dict]] = defaultdict(list)
    for row in source.rows(
        "capacity.capacity_curve", "from capacity.capacity_curve order by pool, capital_cny"
    ):
        curves[row["pool"]].append(row)
    return {
        "figure": source.draw(
            "capacity",
            plots.capacity(curves, source.words, partial(money, language=source.language)),
        )
        if curves
        else None,
        "impact": source.parameters.get("impact_coefficient"),
        "rows": source.rows("capacity.pool_capacity", "from capacity.pool_capacity order by pool"),
    }


def researched(source: Source) -> list[str]:
    """Return the pools whose factors were compared with later returns."""
    rows = source.rows(
        "research.factor_ic_summary",
        "select distinct pool from research.factor_ic_summary order by pool",
    )
    return [row["pool"] for row in rows]


def research(source: Source, pool: str) -> dict:
    """Return the predictive power of the scored factors in one pool."""
    where = f"where pool = {sql_text(pool)}"
    summary = source.rows(
        "research.factor_ic_summary",
        f"from research.factor_ic_summary {where} "
        "order by factor_id = 'score', factor_id, horizon_sessions",
    )
    factors = list(dict.fromkeys(row["factor_id"] for row in summary))
    horizons = sorted({row["horizon_sessions"] for row in summary})
    # The longest horizon: by default about one month, the time between rebalances.
    farthest = horizons[-1] if horizons else 0
    drawn = {}
    series = _rolling_ic(source, pool, factors, farthest)
    if series:
        drawn["rolling_ic"] = plots.rolling_ic(source.columns, series)
    quantiles: dict[str, list[dict]] = defaultdict(list)
    for row in source.rows(
        "research.factor_quantile_returns",
        f"from research.factor_quantile_returns {where} and horizon_sessions = {farthest} "
        "order by factor_quantile, factor_id = 'score', factor_id",
    ):
        quantiles[source.words["quantile"].format(n=row["factor_quantile"])].append(row)
    if quantiles:
        drawn["quantiles"] = plots.quantile_returns(quantiles)
    pairs = {
        (row["factor_id"], row["other_factor_id"]): row["mean_rank_correlation"]
        for row in source.rows(
            "research.factor_correlation", f"from research.factor_correlation {where}"
        )
    }
    by_horizon = {(row["factor_id"], row["horizon_sessions"]): row for row in summary}
    return {
        "pool": pool,
        "figures": {name: source.draw(f"{pool}-{name}", figure) for name, figure in drawn.items()},
        "quantiles": len(quantiles),
        "horizon": farthest,
        "horizons": horizons,
        "factors": [
            {
                "factor_id": factor,
                "any": next(row for row in summary if row["factor_id"] == factor),
                "horizons": [by_horizon.get((factor, horizon)) for horizon in horizons],
                "correlations": [
                    1.0 if factor == other else pairs.get((factor, other)) for other in factors
                ],
            }
            for factor in factors
        ],
        "has_correlations": bool(pairs),
    }


def _rolling_ic(
    source: Source, pool: str, factors: list[str], horizon: int
) -> dict[str, tuple[list, list]]:
    """Return the mean of the last WINDOW rank ICs, at the last session of each week."""
    series: dict[str, tuple[list, list]] = {factor_id: ([], []) for factor_id in factors}
    for row in source.rows(
        "research.factor_ic",
        f"""
        select factor_id, trade_date,
            round(avg(rank_ic) over (
                sessions rows between {WINDOW - 1} preceding and current row
            ), 4) as mean_ic
        from research.factor_ic
        where pool = {sql_text(pool)} and horizon_sessions = {horizon}
        window sessions as (partition by factor_id order by trade_date)
        qualify row_number() over sessions >= {WINDOW} and row_number() over (
            partition by factor_id, date_trunc('week', trade_date) order by trade_date desc
        ) = 1
        order by factor_id, trade_date""",
    ):
        dates, values = series[row["factor_id"]]
        dates.append(str(row["trade_date"]))
        values.append(row["mean_ic"])
    return {factor_id: found for factor_id, found in series.items() if found[0]}
