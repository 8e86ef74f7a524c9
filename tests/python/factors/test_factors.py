"""Every factor of a build against the reference, on ragged and on real histories."""

import os
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import PROJECT, SEEDS, build
from etf_rotation.staging.trading_calendar import sessions_between
from reference_factors import pool_columns, reference_factors

TOLERANCE = 1e-9  # of the factor's largest |value| for the fund
ONLY_THE_PANEL = ["--select", "+factor_panel", "--exclude-resource-type", "test", "unit_test"]
REAL_DATA = Path(os.environ.get("ETF_REAL_DATA") or PROJECT.parent / "shared" / "data" / "pools")
CATALOG = pd.read_csv(SEEDS / "factor_catalog.csv")

SESSIONS = [
    day
    for day in sessions_between(
        pd.Timestamp("2019-01-02").date(), pd.Timestamp("2020-12-31").date()
    )["trade_date"].to_pylist()
    if day.year < 2021
]


def random_bars(seed, first, count):
    """Bars of a random walk in ticks, some of them without a move or without a range."""
    rng = np.random.default_rng(seed)
    moves = rng.normal(0.0003, 0.015, size=count) * (rng.random(count) > 0.08)
    close = 2.0 * np.exp(np.cumsum(moves))
    previous = np.r_[2.0, close[:-1]]
    open_ = previous * (1 + rng.normal(0, 0.004, size=count))
    spread = np.abs(rng.normal(0, 0.006, size=(2, count))) * (rng.random(count) > 0.05)
    prices = {
        "open": open_,
        "high": np.maximum(open_, close) * (1 + spread[0]),
        "low": np.minimum(open_, close) * (1 - spread[1]),
        "close": close,
    }
    bars = pd.DataFrame({name: x.round(3) for name, x in prices.items()})
    bars["high"] = bars[["open", "high", "close"]].max(axis=1)
    bars["low"] = bars[["open", "low", "close"]].min(axis=1)
    bars["pre_close"] = bars["close"].shift()
    bars["vol"] = rng.integers(500, 90_000, size=count).astype(float)
    bars["amount"] = bars["vol"] * bars[["open", "close"]].mean(axis=1) / 10
    bars.insert(0, "trade_date", SESSIONS[first : first + count])
    return bars


def suspend(bars, rows, *, with_rows):
    """Suspend some sessions; drop their rows unless the vendor writes them."""
    if not with_rows:
        return bars.drop(index=bars.index[rows])
    bars.loc[bars.index[rows], ["vol", "amount"]] = 0.0
    return bars


def hold_still(bars, start, stop):
    """A constant price for a while: zero variance, zero range."""
    price = bars["close"].iloc[start]
    bars.loc[bars.index[start:stop], ["open", "high", "low", "close"]] = price
    bars.loc[bars.index[start:stop], ["pre_close"]] = price
    return bars


def split(bars, at, ratio):
    prices = ["open", "high", "low", "close"]
    bars.loc[bars.index[at:], prices] = bars.loc[bars.index[at:], prices] / ratio
    bars.loc[bars.index[at:], "pre_close"] = bars.loc[bars.index[at:], "pre_close"] / ratio
    bars.loc[bars.index[at:], "vol"] = bars.loc[bars.index[at:], "vol"] * ratio
    return bars


def write_ragged(root):
    """Write funds of three pools; OTHER has two, too few for a cross-section.

    The histories differ in every way that a window must bear: late listing, an early
    end, rows without volume before the listing, suspensions with and without rows, a
    split, prices that do not move, and fewer bars than most windows.
    """
    n = len(SESSIONS)
    still = hold_still(hold_still(random_bars(3, 0, n), 30, 110), 200, 330)
    listed = random_bars(4, 20, n - 20)
    listed.loc[listed.index[:5], ["vol", "amount"]] = 0.0
    funds = {
        "510050.SH": random_bars(1, 0, n),
        "510300.SH": split(suspend(random_bars(2, 0, n), [90, 91, 250], with_rows=True), 300, 5),
        "510500.SH": still,
        "159915.SZ": suspend(listed, range(150, 175), with_rows=False),
        "512880.SH": random_bars(5, n - 14, 14),
        "513100.SH": random_bars(6, 0, n),
        "513050.SH": random_bars(7, 100, 330),
        "513500.SH": suspend(random_bars(8, 0, n), [70], with_rows=False),
        "511010.SH": hold_still(random_bars(9, 0, n), 0, 280),
        "518880.SH": random_bars(10, 0, 300),
    }
    folder = root / "ETF" / "daily"
    folder.mkdir(parents=True)
    for symbol, bars in funds.items():
        bars.insert(0, "ts_code", symbol)
        pq.write_table(
            pa.Table.from_pandas(bars, preserve_index=False), folder / f"{symbol}.parquet"
        )


