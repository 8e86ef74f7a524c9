"""The research tables against alphalens itself; t-values against scipy and statsmodels."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

HORIZONS = (1, 5, 20)

utils = pytest.importorskip("alphalens.utils", reason="alphalens-reloaded is not installed")
performance = pytest.importorskip("alphalens.performance")
statsmodels = pytest.importorskip("statsmodels.api")


@pytest.fixture(scope="module")
def research(sample):
    """Read a table of the sample, or the result of a query, as a data frame."""
    return lambda query: sample.connection.execute(query).df()


@pytest.fixture(scope="module")
def factor_values(research):
    """A factor without ties, one with many, and the score: (pool, factor_id) to series."""
    values = research(
        """
        select pool, factor_id, trade_date as date, symbol as asset, factor_value as factor
        from signals.int_scored_factors where factor_id in ('ret_20', 'drawdown_63')
        union all
        select pool, 'score', trade_date, symbol, score from signals.scores where score is not null
        """
    )
    return {
        key: group.set_index(["date", "asset"])["factor"].sort_index()
        for key, group in values.groupby(["pool", "factor_id"])
    }


@pytest.fixture(scope="module")
def opens(research):
    """Adjusted opens by session and fund; null where a fund has no bar."""
    opens = research(
        "select trade_date as date, symbol as asset, adj_open from staging.stg_etf_daily"
    ).pivot(index="date", columns="asset", values="adj_open")
    calendar = research(
        "select trade_date from staging.trading_calendar order by trade_date"
    ).trade_date
    return opens.reindex(calendar[calendar <= opens.index.max()].rename("date"))


@pytest.fixture(scope="module")
def forward_returns(research):
    """The table's forward returns, by horizon, as alphalens takes them."""
    rows = research(
        'select trade_date as date, symbol as asset, horizon_sessions, forward_return as "1D" '
        "from research.int_research__forward_returns"
    )
    return {
        horizon: group.set_index(["date", "asset"])[["1D"]].sort_index()
        for horizon, group in rows.groupby("horizon_sessions")
    }


def of(table, **keys):
    """Return the rows of a table that have these values."""
    return table[np.logical_and.reduce([table[name] == value for name, value in keys.items()])]


def clean(factor, forward_returns, **bins):
    """Factor and forward returns as alphalens pairs and cuts them; it must leave nothing out."""
    paired = factor.index.intersection(forward_returns.index)
    frame = utils.get_clean_factor(
        factor.loc[paired], forward_returns.loc[paired], **{"quantiles": None, **bins}
    )
    assert len(frame) == len(paired) > 0
    return frame


