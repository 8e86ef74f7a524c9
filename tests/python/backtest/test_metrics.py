"""The result models on hand-computed curves, against numpy, and on a simulated market.

The models run as they stand, in a database of their own; the numpy side follows
empyrical's definitions: arithmetic Sharpe and Sortino over a daily risk-free rate,
compound annual growth.
"""

import random
from datetime import date, timedelta
from decimal import Decimal

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from etf_rotation.backtest import ledger
from etf_rotation.backtest import sleeves as portfolio
from etf_rotation.backtest.prices import ENDINGS_SCHEMA
from etf_rotation.dbt_project import project_vars, render

EQUITY_COLUMNS = (
    "strategy, pool, trade_date, previous_equity, equity, cash, holdings_value, daily_return, "
    "drawdown, benchmark_return, price_pnl, corporate_action_value, commission, slippage, "
    "traded_value"
)
DAYS = [date(2021, 1, 1) + timedelta(days=n) for n in range(1100) if (n + 4) % 7 < 5]


def build(con, *models, **settings):
    for model in models:
        sql = render(model, lambda name: name, project_vars() | settings)
        con.execute(f"create table {model} as {sql}")


def load(con, name, table):
    con.register("loaded", table if isinstance(table, pa.Table) else pa.Table.from_pylist(table))
    con.execute(f"create table {name} as from loaded")


def load_calendar(con):
    rows = [
        {"trade_date": day, "previous_trade_date": before}
        for day, before in zip(DAYS, [date(2020, 12, 31), *DAYS], strict=False)
    ]
    load(con, "trading_calendar", rows)


def measured(curves, **settings):
    """Build the models on {pool: rows}, each (session, equity, benchmark's return, more)."""
    con = duckdb.connect()
    load_calendar(con)
    rows = []
    for pool, (capital, sessions) in curves.items():
        before, peak = capital, capital
        for day, equity, benchmark, more in sessions:
            peak = max(peak, equity)
            row = {"holdings_value": 0.0, "traded_value": 0.0, "commission": 0.0, "slippage": 0.0}
            row |= {"strategy": "rotation", "pool": pool, "trade_date": day}
            row |= {"previous_equity": before, "equity": equity}
            row |= {"daily_return": equity / before - 1, "drawdown": equity / peak - 1}
            rows.append(row | {"benchmark_return": benchmark} | more)
            before = equity
    random.Random(5).shuffle(rows)
    load(con, "equity_daily", rows)
    load(con, "int_live_strategies", [{"strategy": "rotation", "pool": pool} for pool in curves])
    settings = {"min_metrics_sessions": 2} | settings
    build(con, "monthly_returns", "drawdowns", "metrics", "pool_metrics_summary", **settings)
    return con


def rows_of(con, table, where="true"):
    return con.sql(f"from {table} where {where}").to_arrow_table().to_pylist()


def curve(capital, returns, benchmark=None, days=DAYS, more=None):
    equity, sessions = capital, []
    for n, r in enumerate(returns):
        equity *= 1 + r
        sessions.append((days[n], equity, benchmark[n] if benchmark else 0.0, more or {}))
    return capital, sessions


