"""The worked example of docs/strategy.md, recomputed from the raw file."""

import csv
import shutil
from datetime import date
from math import floor
from statistics import mean

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from conftest import PROJECT, SEEDS, build
from etf_rotation.sample import write_sample

PAGES = [PROJECT / "docs" / name for name in ("strategy.md", "strategy.zh-CN.md")]
STRATEGY, SYMBOL, POOL = "rotation", "513500.SH", "QDII"
BEFORE, DAY = date(2023, 4, 28), date(2023, 5, 4)
LOT = 100


def rows_of(name, **wanted):
    with (SEEDS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The sample that `make run` writes, of the pool's funds: a pool does not depend on others."""
    folder = tmp_path_factory.mktemp("strategy_page")
    seeds = folder / "seeds"
    seeds.mkdir()
    for name in ("price_limits", "corporate_actions"):
        shutil.copy(SEEDS / f"{name}.csv", seeds)
    funds = rows_of("etf_pools", pool=POOL)
    with (seeds / "etf_pools.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, funds[0])
        writer.writeheader()
        writer.writerows(funds)
    write_sample(folder / "sample", pools_csv=seeds / "etf_pools.csv")
    tables = ("rebalances", "trades", "positions_daily", "equity_daily", "selection_log")
    options = ["--select", *(f"+{table}" for table in tables)]
    options += ["--exclude-resource-type", "test", "unit_test"]
    database = build(folder, folder / "sample", *options, ETF_POOLS=POOL)
    with duckdb.connect(str(database), read_only=True) as connection:
        yield folder / "sample", connection


def raw_bars(root, symbol):
    """Rows with volume of a fund's file, by date."""
    (path,) = (root / "ETF" / "daily").glob(f"{symbol}_*.parquet")
    table = pq.read_table(path)
    traded = table.filter(pc.greater(pc.fill_null(table["vol"], 0), 0)).to_pylist()
    return {date.fromisoformat(row["trade_date"]): row for row in traded}


def adjustments(bars):
    """The cumulative factor by date: previous close / pre_close, or the seed's ratio."""
    known = {row["trade_date"]: row for row in rows_of("corporate_actions", symbol=SYMBOL)}
    factor, previous, factors = 1.0, None, {}
    for day, bar in bars.items():
        if day.isoformat() in known:
            factor *= float(known[day.isoformat()]["share_ratio"])
        elif previous is not None:
            factor *= previous / bar["pre_close"]
        previous, factors[day] = bar["close"], factor
    return factors


def percentile_ranks(connection):
    """(factor, value, percentile rank) of the fund on the day, in catalog order."""
    scored = [row for row in rows_of("factor_catalog") if row["score_direction"]]
    cursor = connection.execute(
        "select * from signals.factor_panel where pool = ? and trade_date = ?", [POOL, DAY]
    )
    panel = [
        dict(zip([column[0] for column in cursor.description], row, strict=True))
        for row in cursor.fetchall()
    ]
    ranks = []
    for factor in scored:
        assert factor["scale"] != "price"
        name, sign = factor["factor_id"], int(factor["score_direction"])
        values = {row["symbol"]: row[name] for row in panel}
        better = [sign * value for value in values.values()]
        own = sign * values[SYMBOL]
        # Equal values would share their ranks.
        assert better.count(own) == 1
        rank = sum(value <= own for value in better)
        ranks.append((name, values[SYMBOL], rank, len(values)))
    return ranks


@pytest.fixture(scope="module")
def figures(example):
    """Every figure of the example by name, from the raw file and the seeds."""
    root, connection = example
    bars = raw_bars(root, SYMBOL)
    (limits,) = rows_of("pool_constraints", pool=POOL)
    (rules,) = rows_of("strategies", strategy=STRATEGY, pool=POOL)
    factors = adjustments(bars)
    days = [day for day in bars if day <= BEFORE]
    ago = days[-21]
    adjusted = {day: round(bars[day]["close"] * factors[day], 8) for day in (BEFORE, ago)}
    ranks = percentile_ranks(connection)
    # The previous evening's holdings, valued at that close and at the next open.
    held = dict(
        connection.execute(
            "select symbol, shares from backtest.positions_daily "
            "where strategy = ? and pool = ? and trade_date = ?",
            [STRATEGY, POOL, BEFORE],
        ).fetchall()
    )
    ((cash,),) = connection.execute(
        "select cash from backtest.equity_daily where strategy = ? and pool = ? and trade_date = ?",
        [STRATEGY, POOL, BEFORE],
    ).fetchall()
    others = {symbol: raw_bars(root, symbol) for symbol in held}
    equity_before = cash + sum(n * others[symbol][BEFORE]["close"] for symbol, n in held.items())
    equity_open = cash + sum(n * others[symbol][DAY]["open"] for symbol, n in held.items())
    adv20 = mean(bars[day]["amount"] * 1000 for day in days[-20:])
    nominal = min(1 / int(rules["top_n"]), float(limits["max_single_weight"]))
    weight = min(nominal, float(limits["max_adv_pct"]) * adv20 / equity_before)
    open_ = bars[DAY]["open"]
    shares = floor(weight * equity_open / open_ / LOT + 1e-9) * LOT
    fill = open_ * 1.001
    kept_target = floor(nominal * equity_open / others["513050.SH"][DAY]["open"] / LOT) * LOT
    return {
        "close": bars[BEFORE]["close"],
        "vol": bars[BEFORE]["vol"],
        "amount": bars[BEFORE]["amount"],
        "volume": round(bars[BEFORE]["vol"] * 100),
        "amount_cny": bars[BEFORE]["amount"] * 1000,
        "adj": factors[BEFORE],
        "ago": ago,
        "adj_close": adjusted[BEFORE],
        "adj_close_ago": adjusted[ago],
        "ret_20": adjusted[BEFORE] / adjusted[ago] - 1,
        "ranks": ranks,
        "rank_sum": sum(rank / count for _, _, rank, count in ranks),
        "score": mean(rank / count for _, _, rank, count in ranks),
        "nominal": nominal,
        "adv20": adv20,
        "equity_before": equity_before,
        "equity_open": equity_open,
        "weight": weight,
        "open": open_,
        "shares": shares,
        "fill": fill,
        "value": shares * fill,
        "commission": max(5, shares * fill * 0.00025),
        "slippage": shares * (fill - open_),
        "close_after": bars[DAY]["close"],
        "kept_target": kept_target,
        "kept_difference": held["513050.SH"] - kept_target,
        "kept_value": (held["513050.SH"] - kept_target) * others["513050.SH"][DAY]["open"],
    }


def test_build_has_the_figures(example, figures):
    connection = example[1]
    f = figures

    def row(query):
        ((*values,),) = connection.execute(query, [SYMBOL, DAY]).fetchall()
        return values

    bar = connection.execute(
        "select volume, amount, adj, adj_close from staging.stg_etf_daily "
        "where symbol = ? and trade_date = ?",
        [SYMBOL, BEFORE],
    ).fetchall()[0]
    assert bar == (f["volume"], pytest.approx(f["amount_cny"]), f["adj"], f["adj_close"])
    of_day = "where symbol = ? and trade_date = ?"
    panel = row(f"select as_of_date, ret_20 from signals.factor_panel {of_day}")
    assert panel == [BEFORE, pytest.approx(f["ret_20"], rel=1e-12)]
    assert row(f"select score, rank from signals.scores {of_day}") == [
        pytest.approx(f["score"], abs=1e-12),
        3,
    ]
    of_strategy = f"{of_day} and strategy = '{STRATEGY}'"
    target = row(f"select target_weight, adv20 from signals.target_weights {of_strategy}")
    assert target == [f["nominal"], pytest.approx(f["adv20"])]
    assert row(
        f"select target_weight, equity_as_of, equity, price, target_shares "
        f"from backtest.rebalances {of_strategy}"
    ) == pytest.approx([f[n] for n in ("weight", "equity_before", "equity_open", "open", "shares")])
    assert row(
        f"select shares, price, value, commission, slippage from backtest.trades {of_strategy}"
    ) == pytest.approx([f[n] for n in ("shares", "fill", "value", "commission", "slippage")])
    reasons = dict(
        connection.execute(
            "select symbol, reason from signals.selection_log "
            "where strategy = ? and pool = ? and trade_date = ?",
            [STRATEGY, POOL, DAY],
        ).fetchall()
    )
    assert reasons["513660.SH"] == "sector_limit"
    assert reasons[SYMBOL] == reasons["513050.SH"] == reasons["159920.SZ"] == "selected"
    fills = (
        "select count(*) from backtest.trades "
        "where strategy = ? and symbol = '513050.SH' and trade_date = ?"
    )
    assert connection.execute(fills, [STRATEGY, DAY]).fetchall()[0] == (0,)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_page_shows_the_figures(example, figures, page):
    f = figures
    ((equity, before, price_pnl, commission, slippage),) = (
        example[1]
        .execute(
            "select equity, previous_equity, price_pnl, commission, slippage "
            "from backtest.equity_daily where strategy = ? and pool = ? and trade_date = ?",
            [STRATEGY, POOL, DAY],
        )
        .fetchall()
    )
    shown = [
        f"`close` {f['close']:.3f}",
        f"`vol` {f['vol']:,.2f}",
        f"`amount` {f['amount']:,.3f}",
        f"{f['volume']:,}",
        f"{f['amount_cny']:,.0f}",
        f"{f['close']:.3f} × {f['adj']:g} = {f['adj_close']:.3f}",
        f"{f['ago']}",
        f"{f['adj_close']:.3f} / {f['adj_close_ago']:.3f} - 1",
        f"{f['ret_20']:.6f}",
        f"{f['rank_sum']:.4f}",
        f"{f['score']:.6f}",
        f"{f['nominal']:.2f}",
        f"{f['adv20']:,.2f}",
        f"{f['equity_before']:,.2f}",
        f"{f['weight']:.6f}",
        f"{f['equity_open']:,.2f}",
        f"{f['open']:.3f}",
        f"{f['shares']:,}",
        f"{f['fill']:.6f}",
        f"{f['value']:,.2f}",
        f"{f['commission']:.2f}",
        f"{f['slippage']:.2f}",
        f"{f['shares']:,} × {f['close_after']:.3f} = {f['shares'] * f['close_after']:,.2f}",
        f"{equity:,.2f}",
        f"{equity - before:,.2f}",
        f"{price_pnl:,.2f}",
        f"-{commission:,.2f}",
        f"-{slippage:,.2f}",
        f"{f['kept_target']:,}",
        f"{f['kept_difference']:,.0f}",
        f"{f['kept_value']:,.2f}",
    ]
    shown += [f"| `{name}` | {x:.6f} | {rank} |" for name, x, rank, _ in f["ranks"]]
    text = page.read_text(encoding="utf-8")
    assert [figure for figure in shown if figure not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_queries_of_the_page_return_rows(example, page):
    text = page.read_text(encoding="utf-8")
    (block,) = (part.split("```")[0] for part in text.split("```sql\n")[1:])
    for query in filter(None, map(str.strip, block.split(";"))):
        assert example[1].execute(query).fetchall()
