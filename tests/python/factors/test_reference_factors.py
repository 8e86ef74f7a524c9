"""The reference itself, on cases that can be computed by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from reference_factors import pool_columns, reference_factors

CATALOG = Path(__file__).parents[3] / "seeds" / "factor_catalog.csv"


def make_bars(close, **columns):
    close = np.asarray(close, dtype=float)
    prices = dict.fromkeys(["open", "high", "low", "close"], close)
    bars = pd.DataFrame({**prices, "volume": 100.0, "amount": 100 * close} | columns)
    return bars.set_index(pd.bdate_range("2020-01-01", periods=len(bars), name="trade_date"))


def test_columns_are_the_catalog_in_its_order():
    catalog = pd.read_csv(CATALOG)
    assert list(reference_factors(make_bars([1, 2])).columns) == list(catalog["factor_id"])


def test_five_bars_by_hand():
    last = reference_factors(make_bars([1.0, 2, 4, 3, 5], high=[2.0, 3, 5, 4, 6])).iloc[-1]
    assert last["sma_5"] == 3
    assert last["ret_2"] == 0.25
    assert last["bias_5"] == pytest.approx(2 / 3)
    assert last["stoch_k_5"] == 80
    assert last["obv"] == 300
    assert np.isnan(last["volatility_5"])  # five returns need six bars


def test_constant_growth_is_a_perfect_line_without_volatility():
    last = reference_factors(make_bars(100 * 1.01 ** np.arange(130))).iloc[-1]
    assert last["slope_60"] == pytest.approx(np.log(1.01))
    assert last["momentum_score_25"] == pytest.approx(1.01**252 - 1)
    assert last["rsi_14"] == last["rsi_sma_14"] == 100
    assert last["volatility_60"] == last["max_drawdown_120"] == 0
    assert last[["sharpe_60", "skewness_20", "calmar_60", "up_down_volume_ratio_20"]].isna().all()


def test_constant_price_is_null_only_where_a_denominator_is_zero():
    last = reference_factors(make_bars([1.2345678] * 300)).iloc[-1]
    assert last[["r2_20", "stoch_d_5_3", "rsi_sma_14", "bb_percent_b_20_2p0"]].isna().all()
    assert (last[["rsi_14", "adx_14", "cci_14", "mfi_14", "cmf_20", "bb_width_20_2p0"]] == 0).all()


def test_a_window_that_holds_a_null_is_null():
    close = np.r_[[1.0] * 6, 2, 3, 4, 5]
    factors = reference_factors(make_bars(close))
    assert factors["stoch_k_5"].notna().tolist() == [False] * 6 + [True] * 4
    assert factors["stoch_d_5_3"].notna().tolist() == [False] * 8 + [True] * 2


def test_market_needs_three_funds():
    frames = {"a": make_bars([1, 2]), "b": make_bars([1, 1.5]), "c": make_bars([1, 4.0])}
    assert pool_columns(frames)["a"]["market"].iloc[-1] == 1.5
    assert np.isnan(pool_columns({s: frames[s] for s in "ab"})["a"]["market"].iloc[-1])
