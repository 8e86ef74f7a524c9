"""Faults of the bars, and what catches each."""

from __future__ import annotations

from faults.group import FAILED, STAGING, TO_THE_PANEL, WARNED, Fault, Group, gate_after
from faults.injections.bars import (
    action_beside_adj_factor,
    action_without_bar,
    adjusted_prices,
    adjustment_after_gap,
    adjustment_that_pre_close_does_not_know,
    adjustments_that_pre_close_does_not_know,
    adjustments_to_look_at,
    day_missing_for_all,
    day_missing_for_one_fund,
    factor_beyond_its_bounds,
    factor_that_starts_late,
    frozen_fund,
    fund_in_no_pool,
    fund_that_ended,
    fund_without_file,
    fund_without_volume,
    holding_that_does_not_trade,
    large_adjustment,
    late_file,
    late_vendor,
    move_beyond_limit,
    pool_of_suspensions,
    pre_close_missing,
    prices_of_another_basis,
    shares_instead_of_lots,
    stale_data,
    stale_prices,
    stranger_in_shares,
    stranger_of_another_basis,
    unadjusted_split,
    units_changed_last_year,
    whole_file_of_another_fund,
    yuan_instead_of_thousand,
    yuan_on_one_bar,
)
from faults.injections.project import edited, threshold_missing, with_vars