@pytest.mark.parametrize("horizon", HORIZONS)
def test_forward_returns_are_alphalens(opens, forward_returns, horizon):
    """It fills a price of a suspended fund forward; here such a fund has no return."""
    every = opens.stack(future_stack=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the calendar is not a weekday rule
        theirs = utils.compute_forward_returns(every, opens, periods=(horizon,)).iloc[:, 0]
    traded = (opens.notna() & opens.shift(-horizon).notna()).stack(future_stack=True)
    expected = theirs[traded].sort_index()
    assert 0 < traded.sum() < len(theirs.dropna())
    own = forward_returns[horizon]["1D"]
    pd.testing.assert_series_equal(
        own, expected, check_names=False, check_index_type=False, rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("horizon", HORIZONS)
def test_rank_ic_is_alphalens_factor_information_coefficient(
    research, factor_values, forward_returns, horizon
):
    published = research(f"from research.factor_ic where horizon_sessions = {horizon}")
    compared = 0
    for (pool, factor_id), factor in factor_values.items():
        own = of(published, pool=pool, factor_id=factor_id)
        own = own.set_index("trade_date")["rank_ic"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", stats.ConstantInputWarning)
            warnings.simplefilter("ignore", RuntimeWarning)  # sessions with a single fund
            expected = performance.factor_information_coefficient(
                clean(factor, forward_returns[horizon], bins=1)
            )["1D"].dropna()
        pd.testing.assert_series_equal(
            own, expected, check_names=False, check_index_type=False, rtol=0, atol=1e-12
        )
        compared += len(expected)
    assert compared > 1000


def test_summary_holds_the_figures_of_alphalens_information_table(research):
    """Its tear sheet takes the t-value from scipy too."""
    summary = research("from research.factor_ic_summary")
    daily = research("from research.factor_ic")
    assert len(summary) == daily.groupby(["pool", "factor_id", "horizon_sessions"]).ngroups > 0
    for row in summary.itertuples():
        ic = of(
            daily,
            pool=row.pool,
            factor_id=row.factor_id,
            horizon_sessions=row.horizon_sessions,
        ).rank_ic
        assert row.sessions == len(ic)
        assert row.mean_ic == pytest.approx(ic.mean(), abs=1e-14)
        assert row.ic_standard_deviation == pytest.approx(ic.std(), rel=1e-12)
        assert row.icir == pytest.approx(ic.mean() / ic.std(), rel=1e-10)
        assert row.t_value == pytest.approx(stats.ttest_1samp(ic, 0).statistic, rel=1e-10)
        assert row.share_positive == pytest.approx((ic > 0).mean())


def test_t_value_is_statsmodels_newey_west(research):
    """Over all sessions: one without a rank IC takes part with no deviation (Parzen 1963)."""
    summary = research("from research.factor_ic_summary")
    daily = research(
        "select factor_ic.*, session_number from research.factor_ic "
        "inner join staging.trading_calendar using (trade_date)"
    )
    compared = 0
    for row in summary.itertuples():
        ic = of(
            daily, pool=row.pool, factor_id=row.factor_id, horizon_sessions=row.horizon_sessions
        ).set_index("session_number")["rank_ic"]
        sessions = range(ic.index.min(), ic.index.max() + 1)
        deviations = (ic - ic.mean()).reindex(sessions, fill_value=0.0)
        fit = statsmodels.OLS(deviations.to_numpy(), np.ones(len(sessions))).fit(
            cov_type="HAC", cov_kwds={"maxlags": 2 * (row.horizon_sessions - 1)}
        )
        # Their error is of a mean over all of the sessions, with n in place of n - 1.
        error = fit.bse[0] * len(sessions) / np.sqrt(len(ic) * (len(ic) - 1))
        assert row.t_value_newey_west == pytest.approx(ic.mean() / error, rel=1e-8)
        compared += len(ic) > 100
    assert compared > 30


def test_returns_that_overlap_are_not_counted_as_independent(research):
    """Neighboring returns over 20 sessions share 19: the plain t-value is far too high."""
    by_horizon = research(
        "select horizon_sessions, median(abs(t_value)) as plain, "
        "median(abs(t_value_newey_west)) as corrected "
        "from research.factor_ic_summary group by all"
    ).set_index("horizon_sessions")
    assert by_horizon.plain[1] == pytest.approx(by_horizon.corrected[1], rel=1e-12)
    assert by_horizon.plain[20] > 2 * by_horizon.corrected[20]


@pytest.mark.parametrize("horizon", HORIZONS)
def test_quantile_returns_are_alphalens_mean_return_by_quantile(
    research, factor_values, forward_returns, horizon
):
    """A factor without ties, on sessions with as many funds as quantiles."""
    published = research(
        f"from research.factor_quantile_returns where horizon_sessions = {horizon}"
    )
    funds = research("select pool, count(*) as n from seeds.etf_pools group by pool")
    funds = funds.set_index("pool").n
    assert set(funds < 10) == {True, False}, "the sample has no small pool"
    for (pool, factor_id), factor in factor_values.items():
        if factor_id != "ret_20":
            continue
        quantiles = 3 if funds[pool] < 10 else 5
        returns = forward_returns[horizon]
        paired = factor.loc[factor.index.intersection(returns.index)]
        enough = paired.groupby("date").transform("size") >= quantiles
        frame = clean(paired[enough], returns, quantiles=quantiles)
        own = of(published, pool=pool, factor_id=factor_id).set_index("factor_quantile")
        assert list(own.index) == list(range(1, quantiles + 1))
        plain, _ = performance.mean_return_by_quantile(frame, demeaned=False)
        excess, error = performance.mean_return_by_quantile(frame)
        np.testing.assert_allclose(own.mean_return, plain["1D"], rtol=0, atol=1e-14)
        np.testing.assert_allclose(own.mean_excess_return, excess["1D"], rtol=0, atol=1e-14)
        np.testing.assert_allclose(own.standard_error, error["1D"], rtol=1e-8)
        by_quantile = frame.reset_index().groupby("factor_quantile")["date"]
        assert list(own.sessions) == list(by_quantile.nunique())
        assert list(own.observations) == list(by_quantile.size())


def test_equal_values_share_the_lower_quantile(research):
    """A drawdown of 0 is shared by every fund at its high: pandas refuses such a session."""
    split = research(
        """
        select count(*) from (
            select pool, trade_date, horizon_sessions, doubled_factor_rank
            from research.int_research__observations where factor_id = 'drawdown_63'
            group by all having count(distinct factor_quantile) > 1
        )
        """
    )
    assert split.iloc[0, 0] == 0


def test_rank_autocorrelation_is_alphalens(research, factor_values):
    published = research("from research.factor_rank_autocorrelation")
    summary = research("from research.factor_ic_summary where horizon_sessions = 1")
    for (pool, factor_id), factor in factor_values.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # sessions with a single fund
            expected = performance.factor_rank_autocorrelation(factor.to_frame()).dropna()
        own = of(published, pool=pool, factor_id=factor_id)
        own = own.set_index("trade_date").rank_autocorrelation
        pd.testing.assert_series_equal(
            own, expected, check_names=False, check_index_type=False, rtol=0, atol=1e-12
        )
        row = of(summary, pool=pool, factor_id=factor_id).iloc[0]
        assert row.mean_rank_autocorrelation == pytest.approx(expected.mean(), abs=1e-12)
        assert row.mean_rank_autocorrelation**row.half_life_sessions == pytest.approx(0.5)


def test_factor_correlation_is_the_mean_of_the_sessions(research, factor_values):
    """Alphalens has none: Pearson's correlation of pandas' ranks, as its autocorrelation is."""
    published = research("from research.factor_correlation")
    for pool in {pool for pool, _ in factor_values}:
        ranks = [
            factor_values[pool, factor_id].groupby("date").rank().unstack()
            for factor_id in ("drawdown_63", "ret_20")
        ]
        expected = ranks[0].corrwith(ranks[1], axis=1).dropna()
        for pair in (("drawdown_63", "ret_20"), ("ret_20", "drawdown_63")):
            own = of(published, pool=pool, factor_id=pair[0], other_factor_id=pair[1]).iloc[0]
            assert own.sessions == len(expected)
            assert own.mean_rank_correlation == pytest.approx(expected.mean(), abs=1e-12)


def test_forward_returns_start_at_the_first_open_after_the_factor(research):
    rows = research(
        """
        select now.symbol, panel.as_of_date < now.trade_date as is_after,
            now.adj_open, later.adj_open as later_open, own.forward_return
        from research.int_research__forward_returns as own
        inner join staging.stg_etf_daily as now using (symbol, trade_date)
        inner join signals.factor_panel as panel using (symbol, trade_date)
        inner join staging.trading_calendar as calendar on calendar.trade_date = now.trade_date
        inner join staging.stg_etf_daily as later
            on later.symbol = now.symbol and later.trade_date = calendar.next_trade_date
        where own.horizon_sessions = 1
        """
    )
    assert len(rows) > 1000
    assert rows.is_after.all()
    np.testing.assert_array_equal(rows.forward_return, rows.later_open / rows.adj_open - 1)
