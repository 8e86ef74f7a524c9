"""The simulation of every strategy against the reference from the specification."""

import os
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from conftest import PROJECT, build
from reference_comparison import differences
from reference_portfolio import load, plan, start_funds
from reference_walk import walk

REAL_DATA = Path(os.environ.get("ETF_REAL_DATA") or PROJECT.parent / "shared" / "data" / "pools")
TABLES = ("selection_log", "target_weights", "rebalances", "trades", "rejected_orders")
ONLY_THE_WALK = ["--select", *(f"+{table}" for table in (*TABLES, "tranches_daily", "suspensions"))]
ONLY_THE_WALK += ["--exclude-resource-type", "test", "unit_test"]


def test_the_sample_equals_the_reference_simulation(sample):
    faults, compared = differences(sample.connection)
    assert faults[:5] == []
    assert all(compared.values())


def test_the_real_pools_equal_the_reference_simulation(tmp_path):
    if not REAL_DATA.is_dir():
        pytest.skip(f"real data is not at {REAL_DATA}: set ETF_REAL_DATA to compare with it")
    database = build(tmp_path, REAL_DATA, *ONLY_THE_WALK)
    with duckdb.connect(str(database), read_only=True) as connection:
        faults, compared = differences(connection)
    assert faults[:5] == []
    assert compared["trades"] > 10_000


@pytest.mark.parametrize("strategy", ["rotation", "steady_rotation", "risk_weighted"])
def test_rebalance_luck_equals_reference_simulations_at_each_offset(strategy, sample):
    markets, funds, pools, rules = load(sample.connection)
    (rule,) = [r for r in rules if (r["strategy"], r["pool"]) == (strategy, "QDII")]
    returns = {
        offset: walked_returns(markets["QDII"], rule, pools["QDII"], funds, rules, offset)
        for offset in range(20)
    }
    common = pd.DataFrame(returns).dropna()
    excess = common - 0.03 / 252
    expected = {
        offset: (
            len(common),
            (1 + common[offset]).prod() ** (252 / len(common)) - 1,
            252**0.5 * excess[offset].mean() / excess[offset].std(),
            offset == rule["rebalance_offset"],
        )
        for offset in returns
    }
    found = sample.connection.execute(
        'select "offset", sessions, annual_return, sharpe, is_own from backtest.rebalance_luck'
        " where strategy = ? and pool = 'QDII'",
        [strategy],
    ).fetchall()
    assert len(found) == 20
    for offset, *figures in found:
        assert tuple(figures) == pytest.approx(expected[offset], rel=1e-9), offset


def walked_returns(market, rule, pool, funds, rules, offset):
    """Daily returns of the strategy with an offset; the first is relative to its capital."""
    rule = rule | {"rebalance_offset": offset}
    planned = plan(market, rule, pool, funds, start_funds(rule, rules))
    books = walk(market, rule, pool, funds, planned)
    equity = pd.Series(
        {key: values[0] for key, values in books["tranches_daily"].items()}, dtype=float
    )
    equity = equity.groupby(level=0).sum()
    return equity / equity.shift(fill_value=pool["target_capital"]) - 1