OF_BARS = [
    Group(
        [
            Fault(
                "a whole file of another fund",
                FAILED,
                "quarantine_share",
                whole_file_of_another_fund,
            ),
            Fault(
                "shares instead of lots",
                FAILED,
                "unit_sanity",
                shares_instead_of_lots,
                besides=("unit_bars", "price_basis"),
            ),
            Fault("yuan instead of thousand", FAILED, "unit_sanity", yuan_instead_of_thousand),
            Fault("units changed last year", FAILED, "unit_sanity", units_changed_last_year),
            Fault("an unadjusted split", FAILED, "unexplained_move", unadjusted_split),
            Fault("yuan on one bar", FAILED, "unit_bars", yuan_on_one_bar),
            Fault("adjusted prices", FAILED, "price_basis", adjusted_prices),
            Fault(
                "prices and pre_close on two bases",
                FAILED,
                "adjustment_count",
                prices_of_another_basis,
            ),
            Fault("a frozen fund", FAILED, "stale_prices", frozen_fund),
            Fault("a late vendor", FAILED, "no_row_last_session", late_vendor),
            Fault("a day missing for all", FAILED, "missing_session", day_missing_for_all),
        ],
        STAGING,
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "an adjustment factor out of bounds",
                FAILED,
                "adjustment_count",
                factor_beyond_its_bounds,
                besides=("unexplained_move",),
            ),
            Fault(
                "a split that one source does not know",
                FAILED,
                "adjustment_sources",
                adjustment_that_pre_close_does_not_know,
            ),
            Fault(
                "dividends that one source does not know",
                FAILED,
                "adjustment_sources",
                adjustments_that_pre_close_does_not_know,
            ),
            Fault("a factor that starts late", FAILED, "late_source", factor_that_starts_late),
        ],
        STAGING,
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "a pool that never trades",
                FAILED,
                "factor_coverage",
                pool_of_suspensions,
                besides=("production_factors",),
            ),
        ],
        (*TO_THE_PANEL, "--select", "path:models/signals"),
        after_healthy=True,
    ),
    Group(
        [Fault("old data in production", FAILED, "freshness", stale_data)],
        gate_after("run_settings", "raw_files", extra=("--target", "prod")),
        after_healthy=True,
    ),
    Group(
        [Fault("old data elsewhere", WARNED, "freshness", stale_data)],
        gate_after("run_settings", "raw_files"),
        after_healthy=True,
    ),
    Group(
        [
            Fault("a fund of no pool in shares", WARNED, "unit_sanity", stranger_in_shares),
            Fault(
                "a fund of no pool on two bases",
                WARNED,
                "adjustment_count",
                stranger_of_another_basis,
            ),
            Fault(
                "a research pool without a panel",
                WARNED,
                "factor_coverage",
                with_vars("0 is below 0.7"),
            ),
        ],
        gate_after("path:models/staging", "int_gate_pools", "gate_index"),
        after_healthy=True,
        variables={"ETF_UNIVERSE": "all"},
    ),
    Group(
        [
            Fault("stale prices", WARNED, "stale_prices", stale_prices),
            Fault("a day missing for one fund", WARNED, "no_row", day_missing_for_one_fund),
            Fault(
                "an adjustment after a gap", WARNED, "adjustment_after_gap", adjustment_after_gap
            ),
            Fault("an adjustment of half the price", WARNED, "large_adjustment", large_adjustment),
            Fault(
                "two dividends that one source does not know",
                WARNED,
                "adjustment_sources",
                adjustments_to_look_at,
            ),
            Fault("a bar without pre_close", WARNED, "pre_close_missing", pre_close_missing),
            Fault("a move beyond the price limit", WARNED, "move_beyond_limit", move_beyond_limit),
            Fault("one late file of six", WARNED, "no_row_last_session", late_file),
            Fault("a fund without a file", WARNED, "fund_without_file", fund_without_file),
            Fault("a fund without any volume", WARNED, "fund_without_file", fund_without_volume),
            Fault("a fund in no pool", WARNED, "funds_in_no_pool", fund_in_no_pool),
            Fault("a fund that ended", WARNED, "fund_ended", fund_that_ended),
            Fault(
                "a holding that does not trade",
                WARNED,
                "holding_without_bar",
                holding_that_does_not_trade,
            ),
            Fault(
                "a corporate action on a holiday",
                WARNED,
                "corporate_action_without_bar",
                action_without_bar,
            ),
            Fault(
                "a corporate action of a fund with adj_factor",
                WARNED,
                "corporate_action_without_bar",
                action_beside_adj_factor,
            ),
        ],
        gate_after("corporate_actions", "path:models/staging"),
        after_healthy=True,
    ),
    Group(
        [
            Fault("a threshold missing", FAILED, "unit_sanity", threshold_missing),
            Fault(
                "a threshold emptied",
                FAILED,
                "stale_prices",
                edited(
                    "seeds/gate_thresholds.csv",
                    "stale_prices,pool,worst,at_least,10,20",
                    "stale_prices,pool,worst,at_least,10,",
                    "not complete",
                ),
            ),
            Fault(
                "a limit that is no number",
                FAILED,
                "quarantine_share",
                edited(
                    "seeds/gate_thresholds.csv",
                    "quarantine_share,pool,sum,above,0,0.01",
                    "quarantine_share,pool,sum,above,0,nan",
                    "not complete",
                ),
            ),
            Fault(
                "a threshold of a check that is not there",
                FAILED,
                "price_jumps",
                edited(
                    "seeds/gate_thresholds.csv",
                    "unexplained_move,",
                    "price_jumps,pool,worst,above,,0.2,true,false,return,date,Why,Jump,跳变,Look,查看\n"
                    "unexplained_move,",
                    "no model of models/gate computes this check",
                ),
            ),
            Fault(
                "signals that read the prices of fills",
                FAILED,
                "lag_static",
                edited(
                    "models/signals/selection_log.sql",
                    "select\n",
                    "-- depends_on: {{ ref('int_backtest__bars') }}\nselect\n",
                    "models/signals/selection_log.sql",
                    "int_backtest__bars -> selection_log",
                ),
            ),
            Fault(
                "signals that were put into the group unlagged",
                FAILED,
                "lag_static",
                edited(
                    "models/signals/scores.sql",
                    "with\n",
                    "{{ config(group='unlagged') }}\n-- depends_on: {{ ref('int_bars') }}\nwith\n",
                    "models/signals/scores.sql",
                    "int_bars -> scores",
                ),
            ),
            Fault(
                "signals that read them by name",
                FAILED,
                "lag_static",
                edited(
                    "models/signals/target_weights.sql",
                    "order by",
                    "where exists (select 1 from factors.int_bars)\norder by",
                    "models/signals/target_weights.sql",
                    "factors.int_bars -> target_weights",
                ),
            ),
            Fault(
                "signals that read them in Python",
                FAILED,
                "lag_static",
                edited(
                    "models/signals/int_selection.py",
                    "    dbt.config(",
                    '    session.table("factors.int_bars")\n    dbt.config(',
                    "models/signals/int_selection.py factors.int_bars -> int_selection",
                ),
            ),
        ],
        gate_after("gate_thresholds", "gate_index"),
        after_healthy=True,
    ),
]
