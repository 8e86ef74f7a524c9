"""`report.html`: what a finished database says, on one page that needs nothing else."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from etf_rotation.errors import InputError
from etf_rotation.gate.standing import is_standing
from etf_rotation.reconcile.section import section as live_section
from etf_rotation.report import plots
from etf_rotation.sql import sql_text
from etf_rotation.texts import LANGUAGES, texts

REPORT = "report.html"
TEMPLATES = Path(__file__).parent / "templates"
WINDOW = 126  # sessions of the rolling figures, half a year
DRAWDOWNS = 5  # rows of the table of drawdowns
STATUSES = ("fail", "warn", "pass")
RATIOS = {"sharpe", "sortino", "calmar", "annual_turnover", "beta", "information_ratio"}
MONEY = {"total_costs"}
METRICS = {
    "of_returns": (
        "first_date",
        "last_date",
        "total_return",
        "annual_return",
        "benchmark_return",
        "excess_return",
        "monthly_win_rate",
    ),
    "of_risk": (
        "annual_volatility",
        "sharpe",
        "sortino",
        "calmar",
        "max_drawdown",
        "max_drawdown_peak_date",
        "max_drawdown_trough_date",
        "max_drawdown_recovery_date",
    ),
    "of_benchmark": ("beta", "tracking_error", "information_ratio"),
    "of_trading": ("annual_turnover", "total_costs", "average_invested"),
}
# Units of the seed gate_thresholds that are read in percent, and a check whose unit is not.
PERCENT_UNITS = {
    "share",
    "a year",
    "return",
    "ratio - 1",
    "points",
    "share of rows",
    "share of funds",
}
PERCENT_CHECKS = {"max_drawdown"}
CARDS = (
    "annual_return",
    "benchmark_return",
    "max_drawdown",
    "sharpe",
    "annual_volatility",
    "annual_turnover",
)


def write_report(
    database: Path,
    path: Path,
    *,
    language: str,
    run_id: str | None = None,
    is_synthetic: bool | None = None,
) -> None:
    """Write the report of a finished database.

    Parameters
    ----------
    database : Path
        As `dbt build` leaves it. A table that is not there or is empty shows as "no data".
    path : Path
        The page to write.
    language : str
        `en` or `zh`.
    run_id : str, optional
        Of the production run.
    is_synthetic : bool, optional
        Whether the data is made up, for a database without `gate.run_metadata`, which says so.

    Raises
    ------
    InputError
        A language that there is not, or a database that does not say whether its data is made up.
    """
    if language not in LANGUAGES:
        raise InputError(f"language is {language!r}, which must be one of: {', '.join(LANGUAGES)}")
    with duckdb.connect(str(database), read_only=True) as connection:
        page = Page(Tables(connection), language, run_id, is_synthetic).render()
    path.write_text(page, encoding="utf-8")


class Tables:
    """Reads a database of which parts may not have been built."""

    def __init__(self, connection: duckdb.DuckDBPyConnection):
        self.connection = connection
        self.present = {
            row[0]
            for row in connection.execute(
                "select schema_name || '.' || table_name from duckdb_tables()"
            ).fetchall()
        }

    def rows(self, table: str, query: str, *more: str) -> list[dict]:
        """Return the rows of a query as dicts; none where `table` or one of `more` is missing."""
        if not {table, *more} <= self.present:
            return []
        cursor = self.connection.execute(query)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


class Page:
    """Gathers what the template shows."""

    def __init__(
        self, tables: Tables, language: str, run_id: str | None, is_synthetic: bool | None
    ):
        self.tables = tables
        self.language = language
        self.words = texts("report", language)
        self.run_id = run_id
        self.columns = plots.Columns()
        self.figures: dict[str, dict] = {}
        self.funds = {
            row["symbol"]: row["name"]
            for row in tables.rows("seeds.etf_pools", "select symbol, name from seeds.etf_pools")
        }
        run = tables.rows("gate.run_metadata", "from gate.run_metadata")
        self.run = run[0] if run else {}
        self.parameters = json.loads(self.run.get("run_parameters") or "{}")
        self.is_synthetic = self.run.get("is_synthetic", is_synthetic)
        if self.is_synthetic is None:
            raise InputError(
                "the database has no gate.run_metadata.is_synthetic, so the report cannot tell "
                "whether its numbers are real; build the gate"
            )

    def render(self) -> str:
        """Return the page."""
        # Three seconds of imports on a busy machine: not for those who write no report.
        from plotly.offline import get_plotlyjs  # noqa: PLC0415

        environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters |= {
            "percent": percent,
            "points": points,
            "number": number,
            "metric": self.metric,
            "money": self.money,
            "measured": measured,
            "setting": setting,
            "tint": tint,
            "fund": self.fund,
        }
        content = {
            "words": self.words,
            "is_synthetic": self.is_synthetic,
            "run": self.run,
            "run_id": self.run_id,
            "metric_groups": METRICS,
            "card_names": CARDS,
            "orders": self.orders(),
            "metrics": self.metrics(),
            "pools": [self.pool(pool) for pool in self.pools()],
            "risk_free_rate": self.parameters.get("risk_free_rate"),
            "live": live_section(self.tables.rows, self.columns, self.draw, self.language),
            "capacity": self.capacity(),
            "research": [self.research(pool) for pool in self.researched()],
            "gate": self.gate(),
            "parameters": sorted(self.parameters.items()),
            "window": WINDOW,
        }
        figures = {"columns": self.columns.arrays, "figures": self.figures}
        script, plotly = (TEMPLATES / "report.js").read_text(encoding="utf-8"), get_plotlyjs()
        return environment.get_template("report.html.j2").render(
            content,
            figures=_packed(_json(figures)),
            plotly=_packed(plotly),
            script=Markup(script),
            policy=content_security_policy(script, plotly),
        )

    def fund(self, symbol: str | None) -> str:
        """Return a fund's code with its name where the seed has one."""
        return " ".join(filter(None, (symbol, self.funds.get(symbol))))

    def in_language(self, row: dict, column: str) -> str:
        """Return a column that has a twin in Chinese."""
        return row[f"{column}_zh" if self.language == "zh" else column]

    def metric(self, value: Any, name: str) -> str:
        """Return a metric as its kind is read: a date, a ratio, money, or percent."""
        if name.endswith("_date"):
            return str(value or UNKNOWN)
        if name in MONEY:
            return number(value)
        return number(value, 2) if name in RATIOS else percent(value)

    def money(self, value: float | None) -> str:
        """Return a large sum to three digits, in the units of the language."""
        return money(value, self.language)

    def draw(self, name: str, figure: dict) -> str:
        """Keep a figure for the page, which refers to it by the returned name."""
        self.figures[name] = figure
        return name

    # -- sections ------------------------------------------------------------------------------

    def orders(self) -> list[dict]:
        """Return an entry a pool with its orders, those that are traded first."""
        rows = self.tables.rows(
            "marts.next_session_orders",
            "from marts.next_session_orders order by is_simulated_pool, pool, sequence",
        )
        pools: dict[str, list[dict]] = defaultdict(list)
        for row in rows:
            row["reason"] = self.in_language(row, "reason")
            pools[row["pool"]].append(row)
        return [
            {"pool": pool, "first": found[0], "rows": [row for row in found if row["symbol"]]}
            for pool, found in pools.items()
        ]

    def metrics(self) -> list[dict]:
        """Return the metrics of PORTFOLIO, then of the pools."""
        return self.tables.rows(
            "marts.pool_metrics_summary",
            "from marts.pool_metrics_summary order by pool <> 'PORTFOLIO', pool",
        )

    def pools(self) -> list[str]:
        """Return PORTFOLIO, then the pools that have a backtest."""
        rows = self.tables.rows(
            "backtest.equity_daily",
            "select distinct pool from backtest.equity_daily order by pool <> 'PORTFOLIO', pool",
        )
        return [row["pool"] for row in rows]

    def pool(self, pool: str) -> dict:
        """Return everything about one curve."""
        days = self.tables.rows(
            "backtest.equity_daily",
            f"from backtest.equity_daily where pool = {sql_text(pool)} order by trade_date",
        )
        words, dates = self.words, [str(day["trade_date"]) for day in days]
        start = days[0]["previous_equity"]
        benchmark = np.cumprod([1 + day["benchmark_return"] for day in days])
        growth = {
            words["strategy"]: [day["equity"] / start for day in days],
            words["benchmark"]: benchmark.tolist(),
        }
        highest = np.maximum.accumulate(np.maximum(benchmark, 1.0))
        drawdowns = {
            words["strategy"]: [day["drawdown"] for day in days],
            words["benchmark"]: (benchmark / highest - 1).tolist(),
        }
        returns = np.array([day["daily_return"] for day in days])
        drawn = {
            "growth": plots.growth(self.columns, dates, growth),
            "drawdown": plots.drawdown(self.columns, dates, drawdowns),
            "trading": self._trading(days),
        }
        if len(days) >= WINDOW and self.parameters:
            drawn["rolling"] = plots.rolling(
                self.columns,
                dates[WINDOW - 1 :],
                *rolling_statistics(
                    returns,
                    window=WINDOW,
                    sessions_per_year=self.parameters["sessions_per_year"],
                    risk_free_rate=self.parameters["risk_free_rate"],
                ),
                (words["rolling_sharpe"], words["rolling_volatility"]),
            )
        months = self._extremes(pool)
        if months:
            parts = ("exposure", "selection", "commission", "slippage")
            drawn["extremes"] = plots.extremes(
                months, {part: words[part] for part in parts}, words["month_return"]
            )
        weights = self._portfolio_weights() if pool == "PORTFOLIO" else self._weights(pool)
        if weights[1]:
            drawn["holdings"] = plots.stacked_weights(
                self.columns, *weights, (words["others"], words["cash"])
            )
        is_log = plots.is_log(growth.values())
        return {
            "pool": pool,
            "figures": {
                name: self.draw(f"{pool}-{name}", figure) for name, figure in drawn.items()
            },
            "scale": words["scale_log" if is_log else "scale_linear"],
            "drawdowns": self.tables.rows(
                "backtest.drawdowns",
                f"from backtest.drawdowns where pool = {sql_text(pool)} and rank <= {DRAWDOWNS} "
                "order by rank",
            ),
            "years": self._years(pool),
            "months": months,
        }

    def capacity(self) -> dict:
        """Return the curves of all pools, and what binds."""
        curves: dict[str, list[dict]] = defaultdict(list)
        for row in self.tables.rows(
            "capacity.capacity_curve", "from capacity.capacity_curve order by pool, capital_cny"
        ):
            curves[row["pool"]].append(row)
        return {
            "figure": self.draw("capacity", plots.capacity(curves, self.words, self.money))
            if curves
            else None,
            "impact": self.parameters.get("impact_coefficient"),
            "rows": self.tables.rows(
                "capacity.pool_capacity", "from capacity.pool_capacity order by pool"
            ),
        }

    def researched(self) -> list[str]:
        """Return the pools whose factors were set against returns."""
        rows = self.tables.rows(
            "research.factor_ic_summary",
            "select distinct pool from research.factor_ic_summary order by pool",
        )
        return [row["pool"] for row in rows]

    def research(self, pool: str) -> dict:
        """Return what the scored factors knew in one pool."""
        where = f"where pool = {sql_text(pool)}"
        summary = self.tables.rows(
            "research.factor_ic_summary",
            f"from research.factor_ic_summary {where} "
            "order by factor_id = 'score', factor_id, horizon_sessions",
        )
        factors = list(dict.fromkeys(row["factor_id"] for row in summary))
        horizons = sorted({row["horizon_sessions"] for row in summary})
        # The plots are of the farthest: by default about the month between two rebalances.
        farthest = horizons[-1] if horizons else 0
        drawn = {}
        series = self._rolling_ic(pool, factors, farthest)
        if series:
            drawn["rolling_ic"] = plots.rolling_ic(self.columns, series)
        quantiles: dict[str, list[dict]] = defaultdict(list)
        for row in self.tables.rows(
            "research.factor_quantile_returns",
            f"from research.factor_quantile_returns {where} and horizon_sessions = {farthest} "
            "order by factor_quantile, factor_id = 'score', factor_id",
        ):
            quantiles[self.words["quantile"].format(n=row["factor_quantile"])].append(row)
        if quantiles:
            drawn["quantiles"] = plots.quantile_returns(quantiles)
        pairs = {
            (row["factor_id"], row["other_factor_id"]): row["mean_rank_correlation"]
            for row in self.tables.rows(
                "research.factor_correlation", f"from research.factor_correlation {where}"
            )
        }
        by_horizon = {(row["factor_id"], row["horizon_sessions"]): row for row in summary}
        return {
            "pool": pool,
            "figures": {
                name: self.draw(f"{pool}-{name}", figure) for name, figure in drawn.items()
            },
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

    def gate(self) -> dict:
        """Return the checks, the worst first, how many of each status, and what was found."""
        rows = self.tables.rows(
            "gate.gate_checks", "from gate.gate_checks order by pool, check_name"
        )
        rules = {
            row["check_name"]: row
            for row in self.tables.rows("seeds.gate_thresholds", "from seeds.gate_thresholds")
        }
        rows.sort(key=lambda row: (STATUSES.index(row["status"]), is_standing(row)))
        for row in rows:
            rule = rules.get(row["check_name"], {})
            row["title"] = self.in_language(row, "title")
            row["message"] = self.in_language(row, "message")
            row["direction"] = rule.get("direction")
            row["since"] = row.get("since") if row["status"] != "pass" else None
            row["is_percent"] = (
                rule.get("unit") in PERCENT_UNITS or row["check_name"] in PERCENT_CHECKS
            )
        others = [row for row in rows if not row["is_alert"]]
        counts = {status: sum(row["status"] == status for row in rows) for status in STATUSES}
        worst = next((status for status in STATUSES if counts[status]), "missing")
        return {
            "rows": rows,
            "counts": counts,
            "result": worst,
            "alerts": self._findings(row for row in rows if row["is_alert"]),
            "findings": self._findings(row for row in others if not is_standing(row)),
            "standing": self._findings(row for row in others if is_standing(row)),
            "standing_count": sum(map(is_standing, others)),
            "resolved": self._resolved(),
        }

    # -- their parts ---------------------------------------------------------------------------

    def _findings(self, rows: Iterable[dict]) -> list[dict]:
        """Return a line for each check that does not pass: its limit, and each pool's value."""
        found: dict[tuple, dict] = {}
        for row in rows:
            if row["status"] == "pass":
                continue
            # A rule on returns only warns, unless asked for more, but by its limit of failure.
            limits = [row["fail_threshold"], row["warn_threshold"]]
            if row["status"] == "warn" and not row["is_alert"]:
                limits.reverse()
            limit = next((limit for limit in limits if limit is not None), None)
            line = found.setdefault(
                (row["status"], row["check_name"]),
                {"status": row["status"], "title": row["title"], "limit": "", "values": []},
            )
            if limit is not None and row["direction"]:
                line["limit"] = self.words[row["direction"]].format(
                    measured(limit, row["is_percent"])
                )
            line["values"].append(f"{row['pool']} {measured(row['value'], row['is_percent'])}")
        return list(found.values())

    def _resolved(self) -> list[dict]:
        """Return the findings of the published build that this one does not have."""
        rows = self.tables.rows(
            "gate.gate_resolved",
            "from gate.gate_resolved order by pool, check_name, symbol, trade_date, detail",
        )
        for row in rows:
            row["title"] = self.in_language(row, "title")
            row["detail"] = self.in_language(row, "detail")
        return rows

    def _years(self, pool: str) -> list[dict]:
        """Return the calendar years, the latest first, with a return a month and the year's."""
        years: dict[int, dict] = {}
        for row in self.tables.rows(
            "backtest.monthly_returns",
            f"from backtest.monthly_returns where pool = {sql_text(pool)} order by month",
        ):
            year = years.setdefault(row["month"].year, {"months": [None] * 12, "level": 1.0})
            year["months"][row["month"].month - 1] = row["monthly_return"]
            year["level"] *= 1 + row["monthly_return"]
        return [
            {"year": year, "months": found["months"], "total": found["level"] - 1}
            for year, found in sorted(years.items(), reverse=True)
        ]

    def _extremes(self, pool: str) -> list[dict]:
        """Return the best months, the best first, then the worst, the worst last."""
        months: dict[tuple, dict] = {}
        for row in self.tables.rows(
            "backtest.extreme_months",
            f"from backtest.extreme_months where pool = {sql_text(pool)} "
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

    def _weights(self, pool: str) -> tuple[list[str], dict[str, list[float]]]:
        """Return the dates of weeks' last closes, and the weights then of each fund ever held."""
        rows = self.tables.rows(
            "backtest.positions_daily",
            f"""
            select weeks.trade_date, held.symbol, held.weight
            from (
                select max(trade_date) as trade_date from backtest.equity_daily
                where pool = {sql_text(pool)} group by date_trunc('week', trade_date)
            ) as weeks
            left join backtest.positions_daily as held
                on held.trade_date = weeks.trade_date and held.pool = {sql_text(pool)}
            order by weeks.trade_date, held.symbol""",
            "backtest.equity_daily",
        )
        return _series(rows, "symbol", self.fund)

    def _portfolio_weights(self) -> tuple[list[str], dict[str, list[float]]]:
        """Return the same of the pools within PORTFOLIO."""
        sleeves = "backtest.int_backtest__sleeves"
        rows = self.tables.rows(
            sleeves,
            f"""
            select sleeves.trade_date, sleeves.pool as symbol,
                sleeves.sleeve / sleeves.equity * pools.holdings_value / pools.equity as weight
            from {sleeves} as sleeves
            inner join backtest.equity_daily as pools
                on pools.pool = sleeves.pool and pools.trade_date = sleeves.trade_date
            where sleeves.trade_date in (
                select max(trade_date) from {sleeves} group by date_trunc('week', trade_date)
            )
            order by sleeves.trade_date, sleeves.pool""",
            "backtest.equity_daily",
        )
        return _series(rows, "symbol", str)

    def _trading(self, days: list[dict]) -> dict:
        years: dict[str, list[dict]] = defaultdict(list)
        for day in days:
            years[str(day["trade_date"].year)].append(day)

        def share(found: list[dict], *columns: str) -> float:
            amount = math.fsum(day[column] for day in found for column in columns)
            return amount / (math.fsum(day["equity"] for day in found) / len(found))

        return plots.trading(
            list(years),
            [share(found, "traded_value") / 2 for found in years.values()],
            [share(found, "commission", "slippage") for found in years.values()],
            (self.words["turnover"], self.words["costs"]),
        )

    def _rolling_ic(
        self, pool: str, factors: list[str], horizon: int
    ) -> dict[str, tuple[list, list]]:
        """Return the mean of the last WINDOW rank ICs, at the last session of each week."""
        series: dict[str, tuple[list, list]] = {factor_id: ([], []) for factor_id in factors}
        for row in self.tables.rows(
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


def rolling_statistics(
    returns: np.ndarray, *, window: int, sessions_per_year: int, risk_free_rate: float
) -> tuple[list[float | None], list[float]]:
    """Return annual Sharpe ratio and volatility over each window of daily returns.

    Parameters
    ----------
    returns : array of shape (sessions,)
        Daily returns, plain ratios.
    window : int
        Sessions, at most as many as there are.
    sessions_per_year, risk_free_rate
        As in the table metrics; the excess over the risk-free rate is simple.

    Returns
    -------
    Two lists of length sessions - window + 1; a Sharpe ratio without spread is None.
    """
    windows = np.lib.stride_tricks.sliding_window_view(returns, window)
    deviation = windows.std(axis=1, ddof=1)
    excess = windows.mean(axis=1) - risk_free_rate / sessions_per_year
    root = math.sqrt(sessions_per_year)
    sharpe = [
        float(root * mean / sd) if sd > 0 else None
        for mean, sd in zip(excess, deviation, strict=True)
    ]
    return sharpe, [float(root * sd) for sd in deviation]


def _series(
    rows: list[dict], key: str, name: Callable[[Any], str]
) -> tuple[list[str], dict[str, list[float]]]:
    dates = list(dict.fromkeys(str(row["trade_date"]) for row in rows))
    place = {date: number for number, date in enumerate(dates)}
    series: dict[str, list[float]] = {}
    for row in rows:
        # A week without holdings is a row without a fund.
        if row[key] is not None:
            values = series.setdefault(name(row[key]), [0.0] * len(dates))
            values[place[str(row["trade_date"])]] = row["weight"]
    return dates, dict(sorted(series.items()))


def _json(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def content_security_policy(*scripts: str) -> str:
    """Return the policy of a page that runs these scripts only and loads nothing.

    Source: Content Security Policy Level 3 of the W3C, section 8.4: a script in the page is named
    by the Base64 of its SHA-256. Plotly sets styles of its own, so styles are free; without a
    source of anything else they can load nothing either.
    """
    digests = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts
    ]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _packed(text: str) -> str:
    """Return a text as the page unpacks it: gzip in base64, the same for the same text."""
    return base64.b64encode(gzip.compress(text.encode(), 4, mtime=0)).decode()


# -- numbers for people ------------------------------------------------------------------------

UNKNOWN = "–"


def percent(value: float | None, digits: int = 1) -> str:
    """Return a ratio in percent, with a real minus sign."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    text = f"{value:.{digits}%}"
    return text.replace("-", "−") if text.strip("-0.%") else text.lstrip("-")


def points(value: float | None) -> str:
    """Return a ratio in percent without the sign of percent, for a narrow table."""
    return "" if value is None else percent(value)[:-1]


def number(value: float | None, digits: int = 0) -> str:
    """Return a number with thousands apart."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    text = f"{value:,.{digits}f}"
    return text.replace("-", "−") if text.strip("-0.,") else text.lstrip("-")


def measured(value: float | None, is_percent: bool) -> str:
    """Return what a check measured: in percent, a whole number, or to two digits."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if is_percent:
        return percent(value, 0 if round(value, 4) == round(value, 2) else 1)
    return number(value, 0 if float(plots.rounded(value, 4)).is_integer() else 2)


UNITS = {"en": ((1e9, " bn"), (1e6, " m"), (1e3, ",000")), "zh": ((1e8, " 亿"), (1e4, " 万"))}


def money(value: float | None, language: str) -> str:
    """Return a sum of CNY to three significant digits, as 70.5 m or 7,050 万."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    value = plots.rounded(value, 3)
    for unit, name in UNITS[language]:
        if abs(value) >= unit:
            return f"{plots.rounded(value / unit, 3):,}{name}".replace("-", "−")
    return number(value)


def setting(value: object) -> str:
    """Return the value of a var as its owner would write it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def tint(value: float | None, full: float = 0.1) -> int:
    """Return how strongly to color a return, 0 to 100 in steps of 10; `full` is 100."""
    return 0 if value is None else min(10, round(abs(value) / full * 10)) * 10
