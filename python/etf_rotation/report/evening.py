"""The first sections of the report: orders, holdings, returns, changes."""

from __future__ import annotations

from collections import defaultdict

from etf_rotation.report import plots
from etf_rotation.report.source import PORTFOLIO, RIVAL, Source
from etf_rotation.sql import sql_text

PERIODS = (
    "last_session",
    "month_to_date",
    "quarter_to_date",
    "year_to_date",
    "last_1_year",
    "last_3_years",
    "last_5_years",
    "before_holdout",
    "since_holdout",
    "all",
)


def orders(source: Source) -> list[dict]:
    """Return an entry per pool with its orders, traded pools first."""
    rows = source.rows(
        "marts.next_session_orders",
        "from marts.next_session_orders order by is_simulated_pool, pool, sequence",
    )
    pools: dict[str, list[dict]] = defaultdict(list)
    for row in rows:
        row["reason"] = source.in_language(row, "reason")
        pools[row["pool"]].append(row)
    return [
        {
            "pool": pool,
            "first": found[0],
            "is_simulated": found[0]["is_simulated_pool"],
            "rows": [row for row in found if row["symbol"]],
        }
        for pool, found in pools.items()
    ]


def holdings(source: Source) -> list[dict]:
    """Return an entry per pool with its holdings after the last session."""
    pools: dict[str, list[dict]] = defaultdict(list)
    for row in source.rows(
        "marts.holdings",
        "from marts.holdings order by is_simulated_pool, pool, weight desc, symbol",
    ):
        pools[row["pool"]].append(row)
    return [
        {"pool": pool, "is_simulated": rows[0]["is_simulated_pool"], "rows": rows}
        for pool, rows in pools.items()
    ]


def horizons(source: Source) -> list[dict]:
    """Return an entry per curve: its live strategy's returns by period and year."""
    return [horizon(source, pool, strategy) for pool, strategy in source.live.items()]


def horizon(source: Source, pool: str, strategy: str) -> dict:
    """Return a strategy's returns by period beside benchmark and `equal_weight`."""
    rows = source.rows(
        "backtest.metrics_by_period",
        f"from backtest.metrics_by_period where pool = {sql_text(pool)} "
        f"and strategy = {sql_text(strategy)}",
    )
    by_period = {row["period"]: row for row in rows}
    years = sorted((row for row in rows if row["period"].startswith("year_2")), key=_period)
    return {
        "pool": pool,
        "strategy": strategy,
        "periods": [by_period[name] for name in PERIODS if name in by_period],
        "years": years[::-1],
    }


def _period(row: dict) -> str:
    return row["period"]


def verdicts(source: Source) -> dict[tuple[str, str], dict]:
    """Return the evidence over the whole period, by pool and strategy."""
    rows = source.rows("backtest.evidence", "from backtest.evidence where period = 'all'")
    return {(row["pool"], row["strategy"]): row for row in rows}


def comparison(source: Source) -> list[dict]:
    """Return, per pool, all strategies on common sessions, the live one first."""
    rows = source.rows(
        "backtest.strategy_comparison",
        "from backtest.strategy_comparison "
        "order by pool <> 'PORTFOLIO', pool, is_live desc, strategy",
    )
    found = verdicts(source)
    luck = _luck(source)
    pools: dict[str, list[dict]] = defaultdict(list)
    for row in rows:
        key = (row["pool"], row["strategy"])
        row |= {"evidence": found.get(key), "luck": luck.get(key)}
        pools[row["pool"]].append(row)
    return [
        {"pool": pool, "rows": rows, "figure": _curves(source, pool, rows)}
        for pool, rows in pools.items()
    ]


def _luck(source: Source) -> dict[tuple[str, str], dict]:
    rows = source.rows("backtest.rebalance_luck_summary", "from backtest.rebalance_luck_summary")
    return {(row["pool"], row["strategy"]): row for row in rows}


def _curves(source: Source, pool: str, rows: list[dict]) -> str | None:
    """Draw all strategies of a pool from the first common session, at weekly closes."""
    curves: dict[str, tuple[list[str], list[float]]] = {row["strategy"]: ([], []) for row in rows}
    for row in source.rows(
        "backtest.common_growth",
        f"""
        select strategy, trade_date, growth from backtest.common_growth
        where pool = {sql_text(pool)}
        qualify trade_date = max(trade_date) over (
            partition by strategy, date_trunc('week', trade_date)
        )
        order by strategy, trade_date""",
    ):
        dates, values = curves[row["strategy"]]
        dates.append(str(row["trade_date"]))
        values.append(row["growth"])
    if not curves:
        return None
    live = rows[0]["strategy"]
    figure = plots.strategies(
        source.columns,
        {source.strategy_name(name): curve for name, curve in curves.items()},
        live=source.strategy_name(live),
        rival=source.strategy_name(RIVAL),
    )
    return source.draw(f"{pool}-strategies", figure)


def headline(source: Source) -> dict | None:
    """Return the last session's result of the traded curve, for the first screen."""
    pool = PORTFOLIO if PORTFOLIO in source.live else next(iter(source.live), None)
    if pool is None:
        return None
    found = horizon(source, pool, source.live[pool])
    by_period = {row["period"]: row for row in found["periods"]}
    return {"pool": pool, "today": by_period.get("last_session"), "all": by_period.get("all")}
