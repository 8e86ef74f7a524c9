"""Figures and tables of each pool and PORTFOLIO under its live strategy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from etf_rotation.report import plots, plots_returns
from etf_rotation.report.evening import horizon
from etf_rotation.report.source import PORTFOLIO, Source
from etf_rotation.sql import sql_text

DRAWDOWNS = 10  # rows of the table of drawdowns
TRIPS = 10  # round trips per kind: open, best and worst
EXCESS_PARTS = ("cash", "costs", "selection", "weighting")
EXTREME_PARTS = ("exposure", "selection", "commission", "slippage")


def pool(source: Source, name: str, strategy: str) -> dict:
    """Return the whole section of one curve."""
    where = f"where pool = {sql_text(name)} and strategy = {sql_text(strategy)}"
    days = source.rows("backtest.equity_daily", f"from backtest.equity_daily {where} order by all")
    months = _extremes(source, where)
    drawn: dict[str, dict | None] = {**_curves(source, where, days)}
    drawn["trading"] = _trading(source, where)
    drawn["rolling"] = _rolling(source, where)
    drawn["distribution"] = _distribution(source, where)
    drawn["excess"] = _excess(source, where)
    if months:
        parts = {part: source.words[part] for part in EXTREME_PARTS}
        drawn["extremes"] = plots.extremes(months, parts, source.words["month_return"])
    is_portfolio = name == PORTFOLIO
    weights = _portfolio_weights(source, strategy) if is_portfolio else _weights(source, where)
    if weights[1]:
        names = (source.words["others"], source.words["cash"])
        drawn["holdings"] = plots.stacked_weights(source.columns, *weights, names)
    return {
        "pool": name,
        "strategy": strategy,
        "figures": {
            key: source.draw(f"{name}-{key}", figure) for key, figure in drawn.items() if figure
        },
        "scale": source.words["scale_log" if _is_log(drawn) else "scale_linear"],
        "drawdowns": source.rows(
            "backtest.drawdowns",
            f"from backtest.drawdowns {where} and rank <= {DRAWDOWNS} order by rank",
        ),
        "years": _years(source, where, horizon(source, name, strategy)["years"]),
        "months": months,
        "statistics": {
            row["curve"]: row
            for row in source.rows(
                "backtest.return_statistics", f"from backtest.return_statistics {where}"
            )
        },
        "trips": _trips(source, where),
    }


def _is_log(drawn: dict) -> bool:
    return "growth" in drawn and drawn["growth"]["layout"]["yaxis"]["type"] == "log"


def _curves(source: Source, where: str, days: list[dict]) -> dict[str, dict]:
    words = source.words
    benchmark = source.rows(
        "backtest.benchmark_daily", f"from backtest.benchmark_daily {where} order by trade_date"
    )
    if not days or len(benchmark) != len(days):
        return {}
    days.sort(key=lambda day: day["trade_date"])
    dates, start = [str(day["trade_date"]) for day in days], days[0]["previous_equity"]
    growth = {
        words["strategy"]: [day["equity"] / start for day in days],
        words["benchmark"]: [day["growth"] for day in benchmark],
    }
    drawdowns = {
        words["strategy"]: [day["drawdown"] for day in days],
        words["benchmark"]: [day["drawdown"] for day in benchmark],
    }
    return {
        "growth": plots.growth(source.columns, dates, growth),
        "drawdown": plots.drawdown(source.columns, dates, drawdowns),
    }


def _rolling(source: Source, where: str) -> dict | None:
    rows = source.rows(
        "backtest.rolling_metrics", f"from backtest.rolling_metrics {where} order by trade_date"
    )
    if not rows:
        return None
    dates = [str(row["trade_date"]) for row in rows]
    names = ("sharpe", "volatility", "beta", "benchmark_sharpe", "benchmark_volatility")
    return plots_returns.rolling(
        source.columns, dates, {name: [row[name] for row in rows] for name in names}, source.words
    )


def _distribution(source: Source, where: str) -> dict | None:
    rows = source.rows(
        "backtest.return_distribution",
        f"from backtest.return_distribution {where} and frequency = 'day' order by step",
    )
    words = source.words
    return (
        plots_returns.distribution(rows, (words["strategy"], words["benchmark"])) if rows else None
    )


def _excess(source: Source, where: str) -> dict | None:
    rows = source.rows(
        "backtest.excess_by_month", f"from backtest.excess_by_month {where} order by month"
    )
    if not rows:
        return None
    parts = {part: source.words[f"excess_{part}"] for part in EXCESS_PARTS}
    return plots_returns.excess(rows, parts, source.words["excess"])


def _trading(source: Source, where: str) -> dict | None:
    rows = source.rows(
        "backtest.trading_by_period",
        f"from backtest.trading_by_period {where} and period <> 'all' order by period",
    )
    if not rows:
        return None
    return plots.trading(
        [row["period"].removeprefix("year_") for row in rows],
        [row["turnover"] for row in rows],
        [row["cost_ratio"] for row in rows],
        (source.words["turnover"], source.words["costs"]),
    )


def _years(source: Source, where: str, totals: list[dict]) -> list[dict]:
    """Return calendar years, latest first: twelve months, the year, its benchmark."""
    months: dict[int, list[float | None]] = defaultdict(lambda: [None] * 12)
    for row in source.rows(
        "backtest.monthly_returns", f"from backtest.monthly_returns {where} order by month"
    ):
        months[row["month"].year][row["month"].month - 1] = row["monthly_return"]
    by_year = {row["first_date"].year: row for row in totals}
    return [
        {
            "year": year,
            "months": found,
            "total": by_year.get(year, {}).get("total_return"),
            "benchmark": by_year.get(year, {}).get("benchmark_total_return"),
        }
        for year, found in sorted(months.items(), reverse=True)
    ]


def _trips(source: Source, where: str) -> dict[str, list[dict]]:
    """Return the open, best and worst round trips, and statistics of all."""
    table = "backtest.round_trips"
    closed = f"from {table} {where} and exit_date is not null"
    return {
        "best": source.rows(table, f"{closed} order by profit desc, symbol limit {TRIPS}"),
        "worst": source.rows(table, f"{closed} order by profit, symbol limit {TRIPS}"),
        "summary": source.rows(
            "backtest.round_trip_summary", f"from backtest.round_trip_summary {where}"
        ),
    }


def _extremes(source: Source, where: str) -> list[dict]:
    """Return the best months in descending order, then the worst."""
    months: dict[tuple, dict] = {}
    for row in source.rows(
        "backtest.extreme_months",
        f"from backtest.extreme_months {where} "
        "order by kind, if(kind = 'best', rank, -rank), abs(contribution) desc, component",
    ):
        month = months.setdefault(
            (row["kind"], row["rank"]),
            {
                "label": f"{row['month']:%Y-%m}",
                "monthly_return": row["monthly_return"],
                "funds": [],
            },
        )
        if row["component_type"] == "fund":
            month["funds"].append((row["component"], row["contribution"]))
        else:
            month[row["component_type"]] = row["contribution"]
    return list(months.values())


def _weights(source: Source, where: str) -> tuple[list[str], dict[str, list[float]]]:
    """Return the dates of weekly closes, and the weights of each fund ever held."""
    rows = source.rows(
        "backtest.positions_daily",
        f"""
        select weeks.trade_date, held.symbol, held.weight
        from (
            select max(trade_date) as trade_date from backtest.equity_daily
            {where} group by date_trunc('week', trade_date)
        ) as weeks
        left join (from backtest.positions_daily {where}) as held
            on held.trade_date = weeks.trade_date
        order by weeks.trade_date, held.symbol""",
        "backtest.equity_daily",
    )
    return _series(rows, "symbol", source.fund)


def _portfolio_weights(source: Source, strategy: str) -> tuple[list[str], dict[str, list[float]]]:
    """Return the dates of weekly closes, and the weights of pools in PORTFOLIO."""
    sleeves = "backtest.int_backtest__sleeves"
    rows = source.rows(
        sleeves,
        f"""
        select sleeves.trade_date, sleeves.pool as symbol,
            sleeves.sleeve / sleeves.equity * pools.holdings_value / pools.equity as weight
        from {sleeves} as sleeves
        inner join backtest.int_portfolio_members as members
            on members.portfolio = sleeves.strategy and members.pool = sleeves.pool
        inner join backtest.equity_daily as pools
            on pools.strategy = members.strategy
                and pools.pool = sleeves.pool
                and pools.trade_date = sleeves.trade_date
        where sleeves.strategy = {sql_text(strategy)} and sleeves.trade_date in (
            select max(trade_date) from {sleeves}
            where strategy = {sql_text(strategy)} group by date_trunc('week', trade_date)
        )
        order by sleeves.trade_date, sleeves.pool""",
        "backtest.equity_daily",
        "backtest.int_portfolio_members",
    )
    return _series(rows, "symbol", str)


def _series(
    rows: list[dict], key: str, name: Callable[[Any], str]
) -> tuple[list[str], dict[str, list[float]]]:
    dates = list(dict.fromkeys(str(row["trade_date"]) for row in rows))
    place = {date: number for number, date in enumerate(dates)}
    series: dict[str, list[float]] = {}
    for row in rows:
        # A week without holdings has one row with a null fund.
        if row[key] is not None:
            values = series.setdefault(name(row[key]), [0.0] * len(dates))
            values[place[str(row["trade_date"])]] = row["weight"]
    return dates, dict(sorted(series.items()))
