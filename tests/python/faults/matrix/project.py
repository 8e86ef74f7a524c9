"""Faults of the panel, the tables and the settings, and what catches each."""

from __future__ import annotations

from faults.group import CAPACITY, FAILED, PUBLISHED, WARNED, Fault, Group, gate_after
from faults.injections.project import (
    altered,
    cap_that_does_not_hold,
    coverage_dropped,
    edited,
    metric,
    metrics_changed,
    moved,
    panel,
)
from faults.workspace import FIRST

OF_PROJECT = [
    Group(
        [
            Fault("a factor lagged twice", FAILED, "lag_dynamic", moved("ret_20", "lag")),
            Fault("a factor not lagged", FAILED, "lag_dynamic", moved("ret_60", "lead")),
            Fault(
                "a panel row lost",
                FAILED,
                "lag_dynamic",
                panel(
                    "from panel where symbol <> '510300.SH' or trade_date <> '2022-03-15'",
                    "row keys differs on 1 rows",
                    "510300.SH",
                    "2022-03-15",
                ),
            ),
        ],
        gate_after("int_lag__differences"),
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "the panel not sorted",
                FAILED,
                "panel_index",
                panel("from panel order by trade_date, symbol", "not sorted", FIRST, "2022-07-01"),
            ),
        ],
        gate_after("int_lag__differences"),
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "panel rows twice",
                FAILED,
                "panel_index",
                panel(
                    "from panel union all from panel order by symbol, trade_date",
                    "key twice",
                    FIRST,
                    "2022-07-01",
                ),
                besides=("lag_dynamic",),
            ),
        ],
        gate_after("int_lag__differences"),
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "an ADV cap that does not hold",
                FAILED,
                "adv_share",
                cap_that_does_not_hold,
            ),
        ],
        gate_after(*CAPACITY),
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "a weight beyond its limit",
                FAILED,
                "single_weight",
                altered(
                    "update signals.target_weights set target_weight = 2 * target_weight",
                    "limit 0.25",
                    "0.4",
                ),
                besides=("sector_weight",),
            ),
            Fault(
                "a sector beyond its limit",
                FAILED,
                "sector_weight",
                edited(
                    "seeds/pool_constraints.csv",
                    "0.30,0.50",
                    "0.30,0.20",
                    "china_internet 0.6, limit 0.2",
                ),
            ),
            Fault(
                "too many broad funds",
                FAILED,
                "broad_funds",
                edited("seeds/pool_constraints.csv", "0.25,0.40,3", "0.25,0.40,0", "limit 0"),
            ),
            Fault(
                "a holding grown beyond its limit",
                WARNED,
                "realised_weight",
                altered("update backtest.positions_daily set weight = 2 * weight", "2022-06-30"),
            ),
            Fault(
                "positions of negative shares",
                FAILED,
                "expectations_published",
                altered(
                    "update backtest.positions_daily set shares = -shares",
                    "positions_daily shares expect_column_values_to_be_between",
                    "rows, such as",
                ),
            ),
            Fault(
                "metadata lost",
                FAILED,
                "metadata_complete",
                altered(
                    "update gate.run_metadata set input_fingerprint = null",
                    "no input_fingerprint",
                ),
            ),
            Fault(
                "constant factors",
                FAILED,
                "zero_variance_factors",
                altered(
                    "update signals.factor_summary "
                    "set zero_variance = starts_with(factor_id, 'rsi')",
                    "rsi_14",
                    "16 is above 10",
                ),
            ),
            Fault(
                "too few production factors",
                FAILED,
                "production_factors",
                altered(
                    "update signals.factor_summary set is_production = false",
                    "0 is below 8",
                    "factor_summary",
                ),
            ),
            Fault(
                "a month too good to be true",
                FAILED,
                "largest_month",
                altered(
                    "update backtest.monthly_returns set monthly_return = monthly_return + 0.4",
                    "is above 0.3",
                    "is the month",
                ),
            ),
            Fault(
                "volatility that asks for scaling",
                FAILED,
                "volatility_scaling",
                metric(
                    "annual_volatility",
                    0.5,
                    "0.4 is below 0.6",
                ),
            ),
            Fault(
                "a weak return, where it blocks",
                FAILED,
                "annual_return",
                metric("annual_return", 0.07, "0.07 is below 0.08"),
            ),
            Fault(
                "a deep drawdown, where it blocks",
                FAILED,
                "max_drawdown",
                metric("max_drawdown", -0.31, "-0.31 is below -0.3"),
            ),
            Fault(
                "a low Sharpe ratio, where it blocks",
                FAILED,
                "sharpe",
                metric(
                    "sharpe",
                    0.4,
                    "0.4 is below 0.5",
                ),
            ),
            Fault(
                "few months won, where it blocks",
                FAILED,
                "monthly_win_rate",
                metric("monthly_win_rate", 0.4, "0.4 is below 0.45"),
            ),
            Fault(
                "a strategy that holding every fund would have beaten",
                WARNED,
                "excess_t",
                altered(
                    "update backtest.evidence set excess_t = -2.5",
                    "-2.5 is below -2",
                    "2022-06-30 is the last session",
                ),
            ),
            Fault(
                "a drawdown that holding every fund would not have had",
                WARNED,
                "relative_drawdown",
                altered(
                    "update backtest.metrics_by_period "
                    "set max_drawdown = -0.36, equal_weight_max_drawdown = -0.3",
                    "1.2 is above 1.1",
                    "2022-06-30 is the last session",
                ),
            ),
            Fault(
                "much turnover, where it blocks",
                FAILED,
                "annual_turnover",
                metric(
                    "annual_turnover",
                    11,
                    "11 is above 10",
                ),
            ),
        ],
        gate_after(
            "pool_constraints",
            "int_strategies",
            *CAPACITY,
            "int_expectations__published",
            extra=("--vars", "{performance_gate: error}"),
        ),
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "the calendar's library at its end",
                WARNED,
                "calendar_beyond_library",
                altered(
                    "update staging.trading_calendar set is_official = trade_date < '2022-06-20'",
                    "2022-06-20 is the first of 10 sessions",
                    "exchange-calendars",
                ),
            ),
            Fault(
                "coverage below the published build's",
                WARNED,
                "factor_coverage_drop",
                coverage_dropped,
            ),
            Fault(
                "metrics unlike the published build's", WARNED, "metrics_change", metrics_changed
            ),
            Fault(
                "a volatility that is not known",
                WARNED,
                "volatility_scaling",
                altered(
                    "update backtest.metrics set annual_volatility = null",
                    "no value, nothing was judged",
                ),
            ),
        ],
        gate_after("run_settings", "int_published_build"),
        after_healthy=True,
        variables=PUBLISHED,
    ),
]
