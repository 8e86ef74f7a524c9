"""Every dbt test of the build fails if its subject is broken, and names the place."""

import shutil
from pathlib import Path

import duckdb
import pytest

TESTS = Path(__file__).parents[2]

ONE_BAR = "where symbol = '510300.SH' and trade_date = '2024-01-18'"
ONE_AS_OF = "where symbol = '510300.SH' and as_of_date = '2024-01-18'"
ONE_TRADE = (
    "where strategy = 'rotation' and (pool, sequence) = "
    "(select min((pool, sequence)) from backtest.trades where strategy = 'rotation')"
)
ONE_POSITION = (
    "where strategy = 'rotation' and (pool, trade_date, symbol) = (select "
    "max((pool, trade_date, symbol)) from backtest.positions_daily where strategy = 'rotation')"
)
ONE_TRANCHE = "where strategy = 'steady_rotation' and pool = 'QDII' and tranche = 3"
ONE_EXCESS = "where strategy = 'rotation' and pool = 'QDII' and trade_date = '2024-12-31'"

# Test (or a prefix of its name), the fault, and the text that its rows then contain.
CASES = [
    (
        "assert_every_raw_row_ends_in_exactly_one_place",
        f"delete from staging.stg_etf_daily {ONE_BAR}",
        "510300.SH_daily",
    ),
    (
        "assert_every_raw_row_ends_in_exactly_one_place",
        "delete from staging.suspensions where kind = 'no_trade'",
        "a raw row in 0 places",
    ),
    (
        "assert_every_raw_row_ends_in_exactly_one_place",
        "update staging.suspensions set kind = 'no_row' where kind = 'no_trade'",
        "a suspension that comes from 1 raw rows",
    ),
    (
        "assert_every_raw_row_ends_in_exactly_one_place",
        "insert into staging.quarantine by name select source_file, source_row, "
        "raw_symbol as symbol, trade_date, raw_trade_date, 'A_SHARE' as pool, 'none' as reason "
        f"from staging.raw_rows {ONE_BAR.replace('symbol', 'raw_symbol')}",
        "a bar that comes from 0 raw rows",
    ),
    (
        "assert_every_raw_row_ends_in_exactly_one_place",
        f"insert into staging.suspensions select symbol, trade_date, pool, 'no_trade' "
        f"from staging.stg_etf_daily {ONE_BAR}",
        "a raw row in 2 places",
    ),
    (
        "assert_every_raw_row_ends_in_exactly_one_place",
        "insert into staging.quarantine by name select source_file, 0 as source_row, 'x' as reason "
        "from staging.raw_files limit 1",
        "a quarantined row that is no raw row",
    ),
    (
        "assert_every_row_of_a_raw_file_is_read",
        f"delete from staging.raw_rows {ONE_BAR.replace('symbol', 'raw_symbol')}",
        "510300.SH_daily",
    ),
    (
        "assert_every_row_of_a_raw_file_is_read",
        "update staging.run_settings set as_of = '2024-01-18'",
        "510300.SH_daily",
    ),
    (
        "assert_sessions_follow_one_another",
        "update staging.trading_calendar set next_trade_date = next_trade_date + 1 "
        "where trade_date = '2024-01-18'",
        "a session out of order",
    ),
    (
        "assert_sessions_follow_one_another",
        "delete from staging.trading_calendar where trade_date = '2024-01-18'",
        "a bar without a session after it",
    ),
    (
        "assert_sessions_follow_one_another",
        "delete from staging.trading_calendar where trade_date > '2024-12-31'",
        "a bar without a session after it",
    ),
    (
        "assert_the_row_before_is_the_previous_bar",
        f"update staging.stg_etf_daily set bar_number = bar_number + 1 {ONE_BAR}",
        "510300.SH",
    ),
    (
        "assert_the_row_before_is_the_previous_bar",
        f"delete from staging.stg_etf_daily {ONE_BAR}",
        "510300.SH",
    ),
    (
        "assert_the_row_before_is_the_previous_bar",
        "create or replace table staging.stg_etf_daily as "
        "select * from staging.stg_etf_daily order by trade_date, symbol",
        "510300.SH",
    ),
    (
        "assert_panel_columns_are_the_catalog",
        "alter table signals.factor_panel rename column kama_10 to kama_11",
        "kama_11",
    ),
    (
        "assert_panel_columns_are_the_catalog",
        "update seeds.factor_catalog set factor_id = case factor_id when 'sma_5' then 'sma_10' "
        "else 'sma_5' end where factor_id in ('sma_5', 'sma_10')",
        "sma_10",
    ),
    (
        "assert_panel_columns_are_the_catalog",
        "alter table signals.factor_panel alter column obv type float",
        "obv",
    ),
    (
        "assert_factors_are_finite_and_null_until_min_history",
        f"update signals.factor_panel set ret_20 = 'nan' {ONE_AS_OF}",
        "ret_20",
    ),
    (
        "assert_factors_are_finite_and_null_until_min_history",
        f"update signals.factor_panel set ret_20 = '-inf' {ONE_AS_OF}",
        "ret_20",
    ),
    (
        "assert_factors_are_finite_and_null_until_min_history",
        "update seeds.factor_catalog set min_history = 22 where factor_id = 'ret_20'",
        "ret_20",
    ),
    (
        "assert_summary_has_every_pool_and_factor",
        "delete from signals.factor_summary where pool = 'QDII' and factor_id = 'obv'",
        "obv",
    ),
    (
        "assert_summary_has_every_pool_and_factor",
        "update signals.factor_summary set pool = 'ELSE' where factor_id = 'obv'",
        "ELSE",
    ),
    (
        "assert_target_weights_sum_to_one_at_most",
        "update signals.target_weights set target_weight = 0.21 where rank = 1",
        "A_SHARE",
    ),
    (
        "assert_target_weights_sum_to_one_at_most",
        "update backtest.rebalances set target_weight = -0.01 where pool = 'QDII'",
        "QDII",
    ),
    (
        "assert_equity_equals_cash_plus_holdings",
        f"update backtest.positions_daily set shares = shares + 1 {ONE_POSITION}",
        "QDII",
    ),
    (
        "assert_equity_equals_cash_plus_holdings",
        f"delete from backtest.positions_daily {ONE_POSITION}",
        "QDII",
    ),
    (
        "assert_equity_equals_cash_plus_holdings",
        "update backtest.equity_daily set equity = equity + 0.02 where pool = 'OTHER'",
        "OTHER",
    ),
    (
        "assert_equity_equals_cash_plus_holdings",
        "delete from staging.stg_etf_daily where symbol = "
        f"(select symbol from backtest.positions_daily {ONE_POSITION})",
        "QDII",
    ),
    (
        "assert_equity_changes_are_explained",
        "update backtest.equity_daily set equity = equity + 0.02 where pool = 'OTHER' "
        "and trade_date = '2024-12-31'",
        "OTHER",
    ),
    (
        "assert_equity_changes_are_explained",
        "delete from backtest.equity_daily where pool = 'OTHER' and trade_date = '2024-12-30'",
        "OTHER",
    ),
    (
        "assert_equity_changes_are_explained",
        "update backtest.equity_daily set commission = commission + 1, price_pnl = price_pnl + 1 "
        "where pool = 'OTHER' and trade_date = '2024-12-31'",
        "OTHER",
    ),
    (
        "assert_equity_changes_are_explained",
        f"update backtest.trades set price = price * 1.001 {ONE_TRADE}",
        "A_SHARE",
    ),
    (
        "assert_positions_follow_from_trades",
        f"update backtest.trades set shares = shares + 100 {ONE_TRADE}",
        "A_SHARE",
    ),
    (
        "assert_positions_follow_from_trades",
        f"delete from backtest.positions_daily {ONE_POSITION}",
        "QDII",
    ),
    (
        "assert_positions_follow_from_trades",
        "update staging.stg_etf_daily set adj = adj * 2 where trade_date >= '2024-12-31'",
        "QDII",
    ),
    (
        "assert_cash_follows_from_trades_and_is_never_negative",
        f"update backtest.trades set commission = commission + 1 {ONE_TRADE}",
        "A_SHARE",
    ),
    (
        "assert_cash_follows_from_trades_and_is_never_negative",
        "update backtest.equity_daily set cash = -0.001 where trade_date = '2024-12-31'",
        "-0.001",
    ),
    (
        "assert_buys_are_whole_lots",
        f"update backtest.trades set shares = shares + 1 {ONE_TRADE}",
        "A_SHARE",
    ),
    (
        "assert_buys_are_whole_lots",
        "update backtest.trades set shares = 0 where side = 'sell'",
        "sell",
    ),
    (
        "assert_fills_are_at_the_open_within_the_limits_and_pay_costs",
        "delete from backtest.int_backtest__bars where (symbol, trade_date) = "
        f"(select (symbol, trade_date) from backtest.trades {ONE_TRADE})",
        "A_SHARE",
    ),
    (
        "assert_fills_are_at_the_open_within_the_limits_and_pay_costs",
        "update backtest.int_backtest__bars set limit_up = open",
        "buy",
    ),
    (
        "assert_fills_are_at_the_open_within_the_limits_and_pay_costs",
        "update backtest.int_backtest__bars set limit_down = open",
        "sell",
    ),
    (
        "assert_fills_are_at_the_open_within_the_limits_and_pay_costs",
        f"update backtest.trades set commission = commission / 2 {ONE_TRADE}",
        "A_SHARE",
    ),
    (
        "assert_fills_are_at_the_open_within_the_limits_and_pay_costs",
        f"update backtest.trades set slippage = 0 {ONE_TRADE}",
        "A_SHARE",
    ),
    (
        "assert_ended_funds_are_paid_out",
        f"update backtest.trades set reason = 'ended' {ONE_TRADE}",
        "A_SHARE",
    ),
    (
        "assert_ended_funds_are_paid_out",
        "delete from staging.stg_etf_daily where symbol = "
        f"(select symbol from backtest.positions_daily {ONE_POSITION})",
        "QDII",
    ),
    (
        "assert_rejections_have_their_reason",
        "insert into backtest.rejected_orders by name select * exclude (price, value, commission, "
        f"slippage) replace ('suspended' as reason) from backtest.trades {ONE_TRADE}",
        "suspended",
    ),
    (
        "assert_rejections_have_their_reason",
        "insert into backtest.rejected_orders by name select * exclude (price, value, commission, "
        f"slippage) replace ('limit_up' as reason) from backtest.trades {ONE_TRADE}",
        "limit_up",
    ),
    (
        "assert_equity_is_explained",
        "update backtest.equity_daily set commission = commission + 1 where pool = 'PORTFOLIO'",
        "PORTFOLIO",
    ),
    (
        "assert_excess_is_explained",
        f"update backtest.excess_attribution set weighting = weighting + 1e-11 {ONE_EXCESS}",
        "QDII",
    ),
    (
        "assert_excess_is_explained",
        "update backtest.excess_attribution set costs = costs - 1e-11, "
        f"selection = selection + 1e-11 {ONE_EXCESS}",
        "QDII",
    ),
    (
        "assert_excess_is_explained",
        f"delete from backtest.excess_attribution {ONE_EXCESS}",
        "QDII",
    ),
    (
        "assert_round_trips_add_up_to_the_gain",
        "update backtest.round_trips set profit = profit + 1 where strategy = 'rotation' "
        "and pool = 'OTHER' and trip = 1",
        "OTHER",
    ),
    (
        "assert_round_trips_add_up_to_the_gain",
        "delete from backtest.round_trips where pool = 'QDII' and trip = 1",
        "QDII",
    ),
    (
        "assert_tranches_add_up_to_their_strategy",
        f"update backtest.tranches_daily set equity = equity + 0.02, cash = cash + 0.02 "
        f"{ONE_TRANCHE}",
        "QDII",
    ),
    (
        "assert_tranches_add_up_to_their_strategy",
        f"update backtest.tranches_daily set holdings_value = holdings_value + 0.02 {ONE_TRANCHE}",
        "QDII",
    ),
    (
        "assert_tranches_add_up_to_their_strategy",
        "update backtest.tranches_daily set cash = cash + 1e9 * [-1, 1][tranche + 1], "
        "equity = equity + 1e9 * [-1, 1][tranche + 1] "
        "where strategy = 'steady_rotation' and pool = 'QDII' and tranche < 2",
        "QDII",
    ),
    (
        "assert_tranches_add_up_to_their_strategy",
        "insert into backtest.tranches_daily by name select * replace (4 as tranche, "
        f"0 as equity, 0 as cash, 0 as holdings_value) from backtest.tranches_daily {ONE_TRANCHE}",
        "QDII",
    ),
    (
        "assert_every_pool_has_its_extreme_months",
        "delete from backtest.extreme_months where pool = 'QDII' and kind = 'best' and rank = 3",
        "QDII",
    ),
    (
        "assert_extreme_months_add_up",
        "update backtest.extreme_months set contribution = contribution + 1e-8 "
        "where pool = 'QDII' and component_type = 'slippage'",
        "QDII",
    ),
    (
        "assert_metrics_have_one_row_a_pool",
        "delete from marts.pool_metrics_summary where pool = 'PORTFOLIO'",
        "PORTFOLIO",
    ),
    (
        "assert_monthly_returns_compound_to_the_total_return",
        "update backtest.metrics set total_return = total_return + 1e-8 where pool = 'OTHER'",
        "OTHER",
    ),
    (
        "assert_portfolio_earns_what_its_sleeves_earn",
        "update backtest.equity_daily set daily_return = daily_return + 1e-10 "
        "where pool = 'PORTFOLIO' and trade_date = '2024-11-15'",
        "datetime.date(2024, 11, 15)",
    ),
    (
        "assert_portfolio_is_there_when_its_pools_are",
        "delete from backtest.equity_daily where pool = 'PORTFOLIO' and trade_date = '2024-11-15'",
        "datetime.date(2024, 11, 15)",
    ),
    (
        "assert_capacity_binds_at_the_limit",
        "update capacity.pool_capacity set capacity_cny = capacity_cny * 1.01 where pool = 'QDII'",
        "QDII",
    ),
    (
        "assert_capacity_checks_cover_every_weight",
        "delete from capacity.capacity_checks where pool = 'QDII' and check_name = 'adv_pct'",
        "QDII",
    ),
    (
        "assert_every_pool_knows_its_next_session",
        "delete from marts.next_session_orders where pool = 'QDII'",
        "no row",
    ),
    (
        "assert_rebalances_stay_within_the_adv_limit",
        "update signals.target_weights set adv20 = null where pool = 'QDII'",
        "QDII",
    ),
    (
        "assert_gate_checks_match_the_index",
        "delete from gate.gate_checks where check_name = 'lag_dynamic'",
        "lag_dynamic",
    ),
    (
        "assert_no_gate_check_fails",
        "update gate.gate_checks set status = 'fail' where check_name = 'lag_dynamic'",
        "lag_dynamic",
    ),
    (
        "assert_raw_expectations_hold",
        "update staging.int_expectations__raw set success = false where is_blocking",
        "raw_rows",
    ),
    (
        "primary_key_stg_etf_daily",
        f"insert into staging.stg_etf_daily select * from staging.stg_etf_daily {ONE_BAR}",
        "510300.SH",
    ),
    (
        "primary_key_stg_etf_daily",
        f"update staging.stg_etf_daily set trade_date = null {ONE_BAR}",
        "510300.SH",
    ),
    (
        "has_no_nulls_etf_pools",
        "update seeds.etf_pools set category = null where symbol = '510300.SH'",
        "510300.SH",
    ),
    (
        "relationships_etf_pools",
        "update seeds.etf_pools set pool = 'QDI' where pool = 'QDII'",
        "QDI",
    ),
    (
        "relationships_legacy_ids",
        "delete from seeds.factor_catalog where factor_id = 'sma_5'",
        "sma_5",
    ),
]


