"""Funds that end while they are held: one forever, one that comes back."""

import datetime as dt
from types import SimpleNamespace

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from conftest import build
from etf_rotation import lookahead
from etf_rotation.research import sweep
from etf_rotation.research.build import read_build

# In sessions: of the held funds' last row, before the last of the data; and of the gap.
LAST_ROW, GAP = 120, 70
FULL = 60
# No test here reads the research or the rebalance luck, whose walk is the ledger's.
WITHOUT_LUCK = ("--exclude", "path:models/research", "int_rebalance_luck__offsets+")
WITHOUT_LUCK += ("--exclude-resource-type", "unit_test")
# What is compared up to a date, and the orders; no figures of the whole span.
DATED = [f"+{table.partition('.')[2]}" for table in lookahead.UP_TO_NEXT_SESSION]
DATED += [f"+{table.partition('.')[2]}" for table in lookahead.UP_TO_AS_OF]
DATED += ["+next_session_orders", "--resource-type", "model", "--resource-type", "seed"]


@pytest.fixture(scope="module")
def ended(sample, tmp_path_factory):
    """A build in which `gone` has no row after `last_row`, and `back` none for GAP sessions."""
    folder = tmp_path_factory.mktemp("ended")
    days = [
        day
        for (day,) in sample.connection.execute(
            "select distinct trade_date from staging.stg_etf_daily order by trade_date"
        ).fetchall()
    ]
    last, following = days[-LAST_ROW], days[-LAST_ROW + GAP + 1]
    gone, back = sample.connection.execute(
        "select min(symbol), max(symbol) from backtest.positions_daily "
        "where strategy = 'rotation' and pool = 'A_SHARE' and trade_date = ?",
        [last],
    ).fetchall()[0]
    assert gone < back
    raw = folder / "raw"
    (raw / "ETF" / "daily").mkdir(parents=True)
    for path in (sample.raw_root / "ETF" / "daily").iterdir():
        rows = pq.read_table(path)
        dates = rows["trade_date"]
        if path.name.startswith(gone):
            rows = rows.filter(pc.less_equal(dates, f"{last:%Y%m%d}"))
        elif path.name.startswith(back):
            kept = pc.or_(
                pc.less_equal(dates, f"{last:%Y%m%d}"),
                pc.greater_equal(dates, f"{following:%Y%m%d}"),
            )
            rows = rows.filter(kept)
        pq.write_table(rows, raw / "ETF" / "daily" / path.name)
    for path in sample.raw_root.iterdir():
        if path.is_file():
            (raw / path.name).write_bytes(path.read_bytes())
    database = build(folder, raw, *WITHOUT_LUCK)
    with duckdb.connect(str(database), read_only=True) as connection:
        yield SimpleNamespace(
            folder=folder,
            raw=raw,
            database=database,
            connection=connection,
            last_row=last,
            eve=days[-LAST_ROW + FULL - 1],
            full=days[-LAST_ROW + FULL],
            following=following,
            gone=gone,
            back=back,
        )


def rows(ended, query, *values):
    return ended.connection.execute(query, values).fetchall()


@pytest.mark.parametrize("name", ["gone", "back"])
def test_a_holding_is_paid_out_after_max_no_row_sessions_without_a_row(name, ended):
    symbol = getattr(ended, name)
    (payout,) = rows(
        ended,
        "select trade_date, side, price, commission, slippage, value = shares * price "
        "from backtest.trades where strategy = 'rotation' and symbol = ? and reason = 'ended'",
        symbol,
    )
    ((close,),) = rows(
        ended,
        "select close from staging.stg_etf_daily where symbol = ? and trade_date <= ? "
        "order by trade_date desc limit 1",
        symbol,
        ended.last_row,
    )
    assert payout == (ended.full, "sell", close, 0, 0, True)


@pytest.mark.parametrize("name", ["gone", "back"])
def test_a_paid_out_fund_has_no_position_and_no_order(name, ended):
    symbol = getattr(ended, name)
    until = ended.following if name == "back" else dt.date.max
    for table in ("positions_daily", "rejected_orders", "trades"):
        found = rows(
            ended,
            f"select max(trade_date) from backtest.{table} where symbol = ? and trade_date < ?",
            symbol,
            until,
        )
        assert found[0][0] is None or found[0][0] <= ended.full


def test_a_fund_that_comes_back_can_be_bought_again(ended):
    ((eligible,),) = rows(
        ended,
        "select count(*) from signals.selection_log "
        "where symbol = ? and trade_date > ? and is_eligible",
        ended.back,
        ended.following,
    )
    assert eligible > 0


def test_the_gate_names_an_ended_fund_but_not_one_that_came_back(ended):
    found = rows(
        ended,
        "select symbol, trade_date, detail, detail_zh from gate.gate_violations "
        "where check_name = 'fund_ended' order by symbol",
    )
    by_symbol = {symbol: found for symbol, *found in found}
    # The second is the fund of the sample that ends.
    assert by_symbol.keys() == {ended.gone, "159998.SZ"}
    trade_date, detail, detail_zh = by_symbol[ended.gone]
    assert trade_date == ended.last_row
    assert f"{LAST_ROW - 1} sessions before the last of the data, paid out at " in detail
    assert detail.endswith(f"on {ended.full}")
    assert f"其后 {LAST_ROW - 1} 个交易日没有数据，已于 {ended.full} 按 " in detail_zh
    assert rows(
        ended,
        "select pool, status, message like '%leave it in the seed%' from gate.gate_checks "
        "where check_name = 'fund_ended' and status <> 'pass' order by pool",
    ) == [(pool, "warn", True) for pool in sorted({"A_SHARE", pool_of(ended, "159998.SZ")})]


def pool_of(ended, symbol):
    return rows(ended, "select pool from seeds.etf_pools where symbol = ?", symbol)[0][0]


def test_the_payout_depends_only_on_rows_up_to_the_session(ended):
    for as_of in (ended.eve, ended.full):
        folder = ended.folder / f"{as_of}"
        folder.mkdir()
        settings = {"ETF_AS_OF": f"{as_of}", "ETF_POOLS": "A_SHARE"}
        cut = build(folder, ended.raw, "--select", *DATED, **settings)
        assert lookahead.compare(ended.database, cut, as_of=as_of, pools=["A_SHARE"]) == []
        with duckdb.connect(str(cut), read_only=True) as connection:
            payouts = connection.execute(
                "select count(*) from backtest.trades "
                "where strategy = 'rotation' and reason = 'ended' and symbol in (?, ?)",
                [ended.gone, ended.back],
            ).fetchall()[0]
            reasons = connection.execute(
                "select symbol, reason from marts.next_session_orders"
            ).fetchall()
        assert payouts == (2 if as_of == ended.full else 0,)
        named = [reason for _, reason in reasons if "counts as ended" in reason]
        assert bool(named) is (as_of == ended.eve), reasons
        if as_of == ended.full:
            assert not {ended.gone, ended.back} & {symbol for symbol, _ in reasons}


def test_a_sweep_makes_the_same_payouts_as_the_build(ended):
    sweep.check(read_build(ended.database, "A_SHARE"))
