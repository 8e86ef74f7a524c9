"""The evidence statistics against statsmodels, arch, scipy and pandas."""

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from arch.bootstrap import CircularBlockBootstrap
from etf_rotation.backtest import evidence
from scipy import stats

YEAR, RATE = 252, 0.03 / 252
SETTINGS = {"sessions_per_year": YEAR, "risk_free_rate": 0.03, "min_sessions": 60}
HAC = {
    "cov_type": "HAC",
    "cov_kwds": {"maxlags": 21, "kernel": "bartlett", "use_correction": False},
}


@pytest.fixture(scope="module")
def equity(sample):
    return sample.connection.execute("from backtest.equity_daily").df()


@pytest.fixture(scope="module")
def published(sample):
    rows = sample.connection.execute("from backtest.evidence").df().to_dict("records")
    assert rows
    return rows


def together(equity, strategy, pool):
    """Returns of a strategy and of equal_weight on the sessions that both have."""
    of_pool = equity[equity["pool"] == pool]
    wide = of_pool.pivot(index="trade_date", columns="strategy", values="daily_return")
    return wide[[strategy, "equal_weight"]].dropna().rename(columns={strategy: "own"})


def sharpe(excess):
    return math.sqrt(YEAR) * excess.mean() / excess.std(ddof=1)


def autocorrelated(seed, sessions=900):
    rng = np.random.default_rng(seed)
    rival = rng.standard_t(4, sessions) * 0.01
    own = 0.8 * rival + np.convolve(
        rng.normal(0.0002, 0.004, sessions + 9), np.ones(10) / 4, "valid"
    )
    return own, rival


def test_every_strategy_except_equal_weight_has_evidence_in_every_pool_and_portfolio(
    equity, published
):
    judged = {(row["strategy"], row["pool"], row["period"]) for row in published}
    strategies = equity[["strategy", "pool"]].drop_duplicates().itertuples(index=False)
    rivals = {pool for strategy, pool in strategies if strategy == "equal_weight"}
    assert "PORTFOLIO" in rivals
    strategies = equity[["strategy", "pool"]].drop_duplicates().itertuples(index=False)
    assert judged == {
        (strategy, pool, "all")
        for strategy, pool in strategies
        if strategy != "equal_weight" and pool in rivals
    }


def test_excess_return_and_t_value_equal_statsmodels(equity, published):
    for row in published:
        returns = together(equity, row["strategy"], row["pool"])
        assert row["sessions"] == len(returns)
        assert (row["first_date"], row["last_date"]) == (returns.index[0], returns.index[-1])
        differences = returns["own"] - returns["equal_weight"]
        fit = sm.OLS(differences, np.ones(len(returns))).fit(**HAC)
        assert row["mean_excess"] == pytest.approx(YEAR * fit.params.iloc[0], rel=1e-9)
        assert row["excess_t"] == pytest.approx(fit.tvalues.iloc[0], rel=1e-9)


def test_alpha_and_t_value_equal_statsmodels(equity, published):
    for row in published:
        returns = together(equity, row["strategy"], row["pool"]) - RATE
        fit = sm.OLS(returns["own"], sm.add_constant(returns["equal_weight"])).fit(**HAC)
        assert row["alpha"] == pytest.approx(YEAR * fit.params["const"], rel=1e-9)
        assert row["alpha_t"] == pytest.approx(fit.tvalues["const"], rel=1e-9)


def test_the_verdict_is_a_two_sided_test_at_the_5_percent_level(published):
    for row in published:
        is_significant = 2 * stats.norm.sf(abs(row["excess_t"])) < 0.05
        sides = {True: "better", False: "worse"}
        expected = sides[row["excess_t"] > 0] if is_significant else "not_distinguishable"
        assert row["verdict"] == expected


@pytest.mark.parametrize(
    ("shift", "verdict"),
    [(0.002, "better"), (-0.002, "worse"), (0.0, "not_distinguishable")],
)
def test_a_clear_difference_is_significant(shift, verdict):
    own, rival = autocorrelated(3)
    own = own - own.mean() + rival.mean() + shift
    assert evidence.judge(own, rival, **SETTINGS)["verdict"] == verdict


def test_the_interval_contains_the_difference_of_the_sharpe_ratios(equity, published):
    for row in published:
        returns = together(equity, row["strategy"], row["pool"]) - RATE
        expected = sharpe(returns["own"]) - sharpe(returns["equal_weight"])
        assert row["sharpe_difference"] == pytest.approx(expected, rel=1e-9)
        assert row["low"] < row["sharpe_difference"] < row["high"]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_bootstrap_interval_equals_archs(seed):
    own, rival = autocorrelated(seed)

    def difference(own, rival):
        return sharpe(own) - sharpe(rival)

    bootstrap = CircularBlockBootstrap(42, own, rival, seed=seed)
    draws = bootstrap.apply(difference, reps=4_000)
    low, high = evidence.sharpe_interval(own, rival, YEAR)
    expected_low, expected_high = np.quantile(draws, [0.025, 0.975])
    # Two samples of draws: their 2.5% quantiles differ by a few per cent of the width.
    width = expected_high - expected_low
    assert abs(low - expected_low) < 0.06 * width
    assert abs(high - expected_high) < 0.06 * width


def test_a_draw_is_the_sharpe_ratio_of_joined_blocks():
    own, rival = autocorrelated(5, sessions=100)
    begins = np.random.default_rng(evidence.SEED).integers(0, 100, size=(evidence.DRAWS, 3))
    offsets = np.arange(42)
    draws = []
    for three in begins:
        rows = np.concatenate([(begin + offsets) % 100 for begin in three])[:100]
        draws.append(sharpe(own[rows]) - sharpe(rival[rows]))
    expected = tuple(np.quantile(draws, [0.025, 0.975]))
    assert evidence.sharpe_interval(own, rival, YEAR) == pytest.approx(expected, rel=1e-9)


