"""Faults of files, seeds and rows, and what catches each."""

from __future__ import annotations

import datetime as dt

from faults.group import (
    BARS,
    CAPACITY,
    PUBLISHED,
    STOPPED,
    TO_THE_PANEL,
    WARNED,
    Fault,
    Group,
    gate_after,
)
from faults.injections.files import (
    broken_page,
    category_missing,
    column_of_another_type,
    file_without_rows,
    fund_in_two_pools,
    missing_column,
    no_file_at_all,
    pool_with_no_file,
    real_among_synthetic,
    swapped_columns_everywhere,
    truncated_file,
    unknown_pool_selected,
    unreadable_dates_everywhere,
    unreadable_published_build,
    zero_byte_file,
)
from faults.injections.project import edited, large_capital, with_vars
from faults.injections.rows import (
    bad_date,
    bad_row,
    day_twice,
    more_row,
    repeated_key,
    row_that_differs_in_a_second_file,
    rows_without_symbol,
    session_file_of_another_day,
    two_files_for_one_fund,
)

FAR = f"{dt.date.today() + dt.timedelta(days=400):%Y%m%d}"


BAD_ROWS = Group(
    [
        Fault(
            "text in a price",
            WARNED,
            "quarantine_share",
            bad_row("510300.SH", 50, "unparseable_close", close="n/a"),
        ),
        Fault(
            "NaN",
            WARNED,
            "quarantine_share",
            bad_row("510500.SH", 60, "not_finite_high", high=float("nan")),
        ),
        Fault(
            "infinity",
            WARNED,
            "quarantine_share",
            bad_row("159919.SZ", 70, "not_finite_amount", amount=float("inf")),
        ),
        Fault(
            "a negative price",
            WARNED,
            "quarantine_share",
            bad_row("159922.SZ", 80, "non_positive_low", low=-1.0),
        ),
        Fault(
            "high below low",
            WARNED,
            "quarantine_share",
            bad_row("512880.SH", 90, "high_below_others", high=0.001),
        ),
        Fault(
            "the wrong symbol in a file",
            WARNED,
            "quarantine_share",
            bad_row("513050.SH", 120, "symbol_unlike_file", ts_code="513051.SH"),
        ),
        Fault(
            "a time of day in trade_date",
            WARNED,
            "quarantine_share",
            bad_date("513500.SH", 100, "time_of_day", "{} 09:30:00"),
        ),
        Fault(
            "a time zone in trade_date",
            WARNED,
            "quarantine_share",
            bad_date("512010.SH", 110, "time_zone", "{}T00:00:00Z"),
        ),
        Fault(
            "a date in the future",
            WARNED,
            "quarantine_share",
            more_row("159920.SZ", -1, "future_date", trade_date=FAR),
        ),
        Fault(
            "a day twice, alike",
            WARNED,
            "expectations_raw",
            day_twice,
        ),
        Fault(
            "a day twice, with different values",
            WARNED,
            "quarantine_share",
            more_row("511260.SH", 210, "conflicting_duplicate", close=lambda x: x + 0.001),
        ),
        Fault(
            "a bar on a holiday",
            WARNED,
            "quarantine_share",
            more_row("511380.SH", -1, "not_a_session", trade_date="20220502"),
        ),
        Fault("rows without a symbol", WARNED, "expectations_raw", rows_without_symbol),
        Fault("two files for one fund", WARNED, "several_files", two_files_for_one_fund),
        Fault(
            "two files that differ on a session",
            WARNED,
            "quarantine_share",
            row_that_differs_in_a_second_file,
        ),
        Fault(
            "a session's file with another day",
            WARNED,
            "quarantine_share",
            session_file_of_another_day,
        ),
        Fault("rows with the same key", WARNED, "expectations_raw", repeated_key),
    ],
    TO_THE_PANEL,
    after_healthy=True,
)