@pytest.fixture(scope="module")
def writable(sample, tmp_path_factory):
    copy = tmp_path_factory.mktemp("broken") / sample.database.name
    shutil.copy(sample.database, copy)
    with duckdb.connect(str(copy)) as connection:
        _store_panel(connection)
        yield connection


def _store_panel(connection):
    # A view cannot be broken in place.
    connection.execute("create table panel as from signals.factor_panel")
    connection.execute("drop view signals.factor_panel")
    connection.execute("create table signals.factor_panel as from panel")


@pytest.fixture(scope="module")
def compiled(sample):
    """The SQL of each dbt test as the build ran it; generic ones have a hash after their name."""
    folder = sample.folder / "target" / "compiled" / "etf_rotation"

    def sql(name):
        (path,) = folder.rglob(f"{name}*.sql")
        return path.read_text(encoding="utf-8")

    return {name: sql(name) for name, _, _ in CASES}


def failures(connection, sql):
    return connection.execute(sql).fetchall()


def test_every_singular_test_has_a_case():
    # The first has a twin for failures, and the sample does have warnings; the second
    # reads the manifest, which no table can break.
    without = {"assert_no_gate_check_warns", "assert_nothing_reads_research"}
    names = {path.stem for path in TESTS.rglob("assert_*.sql")}
    assert names - without <= {case[0] for case in CASES}


@pytest.mark.parametrize("name", sorted({name for name, _, _ in CASES}))
def test_the_sample_passes(name, writable, compiled):
    assert failures(writable, compiled[name]) == []


@pytest.mark.parametrize(
    ("name", "broken", "named"), CASES, ids=[f"{name}-{n}" for n, (name, *_) in enumerate(CASES)]
)
def test_a_broken_build_is_noticed(name, broken, named, writable, compiled):
    writable.execute("begin")
    try:
        writable.execute(broken)
        assert named in str(failures(writable, compiled[name]))
    finally:
        writable.execute("rollback")
