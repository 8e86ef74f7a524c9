"""The synthetic sample: reproducible, valid prices, and every documented event."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from etf_rotation.cli.main import main
from etf_rotation.errors import InputError
from etf_rotation.sample import write_sample
from etf_rotation.staging.raw_files import MARKER, SYNTHETIC_KEY, resolve_root

SEEDS = Path(__file__).parents[2] / "seeds"
POOLS = pd.read_csv(SEEDS / "etf_pools.csv").set_index("symbol")

pytestmark = pytest.mark.skipif(
    len(POOLS) != 47, reason="events are tested on the funds the project comes with"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated") / "sample"
    write_sample(folder, pools_csv=SEEDS / "etf_pools.csv")
    return folder


@pytest.fixture(scope="module")
def rows(folder):
    files = sorted((folder / "ETF" / "daily").glob("*.parquet"))
    return pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)


@pytest.fixture(scope="module")
def bars(rows):
    """Bars with prices as whole ticks, the limit prices, and the pool."""
    bars = rows[rows["vol"] > 0].reset_index(drop=True)
    prices = ["pre_close", "open", "high", "low", "close"]
    bars[prices] = (bars[prices] * 1000).round().astype(int)
    twenty = pd.read_csv(SEEDS / "price_limits.csv")["symbol"]
    wide = bars["ts_code"].isin(twenty) & (bars["trade_date"] >= "20200824")
    percent = wide.map({True: 20, False: 10})
    bars["up"] = (bars["pre_close"] * (100 + percent) + 50) // 100
    bars["down"] = (bars["pre_close"] * (100 - percent) + 50) // 100
    bars["previous"] = bars.groupby("ts_code")["close"].shift()
    bars["pool"] = bars["ts_code"].map(POOLS["pool"])
    return bars


def write_small(folder, pools_csv=SEEDS / "etf_pools.csv", sessions=30):
    write_sample(folder, pools_csv=pools_csv, sessions=sessions)


def of(frame, symbol, first, last=None):
    days = frame["trade_date"].between(first, last or first)
    return frame[(frame["ts_code"] == symbol) & days]


def bar(bars, symbol, day):
    return of(bars, symbol, day).iloc[0]


def test_two_generations_are_equal(folder, tmp_path):
    again = tmp_path / "sample"
    write_sample(again, pools_csv=SEEDS / "etf_pools.csv")
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.parquet"))
    assert files == sorted(path.relative_to(again) for path in again.rglob("*.parquet"))
    assert len(files) == len(POOLS)
    for file in files:
        assert pq.read_table(folder / file).equals(pq.read_table(again / file), check_metadata=True)


def test_a_fund_does_not_depend_on_the_others(tmp_path):
    for name, symbols in [("two", ["510300.SH", "518880.SH"]), ("one", ["518880.SH"])]:
        POOLS.loc[symbols].to_csv(tmp_path / f"{name}.csv")
        write_small(tmp_path / name, pools_csv=tmp_path / f"{name}.csv")
    name = "ETF/daily/518880.SH_daily_20241120_20241231.parquet"
    assert pq.read_table(tmp_path / "one" / name).equals(pq.read_table(tmp_path / "two" / name))


def test_the_last_bar_of_a_fund_is_the_same_on_every_machine(rows):
    last = rows[rows["ts_code"] == "518880.SH"].iloc[-1]
    numbers = [4.499, 4.503, 4.52, 4.433, 4.459, 348926.28, 156275.358]
    assert list(last) == ["518880.SH", "20241231", *numbers]


def test_layout(folder, rows):
    for path in (folder / "ETF" / "daily").iterdir():
        table = pq.read_table(path)
        dates = table["trade_date"].to_pylist()
        symbol = table["ts_code"][0].as_py()
        assert path.name == f"{symbol}_daily_{dates[0]}_{dates[-1]}.parquet"
        assert dates == sorted(set(dates))
    assert rows["trade_date"].nunique() == 1500
    assert rows["trade_date"].max() == "20241231"
    assert sum(path.stat().st_size for path in folder.rglob("*.parquet")) < 6e6


def test_the_sample_is_labeled_and_the_project_reads_it(folder, tmp_path):
    marker = (folder / MARKER).read_text(encoding="utf-8")
    assert marker.startswith("Synthetic sample, not market data / 合成样本，并非真实行情")
    assert len(marker.splitlines()) == 1
    assert resolve_root(str(tmp_path / "raw"), str(folder)) == folder
    for path in folder.rglob("*.parquet"):
        assert SYNTHETIC_KEY in pq.read_schema(path).metadata


def test_prices_are_ordered_and_within_the_limits(bars):
    assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()
    assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
    assert (bars["high"] <= bars["up"]).all()
    assert (bars["low"] >= bars["down"]).all()
    assert bars["close"].between(500, 6500).all()


def test_money_agrees_with_prices_and_shares(rows, bars):
    shares, cny = (rows["vol"].dropna() * 100), (rows["amount"].dropna() * 1000)
    assert np.allclose(shares, shares.round(), rtol=0, atol=1e-4)
    assert np.allclose(cny, cny.round(), rtol=0, atol=1e-4)
    shares, cny = bars["vol"] * 100, bars["amount"] * 1000
    assert (cny >= shares * bars["low"] / 1000 - 0.51).all()
    assert (cny <= shares * bars["high"] / 1000 + 0.51).all()


def test_money_traded_makes_caps_bind_in_few_funds(bars):
    million = bars.groupby("ts_code")["amount"].median() / 1000
    assert million["515210.SH"] < 0.9
    assert 0.8 < million["512720.SH"] < 1.3
    assert 2 < million["159883.SZ"] < 3
    others = million.drop(["515210.SH", "512720.SH", "159883.SZ"])
    assert others.between(5, 500).all()
    last = of(bars, "159998.SZ", "20240304", "20240308")["amount"] / 1000
    assert (last < 5).all()


def test_volatility_by_asset_class(bars):
    returns = bars["close"] / bars["pre_close"] - 1
    deviation = returns.groupby(bars["ts_code"]).std()
    classes = POOLS.loc[deviation.index, "asset_class"]
    assert deviation[classes == "equity"].between(0.008, 0.02).all()
    assert deviation[classes == "bond"].between(0.001, 0.003).all()
    assert deviation[classes == "commodity"].between(0.008, 0.012).all()


def test_no_stale_prices(bars):
    prices = bars[["open", "high", "low", "close"]]
    same = (prices == prices.shift()).all(axis=1) & bars["previous"].notna()
    assert not (same & same.shift(fill_value=False)).any()


def test_listings_and_the_delisting(rows, bars):
    first = bars.groupby("ts_code")["trade_date"].min()
    late = first[first > "20181030"]
    assert len(late) == 13
    assert late["516520.SH"] == "20241106"
    assert len(of(bars, "516520.SH", "20000101", "20991231")) == 40
    before = rows[rows["trade_date"] < rows["ts_code"].map(first)]
    assert (before["vol"] == 0).all()
    counts = before.groupby("ts_code").size()
    assert counts.loc["513130.SH"] == 5
    assert len(counts) == 8
    last = bars.groupby("ts_code")["trade_date"].max()
    assert last[last < "20241231"].to_dict() == {"159998.SZ": "20240308"}


def test_every_pool_has_funds_on_every_session(bars):
    funds = bars.groupby(["trade_date", "pool"]).size().unstack()
    assert (funds.min() >= [10, 15, 5]).all()
    assert list(funds.columns) == ["A_SHARE", "OTHER", "QDII"]
    assert len(funds) == 1500


def test_suspensions(rows, bars):
    null = of(rows, "512400.SH", "20210510", "20210521")
    assert len(null) == 10
    assert null[["vol", "amount", "open"]].isna().all(axis=None)
    month = of(rows, "159801.SZ", "20210701", "20210731")
    assert len(month) == 22
    assert (month["vol"] == 0).all()
    for day in ["20200520", "20210301", "20230815"]:
        assert (of(rows, "510500.SH", day)["vol"] == [0]).all()
    assert of(rows, "512800.SH", "20220914", "20220916").empty
    assert len(of(rows, "512800.SH", "20220913", "20220919")) == 2
    after_gap = bar(bars, "512800.SH", "20220919")
    assert after_gap["pre_close"] == after_gap["previous"]
    halted = rows[~(rows["vol"] > 0)].groupby("ts_code").size()
    assert halted["510500.SH"] == 3


def test_ex_rights_closes_are_the_events_and_nothing_else(bars):
    ratio = (bars["previous"] / bars["pre_close"])[bars["previous"].notna()]
    found = bars.loc[ratio.index[ratio != 1], ["ts_code", "trade_date"]]
    seed = pd.read_csv(SEEDS / "corporate_actions.csv", dtype={"trade_date": str})
    splits = set(zip(seed["symbol"], seed["trade_date"].str.replace("-", ""), strict=True))
    splits |= {("515650.SH", "20220620"), ("512980.SH", "20230515")}
    dividends = set(zip(found["ts_code"], found["trade_date"], strict=True)) - splits
    assert len(found) - len(dividends) == 9
    assert len(dividends) == 11
    for symbol, day in dividends:
        row = bar(bars, symbol, day)
        assert 0.009 < 1 - row["pre_close"] / row["previous"] < 0.041


def test_splits(rows, bars):
    assert bar(bars, "515650.SH", "20220620")["pre_close"] == pytest.approx(
        bar(bars, "515650.SH", "20220617")["close"] / 2, abs=0.5
    )
    assert bar(bars, "512980.SH", "20230515")["pre_close"] == pytest.approx(
        bar(bars, "512980.SH", "20230512")["close"] * 2, abs=0.5
    )
    assert (of(rows, "513100.SH", "20220113")["vol"] == [0]).all()
    five = bar(bars, "513100.SH", "20220114")
    derived = five["previous"] / five["pre_close"]
    assert derived != pytest.approx(5, abs=1e-3)
    assert derived == pytest.approx(5, rel=0.05)


@pytest.mark.parametrize(("pool", "day"), [("A_SHARE", "20200203"), ("QDII", "20220301")])
def test_whole_pools_open_limit_down_on_the_first_session_of_a_month(bars, pool, day):
    of_day = bars[(bars["pool"] == pool) & (bars["trade_date"] == day)]
    assert len(of_day) >= 6
    assert (of_day["open"] == of_day["down"]).all()
    assert (of_day["close"] > of_day["down"]).all()
    assert not bars["trade_date"].between(day[:6] + "00", day, inclusive="left").any()


@pytest.mark.parametrize(
    ("symbol", "day", "limit", "all_day"),
    [
        ("512480.SH", "20210601", "up", False),
        ("588000.SH", "20241008", "up", False),
        ("159949.SZ", "20241008", "up", False),
        ("512880.SH", "20200701", "up", True),
        ("513050.SH", "20210727", "down", False),
        ("512690.SH", "20210802", "down", True),
    ],
)
def test_single_funds_open_at_the_limit(bars, symbol, day, limit, all_day):
    row = bar(bars, symbol, day)
    assert row["open"] == row[limit]
    assert (row["high"] == row["low"] == row[limit]) == all_day
    assert (row["close"] == row[limit]) == all_day


def test_the_same_sample_is_left_alone(tmp_path):
    write_small(tmp_path / "sample")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    write_small(tmp_path / "sample")
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_an_older_sample_is_replaced_and_nothing_stays_beside_it(tmp_path):
    folder = tmp_path / "sample"
    write_small(folder)
    old = {path.name for path in folder.rglob("*.parquet")}
    marker = folder / MARKER
    current = marker.read_text(encoding="utf-8")
    marker.write_text(current.replace("version 1", "version 0"), encoding="utf-8")
    write_small(folder)
    assert marker.read_text(encoding="utf-8") == current
    write_small(folder, sessions=20)
    assert not old & {path.name for path in folder.rglob("*.parquet")}
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]


def test_a_folder_that_is_no_sample_is_refused(tmp_path):
    daily = tmp_path / "raw" / "ETF" / "daily"
    daily.mkdir(parents=True)
    (daily / "510300.SH_daily.parquet").write_bytes(b"mine")
    with pytest.raises(InputError, match="raw is not a sample"):
        write_small(tmp_path / "raw")
    assert (daily / "510300.SH_daily.parquet").read_bytes() == b"mine"
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_real_data_put_into_an_older_sample_is_refused(tmp_path):
    folder = tmp_path / "sample"
    write_small(folder)
    mine = folder / "ETF" / "daily" / "000001.SH_daily.parquet"
    pd.DataFrame({"ts_code": ["000001.SH"]}).to_parquet(mine)
    with pytest.raises(InputError, match=r"000001\.SH_daily\.parquet"):
        write_small(folder, sessions=20)
    assert mine.is_file()


def test_impossible_sessions_are_refused(tmp_path):
    with pytest.raises(InputError, match="sessions must be 1 to"):
        write_small(tmp_path / "sample", sessions=100_000)
    assert list(tmp_path.iterdir()) == []


def test_command_line(tmp_path, capsys):
    command = ["sample", str(tmp_path / "sample"), "--sessions", "30"]
    assert main(command) == 0
    line = capsys.readouterr().out
    assert line.startswith("46 funds, 1380 rows, 20241120 to 20241231, synthetic")
    (tmp_path / "sample" / MARKER).unlink()
    assert main(command) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "is not a sample" in error