OF_FILES = [
    Group(
        [
            Fault("truncated parquet", STOPPED, "raw_files", truncated_file),
            Fault("zero-byte parquet", STOPPED, "raw_files", zero_byte_file),
            Fault("parquet without rows", STOPPED, "raw_files", file_without_rows),
            Fault("missing column", STOPPED, "raw_files", missing_column),
            Fault("column of another type", STOPPED, "raw_files", column_of_another_type),
        ]
    ),
    Group([Fault("broken page in a parquet", STOPPED, "raw_rows", broken_page)], BARS),
    Group([Fault("real data among synthetic", STOPPED, "raw_files", real_among_synthetic)], BARS),
    Group([Fault("a pool with no file", STOPPED, "raw_rows", pool_with_no_file)], BARS),
    Group([Fault("no file at all", STOPPED, "raw_files", no_file_at_all)], BARS),
    Group(
        [
            Fault(
                "a fund listed in two pools",
                STOPPED,
                "primary_key_etf_pools_symbol",
                fund_in_two_pools,
            ),
            Fault("a category missing", STOPPED, "has_no_nulls_etf_pools.*", category_missing),
            Fault(
                "a pool without constraints",
                STOPPED,
                "relationships_etf_pools.*",
                edited("seeds/pool_constraints.csv", "QDII,", "QDI,", "QDII"),
            ),
            Fault(
                "a share ratio of zero",
                STOPPED,
                "is_positive_corporate_actions_share_ratio",
                edited(
                    "seeds/corporate_actions.csv",
                    "513100.SH,2022-01-14,5,",
                    "513100.SH,2022-01-14,0,",
                ),
            ),
        ]
    ),
    Group(
        [
            Fault(
                "portfolio weights beyond 1",
                STOPPED,
                "raw_files",
                edited(
                    "seeds/pool_constraints.csv",
                    "QDII,3000000,0.3",
                    "QDII,3000000,0.4",
                    "1.1",
                    "portfolio_weight",
                ),
            ),
        ],
        BARS,
    ),
    Group(
        [
            Fault(
                "a date of tomorrow",
                WARNED,
                "quarantine_share",
                more_row("159920.SZ", -1, "future_date", trade_date="20220707"),
            ),
            Fault(
                "a volume that no exchange reports",
                WARNED,
                "quarantine_share",
                bad_row("512000.SH", 45, "out_of_range_vol", vol=1e18),
            ),
            Fault(
                "a previous close that no session leaves",
                WARNED,
                "quarantine_share",
                bad_row("512100.SH", 45, "out_of_range_pre_close", pre_close=9_999_999_999.0),
            ),
            Fault(
                "more than the market trades, which nobody enforces",
                WARNED,
                "adv_share",
                large_capital,
            ),
        ],
        gate_after(
            "path:models/staging",
            "pool_constraints",
            "int_strategies",
            "path:models/backtest,+capacity_checks",
            *CAPACITY,
            extra=("--vars", "{today: 2022-06-30, enforce_adv: false}"),
        ),
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "a portfolio weight below zero",
                STOPPED,
                "raw_files",
                edited(
                    "seeds/pool_constraints.csv",
                    "QDII,3000000,0.3",
                    "QDII,3000000,-0.3",
                    "QDII is below zero",
                ),
            ),
        ],
        BARS,
    ),
    Group(
        [Fault("a clock behind the data", STOPPED, "exchange_sessions", with_vars("2000-01-01"))],
        (*BARS, "--vars", "{today: 2000-01-01}"),
    ),
    Group(
        [Fault("an unknown pool selected", STOPPED, "raw_files", unknown_pool_selected)],
        BARS,
        variables={"ETF_POOLS": "QDIII"},
    ),
    Group(
        [
            Fault(
                "most dates unreadable",
                STOPPED,
                "assert_raw_expectations_hold",
                unreadable_dates_everywhere,
            ),
            Fault(
                "high and low swapped",
                STOPPED,
                "assert_raw_expectations_hold",
                swapped_columns_everywhere,
            ),
        ]
    ),
    Group(
        [
            Fault(
                "an unknown factor id in the catalog",
                STOPPED,
                "int_factor_summary__statistics",
                edited("seeds/factor_catalog.csv", "\nsma_10,", "\nsma_11,", "sma_11", "sma_10"),
            ),
        ],
        gate_after("factor_catalog", "int_factor_summary__statistics", "factor_summary"),
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "an unreadable published build",
                WARNED,
                "published_build",
                unreadable_published_build,
            ),
        ],
        gate_after("run_settings", "int_published_build"),
        after_healthy=True,
        variables=PUBLISHED,
    ),
    BAD_ROWS,
]