def test_an_account_that_was_mostly_in_cash_has_no_interval():
    own, rival = autocorrelated(6)
    own[:-60] = 0.0
    figures = evidence.judge(own, rival, **SETTINGS)
    assert figures["sharpe_difference"] is not None
    assert (figures["low"], figures["high"]) == (None, None)


def test_a_short_period_has_no_evidence():
    own, rival = autocorrelated(7, sessions=59)
    assert evidence.judge(own, rival, **SETTINGS) == {
        "sessions": 59,
        "verdict": "not_distinguishable",
    }


def test_figures_of_periods_equal_pandas(sample, equity):
    rows = sample.connection.execute("from backtest.metrics_by_period").df()
    rows = rows.to_dict("records")
    curves = {key: own.set_index("trade_date") for key, own in equity.groupby(["strategy", "pool"])}
    for row in rows:
        own = curves[row["strategy"], row["pool"]]
        days = own.index[in_period(own.index, row["period"])]
        assert (row["first_date"], row["last_date"]) == (days[0], days[-1]), row
        assert row["sessions"] == len(days)
        rival = curves["equal_weight", row["pool"]].reindex(days)["daily_return"]
        for prefix, returns in {
            "": own.loc[days, "daily_return"],
            "benchmark_": own.loc[days, "benchmark_return"],
            "equal_weight_": rival,
        }.items():
            names = ("total_return", "annual_return", "max_drawdown", "sharpe")
            found = tuple(row[prefix + name] for name in names)
            assert found == pytest.approx(figures(returns), rel=1e-9, abs=1e-12, nan_ok=True), (
                row,
                prefix,
            )


def in_period(days, period):
    last = days[-1]
    to_date = {"month_to_date": "M", "quarter_to_date": "Q", "year_to_date": "Y"}
    if period == "all":
        return np.ones(len(days), dtype=bool)
    if period in to_date:
        return days.to_period(to_date[period]) == last.to_period(to_date[period])
    if period == "last_session":
        return days == last
    kind, number, *_ = period.split("_")
    if kind == "year":
        return days.year == int(number)
    return days > last - pd.DateOffset(years=int(number))


def figures(returns):
    if returns.isna().any():
        return (math.nan,) * 4
    growth = np.concatenate([[1.0], np.cumprod(1 + returns.to_numpy())])
    drawdown = (growth / np.maximum.accumulate(growth) - 1).min()
    if len(returns) < 60:
        return growth[-1] - 1, math.nan, drawdown, math.nan
    annual = growth[-1] ** (YEAR / len(returns)) - 1
    return growth[-1] - 1, annual, drawdown, sharpe(returns - RATE)


def test_the_periods_are_the_whole_life_the_years_and_those_to_the_last_session(sample):
    periods = {
        p
        for (p,) in sample.connection.execute(
            "select distinct period from backtest.metrics_by_period where strategy = 'rotation'"
            " and pool = 'A_SHARE'"
        ).fetchall()
    }
    to_date = {"month_to_date", "quarter_to_date", "year_to_date"}
    years = {period for period in periods if period.startswith("year_")} - to_date
    assert {"all", *to_date} <= periods
    assert years
    assert not periods & {"before_holdout", "since_holdout"}


def test_the_excess_of_every_session_is_explained_by_its_parts(sample, equity):
    query = sample.connection.execute
    found = query("from backtest.excess_attribution").df()
    positions = query("from backtest.positions_daily").df()
    trades = query("from backtest.trades").df()
    bars = query(
        "select symbol, trade_date, open, close, adj,"
        " lag(close) over fund as previous_close, lag(adj) over fund as previous_adj"
        " from staging.stg_etf_daily window fund as (partition by symbol order by trade_date)"
    ).df()
    key = ["strategy", "pool", "trade_date", "symbol"]
    bought = trades[trades["side"] == "buy"].groupby(key)["shares"].sum().rename("bought")
    held = positions.merge(bought.reset_index(), how="left", on=key).fillna({"bought": 0.0})
    held = held.drop(columns="close").merge(bars, how="left", on=["symbol", "trade_date"])
    kept = (held["shares"] - held["bought"]) / (held["adj"] / held["previous_adj"])
    base = (kept * held["previous_close"]).fillna(0) + held["bought"] * held["open"]
    held["base"] = base.where(held["open"].notna(), held["market_value"])
    held["fund_return"] = held["market_value"] / held["base"] - 1
    by_session = held.groupby(key[:3]).agg(base=("base", "sum"), mean=("fund_return", "mean"))
    joined = equity[equity["pool"] != "PORTFOLIO"].set_index(key[:3]).join(by_session)
    joined = joined.join(found.set_index(key[:3]).add_prefix("found_"))
    assert len(found) == len(joined)
    b = joined["benchmark_return"]
    h = joined["base"].fillna(0) / joined["previous_equity"]
    expected = {
        "excess_return": joined["daily_return"] - b,
        "cash": -(1 - h) * b,
        "costs": -(joined["commission"] + joined["slippage"]) / joined["previous_equity"],
        "selection": h * (joined["mean"] - b).fillna(0),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(
            joined[f"found_{name}"], values, rtol=1e-9, atol=1e-13, err_msg=name
        )
    parts = found[["cash", "costs", "selection", "weighting"]].sum(axis=1)
    np.testing.assert_allclose(parts, found["excess_return"], rtol=0, atol=1e-16)
    assert (found["weighting"].abs() > 1e-6).any()
