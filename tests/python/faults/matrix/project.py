"""Faults of the panel, the tables and the settings, and what catches each."""

from __future__ import annotations

from faults.group import FAILED, PUBLISHED, WARNED, Fault, Group, gate_after
from faults.injections.project import (
    cap_that_does_not_hold,
    coverage_dropped,
    edited,
    large_capital,
    metric,
    metrics_changed,
    moved,
    panel,
    with_vars,
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
                    "select *\nfrom {lagged} "
                    "where symbol <> '510300.SH' or trade_date <> '2022-03-15'",
                    "row keys differs on 1 rows",
                    "510300.SH",
                    "2022-03-15",
                ),
            ),
        ],
        gate_after("factor_panel", "int_lag__differences"),
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "the panel not sorted",
                FAILED,
                "panel_index",
                panel(
                    "from {lagged} order by trade_date, symbol", "not sorted", FIRST, "2022-07-01"
                ),
            ),
        ],
        gate_after("factor_panel", "int_lag__differences"),
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "panel rows twice",
                FAILED,
                "panel_index",
                panel(
                    "from {lagged} union all from {lagged} order by symbol, trade_date",
                    "key twice",
                    FIRST,
                    "2022-07-01",
                ),
                besides=("lag_dynamic",),
            ),
        ],
        gate_after("factor_panel", "int_lag__differences"),
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
        gate_after(
            "pool_constraints", "int_strategies", "path:models/backtest", "path:models/capacity"
        ),
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "more than the market trades, which nobody enforces",
                WARNED,
                "adv_share",
                large_capital,
            ),
        ],
        gate_after(
            "pool_constraints",
            "int_strategies",
            "path:models/backtest",
            "path:models/capacity",
            extra=("--vars", "{enforce_adv: false}"),
        ),
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "a weight beyond its limit",
                FAILED,
                "single_weight",
                edited(
                    "models/signals/target_weights.sql",
                    "    selected.target_weight,\n",
                    "    2 * selected.target_weight as target_weight,\n",
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
                edited(
                    "models/backtest/results/positions_daily.sql",
                    "/ sessions.equity as weight",
                    "/ sessions.equity * 2 as weight",
                    "2022-06-30",
                ),
            ),
            Fault(
                "positions of negative shares",
                FAILED,
                "expectations_published",
                edited(
                    "models/backtest/results/positions_daily.sql",
                    "    ledger.shares,\n",
                    "    -ledger.shares as shares,\n",
                    "positions_daily shares expect_column_values_to_be_between",
                    "rows, such as",
                ),
            ),
            Fault(
                "metadata lost",
                FAILED,
                "metadata_complete",
                edited(
                    "models/gate/run_metadata.sql",
                    "    run.input_fingerprint,\n",
                    "    cast(null as varchar) as input_fingerprint,\n",
                    "no input_fingerprint",
                ),
            ),
            Fault(
                "constant factors",
                FAILED,
                "zero_variance_factors",
                edited(
                    "models/signals/factor_summary.sql",
                    "        statistics.zero_variance,\n",
                    "        starts_with(catalog.factor_id, 'rsi') as zero_variance,\n",
                    "rsi_14",
                    "16 is above 10",
                ),
            ),
            Fault(
                "too few production factors",
                FAILED,
                "production_factors",
                with_vars("0 is below 8", "factor_summary"),
            ),
            Fault(
                "a month too good to be true",
                FAILED,
                "largest_month",
                edited(
                    "models/backtest/results/monthly_returns.sql",
                    "- 1 as monthly_return",
                    "- 0.6 as monthly_return",
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
                    "annualized.root_year * annualized.sd_r",
                    0.5,
                    "0.4 is below 0.6",
                ),
            ),
            Fault(
                "a weak return, where it blocks",
                FAILED,
                "annual_return",
                metric("annual_return", "annualized.annual_return", 0.07, "0.07 is below 0.08"),
            ),
            Fault(
                "a deep drawdown, where it blocks",
                FAILED,
                "max_drawdown",
                metric("max_drawdown", "annualized.max_drawdown", -0.31, "-0.31 is below -0.3"),
            ),
            Fault(
                "a low Sharpe ratio, where it blocks",
                FAILED,
                "sharpe",
                metric(
                    "sharpe",
                    "annualized.root_year * annualized.mean_x / nullif(annualized.sd_r, 0)",
                    0.4,
                    "0.4 is below 0.5",
                ),
            ),
            Fault(
                "few months won, where it blocks",
                FAILED,
                "monthly_win_rate",
                metric("monthly_win_rate", "annualized.monthly_win_rate", 0.4, "0.4 is below 0.45"),
            ),
            Fault(
                "a strategy that holding every fund would have beaten",
                WARNED,
                "excess_t",
                edited(
                    "models/backtest/results/evidence.sql",
                    "    figures.excess_t,\n",
                    "    -2.5::double as excess_t,\n",
                    "-2.5 is below -2",
                    "2022-06-30 is the last session",
                ),
            ),
            Fault(
                "a drawdown that holding every fund would not have had",
                WARNED,
                "relative_drawdown",
                edited(
                    "models/backtest/results/metrics_by_period.sql",
                    "from figures\ngroup by",
                    "from (select * replace (if(curve = 'own', -0.36e0, -0.3e0) as max_drawdown) "
                    "from figures)\ngroup by",
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
                    "annualized.traded_value / 2 / annualized.mean_equity * annualized.per_year",
                    11,
                    "11 is above 10",
                ),
            ),
        ],
        gate_after(
            "pool_constraints",
            "int_strategies",
            "factor_summary",
            "target_weights",
            "positions_daily",
            "monthly_returns",
            "metrics",
            "evidence",
            "metrics_by_period",
            "path:models/capacity",
            "run_metadata",
            "int_expectations__published",
            extra=("--vars", "{performance_gate: error, production_min_coverage: 1.1}"),
        ),
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "the calendar's library at its end",
                WARNED,
                "calendar_beyond_library",
                edited(
                    "models/staging/trading_calendar.sql",
                    "    is_official,\n",
                    "    trade_date < '2022-06-20' as is_official,\n",
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
                edited(
                    "models/backtest/results/metrics.sql",
                    "annualized.root_year * annualized.sd_r as annual_volatility",
                    "null::double as annual_volatility",
                    "no value, nothing was judged",
                ),
            ),
        ],
        gate_after("run_settings", "int_published_build", "trading_calendar", "metrics"),
        after_healthy=True,
        variables=PUBLISHED,
    ),
]