def built_panel(folder, raw_root):
    """The bars, and the panel keyed by the bar that each row was computed from."""
    # If the real data is a whole market, funds outside the pools are compared too.
    database = build(folder, raw_root, *ONLY_THE_PANEL, ETF_UNIVERSE="all")
    with duckdb.connect(str(database), read_only=True) as connection:
        bars = connection.execute(
            "select symbol, pool, trade_date, adj_open as open, adj_high as high, adj_low as low, "
            "adj_close as close, adj_volume as volume, amount "
            "from staging.stg_etf_daily order by symbol, trade_date"
        ).df()
        panel = connection.execute("select * from signals.factor_panel").df()
    return bars, panel.set_index(["symbol", "as_of_date"]).sort_index()


def differences(bars, panel):
    """Factors and funds whose values or nulls differ, and how far (in tolerances)."""
    factors = list(CATALOG["factor_id"])
    found = []
    for _, pool in bars.groupby("pool"):
        frames = {s: rows.set_index("trade_date") for s, rows in pool.groupby("symbol")}
        for symbol, frame in pool_columns(frames).items():
            expected = reference_factors(frame)[factors].to_numpy()
            computed = panel.loc[symbol].loc[frame.index, factors].to_numpy(dtype=float)
            allowed = TOLERANCE * np.nanmax(np.abs(expected), axis=0, initial=0)
            is_off = ~(np.abs(computed - expected) <= allowed)
            is_off &= ~(np.isnan(computed) & np.isnan(expected))
            for k in np.flatnonzero(is_off.any(axis=0)):
                row = np.flatnonzero(is_off[:, k])[0]
                found.append(
                    f"{factors[k]} of {symbol} after {frame.index[row].date()}: "
                    f"{computed[row, k]!r}, reference {expected[row, k]!r}, "
                    f"{is_off[:, k].sum()} rows differ"
                )
    return found


@pytest.fixture(scope="module")
def ragged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ragged")
    write_ragged(folder / "raw")
    return built_panel(folder, folder / "raw")


def test_every_factor_agrees_with_the_reference_on_ragged_histories(ragged):
    assert differences(*ragged) == []


def test_a_wrong_value_or_null_would_be_found(ragged):
    bars, panel = ragged
    last = panel.loc["510300.SH"].index[-1]
    wrong = panel.copy()
    wrong.loc[("510300.SH", last), "sma_5"] *= 1 + 1e-8
    wrong.loc[("510300.SH", last), "rsi_14"] = np.nan
    found = differences(bars, wrong)
    assert [line.split(" after")[0] for line in found] == [
        "sma_5 of 510300.SH",
        "rsi_14 of 510300.SH",
    ]


def test_the_ragged_histories_have_the_intended_shapes(ragged):
    bars, panel = ragged
    counts = bars.groupby("symbol").size()
    n = len(SESSIONS)
    assert counts["512880.SH"] == 14
    assert counts["510300.SH"] == n - 3
    assert counts["159915.SZ"] == n - 20 - 5 - 25
    assert counts.sum() == len(panel)
    close = bars[bars["symbol"] == "510300.SH"].set_index("trade_date")["close"]
    assert close.pct_change().abs().max() < 0.1  # the split is adjusted away
    assert (panel.loc["510500.SH"]["volatility_60"] == 0).any()
    assert panel.loc["511010.SH"]["market_beta_60"].isna().all()
    assert panel.loc["513100.SH"]["market_beta_60"].notna().any()


def test_the_first_value_is_on_bar_min_history(ragged):
    """Checked on a fund with moving prices, in a pool with three funds from the start."""
    _, panel = ragged
    has_value = panel.loc["510050.SH"][CATALOG["factor_id"]].notna()
    first_bars = has_value.to_numpy().argmax(axis=0) + 1
    assert has_value.any().all()
    assert first_bars.tolist() == CATALOG["min_history"].tolist()


def test_every_factor_agrees_with_the_reference_on_real_data(tmp_path):
    if not any((REAL_DATA / "ETF" / "daily").glob("*.parquet")):
        pytest.skip(
            f"no real data in {REAL_DATA}: set ETF_REAL_DATA to a folder with ETF/daily/*.parquet"
        )
    bars, panel = built_panel(tmp_path, REAL_DATA)
    assert bars["symbol"].nunique() > 1
    assert differences(bars, panel) == []