def test_metrics_by_hand():
    # Four sessions at four a year and a risk-free 2%, 0.005 a session.
    more = {"holdings_value": 50.0, "traded_value": 10.0, "commission": 0.5, "slippage": 0.25}
    returns, benchmark = [0.02, -0.01, 0.03, 0.0], [0.01, -0.01, 0.02, 0.02]
    con = measured(
        {"A": curve(100.0, returns, benchmark, more=more)},
        risk_free_rate=0.02,
        sessions_per_year=4,
    )
    (row,) = rows_of(con, "metrics")
    # Equity 102, 100.98, 104.0094, 104.0094; r deviates by 0.01, -0.02, 0.02, -0.01
    # from 0.01.
    assert row["sessions"] == 4
    assert (row["first_date"], row["last_date"]) == (DAYS[0], DAYS[3])
    expected = {
        "total_return": 0.040094,
        "annual_return": 0.040094,
        "annual_volatility": 2 * (0.001 / 3) ** 0.5,
        # x is 0.015, -0.015, 0.025, -0.005: its mean is 0.005.
        "sharpe": 2 * 0.005 / (0.001 / 3) ** 0.5,
        "sortino": 2 * 0.005 / ((0.000225 + 0.000025) / 4) ** 0.5,
        "max_drawdown": -0.01,
        "calmar": 4.0094,
        "monthly_win_rate": 1.0,
        # 40 traded, half of it over a mean equity of 102.7497, in one year.
        "annual_turnover": 20 / 102.7497,
        "total_costs": 3.0,
        "average_invested": (50 / 102 + 50 / 100.98 + 100 / 104.0094) / 4,
        "benchmark_return": 1.01 * 0.99 * 1.02**2 - 1,
        "excess_return": 1.040094 - 1.01 * 0.99 * 1.02**2,
        # b deviates by 0, -0.02, 0.01, 0.01: covariance 0.0005, variance 0.0006, over
        # 3.
        "beta": 5 / 6,
        # r - b is 0.01, 0, 0.01, -0.02: mean 0, squares 0.0006.
        "tracking_error": 2 * (0.0006 / 3) ** 0.5,
        "information_ratio": 0.0,
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert row["max_drawdown_peak_date"] == DAYS[0]
    assert row["max_drawdown_trough_date"] == DAYS[1]
    assert row["max_drawdown_recovery_date"] == DAYS[2]


NULL_RATIOS = {"sharpe", "beta", "information_ratio"}
NULL_DRAWDOWN = {
    "max_drawdown_peak_date",
    "max_drawdown_trough_date",
    "max_drawdown_recovery_date",
    "calmar",
}


@pytest.mark.parametrize(
    ("returns", "benchmark", "nulls"),
    [
        (
            [0.01],
            [0.01],
            NULL_RATIOS
            | NULL_DRAWDOWN
            | {
                "annual_return",
                "annual_volatility",
                "sortino",
                "monthly_win_rate",
                "annual_turnover",
                "benchmark_return",
                "excess_return",
                "tracking_error",
            },
        ),
        ([0.01] * 7, [0.02] * 7, NULL_RATIOS | NULL_DRAWDOWN | {"sortino"}),
        ([0.0] * 3, [0.0] * 3, NULL_RATIOS | NULL_DRAWDOWN),
        ([0.02, 0.01, 0.03], [0.0, 0.01, 0.02], NULL_DRAWDOWN | {"sortino"}),
        ([-0.01, 0.02], [0.01, 0.02], set()),
    ],
)
def test_undefined_figures_are_null_and_none_is_infinite(returns, benchmark, nulls):
    (row,) = rows_of(measured({"A": curve(100.0, returns, benchmark)}), "metrics")
    assert {name for name, value in row.items() if value is None} == nulls
    numbers = [value for value in row.values() if isinstance(value, float)]
    assert all(np.isfinite(numbers))
    if "calmar" in nulls:
        assert row["max_drawdown"] == 0


@pytest.mark.parametrize("sessions", [6, 59, 60])
def test_a_short_life_has_returns_and_no_annual_figure(sessions):
    capital, days = random_curve(3, sessions)
    con = measured({"A": (capital, days)}, min_metrics_sessions=60)
    (row,) = rows_of(con, "metrics")
    told = {
        "strategy",
        "pool",
        "first_date",
        "last_date",
        "sessions",
        "total_return",
        "total_costs",
    }
    told |= {"average_invested", "max_drawdown"} | {n for n in row if n.startswith("max_drawdown_")}
    known = {name for name, value in row.items() if value is not None}
    assert known <= told if sessions < 60 else known >= row.keys() - told
    assert row["total_return"] == pytest.approx(days[-1][1] / capital - 1)


def test_no_sessions_give_no_rows():
    con = measured({"A": curve(100.0, [0.01])})
    con.execute("delete from equity_daily")
    con.execute("drop table monthly_returns; drop table drawdowns; drop table metrics")
    build(con, "monthly_returns", "drawdowns", "metrics")
    assert rows_of(con, "metrics") == []


def test_drawdowns_by_hand():
    equity = [99.0, 100.0, 100.0, 80.0, 90.0, 80.0, 100.0, 110.0, 88.0, 99.0]
    sessions = [(day, value, 0.0, {}) for day, value in zip(DAYS, equity, strict=False)]
    drawdowns = rows_of(measured({"A": (100.0, sessions)}), "drawdowns")
    names = list(drawdowns[0])
    assert names[2:] == [
        "rank",
        "depth",
        "peak_date",
        "trough_date",
        "recovery_date",
        "sessions_to_trough",
        "sessions_to_recovery",
    ]
    expected = [
        # From the last close at the peak to the first at the trough; of equals the
        # earlier first.
        (1, pytest.approx(-0.2), DAYS[2], DAYS[3], DAYS[6], 1, 3),
        (2, pytest.approx(-0.2), DAYS[7], DAYS[8], None, 1, None),
        # Below the initial capital on the first session: its peak is the session
        # before.
        (3, pytest.approx(-0.01), date(2020, 12, 31), DAYS[0], DAYS[1], 1, 1),
    ]
    assert [tuple(row.values())[2:] for row in drawdowns] == expected


def test_the_ten_deepest_drawdowns_are_kept():
    returns = [r for n in range(12) for r in (-0.01 - n / 1000, 0.05)]
    drawdowns = rows_of(measured({"A": curve(100.0, returns)}), "drawdowns")
    assert [row["rank"] for row in drawdowns] == list(range(1, 11))
    assert [row["depth"] for row in drawdowns] == pytest.approx(
        [-0.01 - n / 1000 for n in range(11, 1, -1)]
    )


def test_drawdowns_of_equal_depth_are_sorted_by_date():
    sessions = [(day, 100.0 if n % 2 else 50.0, 0.0, {}) for n, day in enumerate(DAYS[:60])]
    drawdowns = rows_of(measured({"A": (100.0, sessions)}), "drawdowns")
    assert [row["trough_date"] for row in drawdowns] == DAYS[:20:2]


def test_monthly_returns_by_hand():
    days = [date(2021, 1, 28), date(2021, 1, 29), date(2021, 2, 1), date(2021, 12, 31)]
    con = measured({"A": curve(100.0, [0.1, -0.2, 0.05, 0.5], [0.1, 0.1, 0.2, 0.0], days)})
    months = rows_of(con, "monthly_returns")
    assert [row["month"] for row in months] == [
        date(2021, 1, 1),
        date(2021, 2, 1),
        date(2021, 12, 1),
    ]
    assert [row["monthly_return"] for row in months] == pytest.approx([-0.12, 0.05, 0.5])
    assert [row["benchmark_return"] for row in months] == pytest.approx([0.21, 0.2, 0.0])
    assert [row["sessions"] for row in months] == [2, 1, 1]
    (row,) = rows_of(con, "metrics")
    assert row["monthly_win_rate"] == pytest.approx(2 / 3)


def random_curve(seed, n, capital=1e6):
    rng = np.random.default_rng(seed)
    benchmark = rng.normal(0.0003, 0.012, n)
    returns = 0.8 * benchmark + rng.normal(0.0002, 0.006, n)
    return curve(capital, returns.tolist(), benchmark.tolist(), DAYS[40:])


@pytest.mark.parametrize("seed", range(5))
def test_metrics_agree_with_empyricals_definitions(seed):
    capital, sessions = random_curve(seed, 700)
    (row,) = rows_of(measured({"A": (capital, sessions)}), "metrics")
    days = np.array([day for day, *_ in sessions], dtype="datetime64[D]")
    equity = np.array([capital] + [value for _, value, *_ in sessions])
    r = equity[1:] / equity[:-1] - 1
    b = np.array([benchmark for *_, benchmark, _ in sessions])
    x = r - 0.03 / 252
    years = len(r) / 252

    peaks = np.maximum.accumulate(equity)
    trough = np.argmin(equity / peaks)
    peak = np.flatnonzero(equity[:trough] == peaks[trough])[-1]
    recovered = np.flatnonzero(equity[trough:] >= peaks[trough])
    months = np.flatnonzero(np.diff(days.astype("datetime64[M]")).astype(int))
    month_ends = equity[np.concatenate([[0], months + 1, [len(r)]])]
    expected = {
        "total_return": equity[-1] / capital - 1,
        "annual_return": (equity[-1] / capital) ** (1 / years) - 1,
        "annual_volatility": np.std(r, ddof=1) * np.sqrt(252),
        "sharpe": np.mean(x) / np.std(x, ddof=1) * np.sqrt(252),
        "sortino": np.mean(x) * 252 / (np.sqrt(np.mean(np.minimum(x, 0) ** 2)) * np.sqrt(252)),
        "max_drawdown": np.min(equity / peaks) - 1,
        "calmar": ((equity[-1] / capital) ** (1 / years) - 1) / (1 - np.min(equity / peaks)),
        "monthly_win_rate": np.mean(np.diff(month_ends) > 0),
        "benchmark_return": np.prod(1 + b) ** (1 / years) - 1,
        "excess_return": (equity[-1] / capital) ** (1 / years) - np.prod(1 + b) ** (1 / years),
        "beta": np.cov(r, b, ddof=1)[0, 1] / np.var(b, ddof=1),
        "tracking_error": np.std(r - b, ddof=1) * np.sqrt(252),
        "information_ratio": np.mean(r - b) / np.std(r - b, ddof=1) * np.sqrt(252),
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    dates = [date(2021, 2, 25), *days.tolist()]
    assert DAYS[40] == date(2021, 2, 26)
    assert row["max_drawdown_peak_date"] == dates[peak]
    assert row["max_drawdown_trough_date"] == dates[trough]
    recovery = dates[trough + recovered[0]] if len(recovered) else None
    assert row["max_drawdown_recovery_date"] == recovery


def test_another_pool_changes_no_bit_of_the_metrics():
    tables = ("metrics", "monthly_returns", "drawdowns")
    alone = measured({"A": random_curve(1, 700)})
    both = measured({"A": random_curve(1, 700), "PORTFOLIO": random_curve(2, 300)})
    for table in tables:
        assert rows_of(both, table, "pool = 'A'") == rows_of(alone, table)
    assert [row["pool"] for row in rows_of(both, "pool_metrics_summary")] == ["A", "PORTFOLIO"]


# From here on a whole simulated market.

CONSTRAINTS = [
    {"pool": "A_SHARE", "target_capital": 700_000.0, "portfolio_weight": 0.7},
    {"pool": "QDII", "target_capital": 200_000.0, "portfolio_weight": 0.3},
    {"pool": "OTHER", "target_capital": 100_000.0, "portfolio_weight": 0.0},
]
STRATEGY = {"strategy": "rotation", "is_live": True}
STARTS = {"A_SHARE": 0, "QDII": 33, "OTHER": 10}
N_SESSIONS = 260
# In each pool these funds have no row for so long; they end on its tenth session.
GONE = {1: range(60, 90), 2: range(100, 130), 3: range(150, 180), 4: range(190, 220)}
ENDINGS = {name: days[9] for name, days in GONE.items()}
RULES = {
    "start_funds": 3,
    "tranches": 1,
    "weighting": "equal",
    "redistribute": False,
    "max_single_weight": 1.0,
    "max_sector_weight": 1.0,
    "lot_size": 100,
    "max_adv_pct": 0.05,
    "enforce_adv": True,
    "carry_over": True,
    "min_weight_change": 0.01,
    "slippage_bps": 10.0,
    "commission_bps": 2.5,
    "min_commission_cny": 5.0,
}


def fund_history(pool, name, rng):
    adj, close, rows = 1.0, rng.uniform(0.6, 4), []
    for n in range(STARTS[pool], N_SESSIONS):
        day = DAYS[n]
        if rows and (rng.random() < 0.05 or n in GONE.get(name, ())):
            continue
        ratio = rng.choice((1.0,) * 40 + (2.0, 0.5, 1.03))
        adj *= ratio
        pre_close = close / ratio
        open_ = pre_close * rng.gauss(1, 0.02)
        close = open_ * rng.gauss(1, 0.02)
        row = {"symbol": f"{pool}{name}", "pool": pool, "trade_date": day, "open": open_}
        row |= {"close": close, "pre_close": pre_close, "adj": adj, "bar_number": len(rows) + 1}
        rows.append(row | {"adj_close": round(close * adj, 8)})
    return rows


def walked(pools, n_sessions=N_SESSIONS):
    con = duckdb.connect()
    load_calendar(con)
    sessions, rebalances, targets, bars, endings = [], [], [], [], []
    for pool in pools:
        rng = random.Random(pool)
        symbols = range(6)
        for name in symbols:
            bars += fund_history(pool, name, rng)
        for name, n in ENDINGS.items():
            endings.append({"pool": pool, "trade_date": DAYS[n], "symbol": f"{pool}{name}"})
        days = DAYS[STARTS[pool] : N_SESSIONS]
        for n, day in enumerate(days):
            is_rebalance = n % 10 == 5
            session = {"pool": pool, "trade_date": day}
            sessions.append(session)
            of_tranche = session | {"strategy": "rotation", "tranche": 0}
            if is_rebalance:
                rebalances.append(of_tranche | {"n_eligible": 6})
            for rank, name in enumerate(rng.sample(symbols, 3) if is_rebalance else (), start=1):
                target = of_tranche | {"symbol": f"{pool}{name}", "rank": rank, "adv20": 1e9}
                target |= {"as_of_date": days[n - 1], "target_weight": 0.3, "raw_value": 1.0}
                targets.append(target | {"sector": None})
    last = DAYS[n_sessions - 1]
    bars, sessions, rebalances, targets = (
        pa.Table.from_pylist([row for row in rows if row["trade_date"] <= last])
        for rows in (bars, sessions, rebalances, targets)
    )
    endings = [row for row in endings if row["trade_date"] <= last]
    endings = pa.Table.from_pylist(endings, ENDINGS_SCHEMA)
    constraints = pa.Table.from_pylist(CONSTRAINTS)
    strategies = [STRATEGY | row for row in CONSTRAINTS if row["pool"] in pools]
    parameters = pa.Table.from_pylist([row | RULES for row in strategies])
    limits = pa.Table.from_pylist(
        [
            {"symbol": symbol, "valid_from": DAYS[0], "price_limit": Decimal("0.1000")}
            for symbol in sorted(set(bars["symbol"].to_pylist()))
        ]
    )
    load(con, "stg_etf_daily", bars)
    load(con, "pool_constraints", constraints)
    load(con, "int_strategies", strategies)
    load(con, "int_price_limits", limits)
    load(con, "int_backtest__parameters", parameters)
    build(con, "int_backtest__bars")
    bars = con.table("int_backtest__bars").to_arrow_table()
    walk = ledger.run(bars, endings, sessions, rebalances, targets, parameters)
    load(con, "int_backtest__ledger", walk)
    build(con, "trades", "positions_daily", "int_backtest__benchmark", "int_backtest__pool_equity")
    build(con, "int_portfolio_members")
    returns = con.table("int_backtest__pool_equity").project(
        "strategy, pool, trade_date, equity / previous_equity - 1 as daily_return, benchmark_return"
    )
    members = con.table("int_portfolio_members").to_arrow_table()
    load(con, "int_backtest__sleeves", portfolio.run(returns.to_arrow_table(), members))
    build(con, "equity_daily", "monthly_returns", "drawdowns", "metrics", "extreme_months")
    return con


@pytest.fixture(scope="module")
def market():
    return walked(["A_SHARE", "QDII", "OTHER"])


def test_the_benchmark_is_the_mean_return_since_each_funds_previous_bar(market):
    last, expected = {}, {}
    for row in rows_of(market, "(from stg_etf_daily order by trade_date, symbol)"):
        if row["symbol"] in last:
            returns = expected.setdefault((row["pool"], row["trade_date"]), [])
            returns.append(row["adj_close"] / last[row["symbol"]] - 1)
        last[row["symbol"]] = row["adj_close"]
    counts = {len(returns) for returns in expected.values()}
    assert len(counts) > 1
    for row in rows_of(market, "equity_daily", "pool <> 'PORTFOLIO'"):
        returns = expected[row["pool"], row["trade_date"]]
        assert row["benchmark_return"] == pytest.approx(sum(returns) / len(returns), abs=1e-14)


def test_a_session_without_any_bar_is_a_benchmark_return_of_zero():
    con = walked(["A_SHARE"])
    gap = DAYS[100]
    con.execute("delete from stg_etf_daily where trade_date = ?", [gap])
    models = ("int_backtest__bars", "int_backtest__benchmark", "int_backtest__pool_equity")
    for model in models:
        con.execute(f"drop table {model}")
    build(con, *models)
    rows = {row["trade_date"]: row for row in rows_of(con, "int_backtest__pool_equity")}
    assert rows[gap]["benchmark_return"] == 0
    assert rows[DAYS[101]]["benchmark_return"] != 0


def test_money_adds_up_in_every_row(market):
    rows = rows_of(market, "equity_daily")
    assert {row["pool"] for row in rows} == {"A_SHARE", "QDII", "OTHER", "PORTFOLIO"}
    for row in rows:
        assert row["equity"] == pytest.approx(row["cash"] + row["holdings_value"], abs=1e-6)
        explained = row["price_pnl"] + row["corporate_action_value"]
        explained -= row["commission"] + row["slippage"]
        assert row["equity"] - row["previous_equity"] == pytest.approx(explained, abs=1e-6)
        assert row["drawdown"] <= 0


def test_a_payout_is_neither_turnover_nor_cost(market):
    payouts = rows_of(market, "trades", "reason = 'ended'")
    assert len(payouts) >= 3
    for payout in payouts:
        where = f"pool = '{payout['pool']}' and trade_date = '{payout['trade_date']}'"
        (session,) = rows_of(market, "equity_daily", where)
        others = rows_of(market, "trades", f"{where} and reason <> 'ended'")
        assert session["traded_value"] == pytest.approx(sum(row["value"] for row in others))
        assert session["commission"] == pytest.approx(sum(row["commission"] for row in others))


def test_the_month_of_a_payout_is_explained_too(market):
    (rows,) = market.sql(
        "select count(distinct (trades.pool, trades.symbol)) from extreme_months inner join trades "
        "on extreme_months.component = trades.symbol and trades.reason = 'ended' "
        "and date_trunc('month', trades.trade_date) = extreme_months.month"
    ).fetchall()[0]
    assert rows > 0  # test_contributions_add_up_to_the_months_return looks at them


def test_drawdowns_are_from_the_highest_equity_or_the_initial_capital(market):
    peaks, firsts = {}, {}
    for row in rows_of(market, "equity_daily"):
        peak = max(peaks.get(row["pool"], row["previous_equity"]), row["equity"])
        assert row["drawdown"] == pytest.approx(row["equity"] / peak - 1, abs=1e-15)
        peaks[row["pool"]] = peak
        firsts.setdefault(row["pool"], row["drawdown"])
    assert min(firsts.values()) < 0


def test_the_portfolio_begins_with_the_capital_of_its_pools(market):
    row = rows_of(market, "equity_daily", "pool = 'PORTFOLIO'")[0]
    assert row["trade_date"] == DAYS[STARTS["QDII"] + 5]
    assert row["previous_equity"] == 900_000


def test_the_portfolios_amounts_are_its_pools_on_the_scale_of_its_sleeves(market):
    sleeves = {}
    for row in rows_of(market, "int_backtest__sleeves"):
        sleeves[row["trade_date"], row["pool"]] = row["sleeve"]
    pools = {(row["trade_date"], row["pool"]): row for row in rows_of(market, "equity_daily")}
    names = ("cash", "holdings_value", "commission", "slippage", "traded_value", "price_pnl")
    for (day, pool), row in pools.items():
        if pool == "PORTFOLIO":
            parts = [(sleeves[day, p], pools[day, p]) for p in ("A_SHARE", "QDII")]
            assert row["equity"] == pytest.approx(sum(sleeve for sleeve, _ in parts))
            for name in names:
                expected = sum(sleeve / part["equity"] * part[name] for sleeve, part in parts)
                assert row[name] == pytest.approx(expected, abs=1e-6)


def test_extreme_months_are_the_three_best_and_worst(market):
    months = rows_of(market, "monthly_returns")
    for pool in ("A_SHARE", "QDII", "OTHER", "PORTFOLIO"):
        by_return = sorted(
            (row["monthly_return"], row["month"]) for row in months if row["pool"] == pool
        )
        for kind, expected in (("worst", by_return[:3]), ("best", by_return[:-4:-1])):
            rows = rows_of(market, "extreme_months", f"pool = '{pool}' and kind = '{kind}'")
            found = sorted({(r["rank"], r["monthly_return"], r["month"]) for r in rows})
            assert [row[1:] for row in found] == expected


def test_contributions_add_up_to_the_months_return(market):
    sums = {}
    for row in rows_of(market, "extreme_months"):
        key = row["pool"], row["kind"], row["rank"], row["monthly_return"]
        sums.setdefault(key, []).append((row["component_type"], row["contribution"]))
    assert len(sums) == 4 * 6
    for (*_, monthly_return), parts in sums.items():
        by_type = {}
        for kind, contribution in parts:
            by_type[kind] = by_type.get(kind, 0) + contribution
        explained = by_type["fund"] + by_type["commission"] + by_type["slippage"]
        assert explained == pytest.approx(monthly_return, abs=1e-9)
        split = by_type["exposure"] + by_type["selection"]
        assert split == pytest.approx(by_type["fund"], abs=1e-9)
        assert by_type["commission"] <= 0
        assert by_type["slippage"] <= 0


def daily_gains(con):
    """Gain of each fund on each session before costs, from shares and prices day by day."""
    bars = {(r["symbol"], r["trade_date"]): r for r in rows_of(con, "stg_etf_daily")}
    shares, traded = {}, {}
    for row in rows_of(con, "positions_daily"):
        shares[row["symbol"], row["trade_date"]] = row["shares"]
    for row in rows_of(con, "trades"):
        sign = 1 if row["side"] == "buy" else -1
        traded[row["symbol"], row["trade_date"]] = sign * row["shares"]
    gains, last = {}, {}
    for before, day in zip(DAYS, DAYS[1:N_SESSIONS], strict=False):
        for symbol in {symbol for symbol, _ in bars}:
            bar = bars.get((symbol, day))
            if bar is None:
                continue
            held = shares.get((symbol, before), 0.0)
            if symbol in last:
                ratio = bar["adj"] / last[symbol]["adj"]
                overnight = held * ratio * bar["open"] - held * last[symbol]["close"]
                held = held * ratio + traded.get((symbol, day), 0.0)
                gains[symbol, day] = overnight + held * (bar["close"] - bar["open"])
            last[symbol] = bar
    return gains


def test_a_funds_contribution_is_its_gain_over_equity_at_the_months_start(market):
    # On the first session of all there is no position yet; `last` starts there.
    gains = daily_gains(market)
    equity = {(r["pool"], r["trade_date"]): r for r in rows_of(market, "equity_daily")}
    weights = {"A_SHARE": 0.7, "QDII": 0.3}
    months = {(r["pool"], r["month"]): r for r in rows_of(market, "monthly_returns")}
    rows = rows_of(market, "extreme_months", "component_type = 'fund'")
    assert {row["pool"] for row in rows} == {"A_SHARE", "QDII", "OTHER", "PORTFOLIO"}
    for row in rows:
        month = months[row["pool"], row["month"]]
        member = row["component"].rstrip("012345")
        weight = weights[member] if row["pool"] == "PORTFOLIO" else 1.0
        start = equity[member, month["first_date"]]["previous_equity"]
        gain = sum(
            gains.get((row["component"], day), 0.0)
            for day in DAYS
            if month["first_date"] <= day <= month["last_date"]
        )
        assert row["contribution"] == pytest.approx(weight * gain / start, abs=1e-9)


def test_exposure_is_average_invested_weight_times_the_benchmark(market):
    months = {(r["pool"], r["month"]): r for r in rows_of(market, "monthly_returns")}
    for row in rows_of(market, "extreme_months", "component_type = 'exposure'"):
        pool, month = row["pool"], months[row["pool"], row["month"]]
        days = rows_of(
            market,
            "equity_daily",
            f"pool = '{pool}' and date_trunc('month', trade_date) = date '{row['month']}'",
        )
        invested = np.mean([day["holdings_value"] / day["equity"] for day in days])
        assert row["contribution"] == pytest.approx(invested * month["benchmark_return"])


def test_pools_left_out_change_no_bit_of_the_others(market):
    alone = walked(["QDII"])
    for table in ("equity_daily", "metrics", "monthly_returns", "drawdowns", "extreme_months"):
        assert rows_of(alone, table) == rows_of(market, table, "pool = 'QDII'")


def test_a_pool_without_weight_changes_no_bit_of_the_portfolio(market):
    without = walked(["A_SHARE", "QDII"])
    for table in ("equity_daily", "metrics", "monthly_returns", "drawdowns", "extreme_months"):
        assert rows_of(without, table) == rows_of(market, table, "pool <> 'OTHER'")


@pytest.mark.parametrize("n", [38, 39, 63, 64, 65, 150])
def test_the_future_changes_no_bit_of_equity(market, n):
    cut = walked(["A_SHARE", "QDII", "OTHER"], n)
    rows = f"(select {EQUITY_COLUMNS} from equity_daily where trade_date <= date '{DAYS[n - 1]}')"
    assert rows_of(cut, "equity_daily") == rows_of(market, rows)
