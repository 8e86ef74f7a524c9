"""Each var and each rule of the seed changes exactly the intended tables.

One build has all of them off their default.
"""

import datetime as dt
import shutil

import duckdb
import pytest
import yaml
from conftest import run_dbt

VARS = {
    "max_no_row_sessions": 1,
    "default_price_limit": 0.3,
    "production_min_coverage": 0.99,
    "duplicate_correlation": 0.9,
    "min_scored_share": 1.0,
    "backtest_start": dt.date(2024, 3, 5),
    "min_adv_cny": 50_000_000,
    "enforce_adv": False,
    "carry_over": False,
    "slippage_bps": 0,
    "commission_bps": 0,
    "min_commission_cny": 7,
    "lot_size": 1000,
    "sessions_per_year": 250,
    "risk_free_rate": 0.0,
    "rolling_sessions": 60,
    "capacity_capitals": [2_000_000],
    "impact_coefficient": 0,
}
# Of the strategy rotation, in the seed strategies.
RULES = {"rebalance": "weekly", "min_weight_change": 0.1}

# The expected effect of the var or rule and, if there is a second query, of the
# default.
EFFECTS = {
    "max_no_row_sessions": (
        "select [(select count(*) from staging.suspensions where kind = 'no_row'), "
        "(select min(trade_date - last_row_date) from backtest.int_backtest__endings "
        "inner join staging.int_fund_gaps using (symbol))]",
        lambda changed, default: all(
            0 < new < old for new, old in zip(changed, default, strict=True)
        ),
    ),
    "default_price_limit": (
        "select median(limit_up / limit_down) from backtest.int_backtest__bars",
        lambda changed, default: changed > 1.8 > default,
    ),
    "production_min_coverage": (
        "select min(coverage) from signals.factor_summary where is_production",
        lambda changed, default: changed >= 0.99 > default,
    ),
    "duplicate_correlation": (
        "select count(*) from signals.factor_summary where duplicate_of is not null",
        lambda changed, default: changed > default,
    ),
    "min_scored_share": (
        "select min(factors_available) from signals.scores where score is not null",
        lambda changed, default: changed == 11 > default,
    ),
    "rebalance": (
        "select min(days) from (select trade_date - lag(trade_date) over "
        "(partition by pool order by trade_date) as days from signals.int_rebalance_sessions "
        "where strategy = 'rotation')",
        lambda changed, default: changed <= 9 < default,
    ),
    "backtest_start": (
        "select min(trade_date)::varchar from signals.target_weights",
        lambda changed, default: changed >= "2024-03-05" > default,
    ),
    "min_adv_cny": (
        "select min(adv20) from signals.target_weights",
        lambda changed, default: changed >= 50_000_000 > default,
    ),
    "enforce_adv": (
        "select count(*) from backtest.rebalances inner join signals.target_weights as nominal "
        "using (strategy, pool, trade_date, tranche, symbol) "
        "where strategy = 'rotation' and rebalances.target_weight < nominal.target_weight",
        lambda changed, default: changed == 0 < default,
    ),
    "carry_over": (
        "select count(*) from backtest.rejected_orders where is_carry_over",
        lambda changed, default: changed == 0 < default,
    ),
    "min_weight_change": (
        "select min(trades.value / rebalances.equity) from backtest.trades inner join "
        "backtest.rebalances using (strategy, pool, trade_date, tranche, symbol) "
        "where strategy = 'rotation' and target_shares > 0 and side = 'sell'",
        lambda changed, default: (changed is None or changed > 0.09) and default < 0.09,
    ),
    "slippage_bps": (
        "select sum(slippage) from backtest.trades",
        lambda changed, default: changed == 0 < default,
    ),
    "commission_bps": (
        "select max(commission) from backtest.trades",
        lambda changed, default: changed == 7 < default,
    ),
    "min_commission_cny": (
        "select min(commission) from backtest.trades where reason <> 'ended'",
        lambda changed, default: changed == 7 and default == 5,
    ),
    "lot_size": (
        "select count(*) from backtest.trades where side = 'buy' and shares % 1000 <> 0",
        lambda changed, default: changed == 0 < default,
    ),
    "sessions_per_year": (
        "select round(ln(1 + annual_return) / ln(1 + total_return) * sessions) "
        "from backtest.metrics "
        "where strategy = 'rotation' and pool = 'QDII'",
        lambda changed, default: changed == 250 and default == 252,
    ),
    "risk_free_rate": (
        "select abs(sharpe - sqrt({sessions}) * avg_return / sd_return) < 1e-9 "
        "from backtest.metrics "
        "inner join (select strategy, pool, avg(daily_return) as avg_return, "
        "stddev_samp(daily_return) as sd_return from backtest.equity_daily group by all) "
        "using (strategy, pool) where strategy = 'rotation' and pool = 'QDII'",
        lambda changed, default: changed and not default,
    ),
    "rolling_sessions": (
        "select (select count(*) from backtest.equity_daily where pool = 'QDII' "
        "and strategy = 'equal_weight') - (select count(*) from backtest.rolling_metrics "
        "where pool = 'QDII' and strategy = 'equal_weight')",
        lambda changed, default: changed == 59 and default == 125,
    ),
    "capacity_capitals": (
        "select list(distinct capital_cny) from capacity.capacity_curve",
        lambda changed, default: changed == [2_000_000] and len(default) == 5,
    ),
    "impact_coefficient": (
        "select max(annual_impact_cost) from capacity.capacity_curve",
        lambda changed, default: changed == 0 < default,
    ),
}


@pytest.fixture(scope="module")
def changed(sample, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vars")
    shutil.copy(sample.database, folder / "etf_rotation.duckdb")
    with duckdb.connect(str(folder / "etf_rotation.duckdb")) as connection:
        for rule, value in RULES.items():
            connection.execute(
                f"update seeds.strategies set {rule} = ? where strategy = 'rotation'", [value]
            )
    # A path may contain an apostrophe.
    raw_root = folder / "the broker's files"
    raw_root.symlink_to(sample.raw_root, target_is_directory=True)
    layers = ("signals", "backtest", "capacity", "marts")
    result = run_dbt(
        folder,
        raw_root,
        "run",
        "--vars",
        yaml.safe_dump(VARS),
        "--select",
        "run_settings",
        "int_fund_gaps",
        "int_price_limits",
        "suspensions",
        *(f"path:models/{layer}" for layer in layers),
    )
    assert result.success
    with duckdb.connect(str(folder / "etf_rotation.duckdb"), read_only=True) as connection:
        yield connection


@pytest.mark.parametrize("name", [*VARS, *RULES])
def test_a_var_or_rule_changes_the_intended_tables(name, changed, sample):
    query, holds = EFFECTS[name]
    values = [
        connection.execute(query.format(sessions=sessions)).fetchall()[0][0]
        for connection, sessions in ((changed, 250), (sample.connection, 252))
    ]
    assert holds(*values), values
