"""Three months of a synthetic account: every day's difference from the model is explained."""

import base64
import csv
import datetime as dt
import gzip
import io
import json
import random
import re
import shutil
from collections import defaultdict
from decimal import Decimal
from math import floor
from types import SimpleNamespace

import duckdb
import pytest
from broker import SEEDS, Account, business, slip, trade
from conftest import PROJECT, build
from etf_rotation.dbt_project import project_vars
from etf_rotation.marts import holdings
from etf_rotation.marts.next_session import next_orders_of_all
from etf_rotation.reconcile import live
from etf_rotation.reconcile.cells import SHANGHAI
from etf_rotation.reconcile.tracking import PARTS
from etf_rotation.report import page as report
from etf_rotation.sample import write_sample

FIRST, LAST = dt.date(2022, 1, 4), dt.date(2022, 3, 31)
# Both splits of the seed in these months are of funds of QDII.
SPLITS = {dt.date(2022, 1, 14): ("513100.SH", 5), dt.date(2022, 3, 30): ("513500.SH", 2)}
CAPITAL = {"A_SHARE": 700_000, "QDII": 300_000}
MODELS = ("+equity_daily", "+positions_daily", "+trades", "+run_metadata")
MODELS += ("+int_live_strategies", "+int_orders__tranches", "+int_orders__funds")
LIVE = "strategy = 'rotation'"
QMT = ("stock_code", "order_type", "traded_time", "traded_price", "traded_volume")
QMT += ("traded_amount", "order_remark", "commission")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A build of synthetic data around the three months, and its prices."""
    folder = tmp_path_factory.mktemp("tracked")
    raw = folder / "sample"
    pools = PROJECT / "seeds" / "etf_pools.csv"
    write_sample(raw, pools_csv=pools, last_session="2022-05-31", sessions=420)
    database = build(
        folder, raw, "--select", *MODELS, "--exclude-resource-type", "test", "unit_test"
    )
    with duckdb.connect(str(database), read_only=True) as connection:
        rows = connection.execute(
            "select symbol, trade_date, open, close, adj_close from staging.stg_etf_daily "
            "where pool in ('A_SHARE', 'QDII')"
        ).fetchall()
        trades = defaultdict(list)
        for date, *row in connection.execute(
            "select trade_date, pool, symbol, side, shares from backtest.trades "
            f"where {LIVE} order by all"
        ).fetchall():
            trades[date].append(row)
        held = connection.execute(
            "select pool, symbol, weight from backtest.positions_daily "
            f"where {LIVE} and trade_date = date '2021-12-31' and pool <> 'OTHER'"
        ).fetchall()
    bars = {(symbol, date): tuple(prices) for symbol, date, *prices in rows}
    dates = sorted({date for _, date in bars})
    return SimpleNamespace(
        raw=raw, database=database, bars=bars, dates=dates, trades=trades, held=held
    )


class Trader:
    """A trader and a broker with independent books, in whole fen and shares."""

    def __init__(self, model):
        self.model = model
        self.random = random.Random(7)
        self.shares = defaultdict(int)
        self.cash = sum(CAPITAL.values()) * 100
        self.days = {}
        opening = dt.date(2021, 12, 31)
        for pool, symbol, weight in model.held:
            close = model.bars[symbol, opening][1]
            self._open(symbol, int(CAPITAL[pool] * weight * 0.9 / close))
        for symbol in ("513100.SH", "513500.SH"):
            self._open(symbol, 1_003)
        self.opening = dict(self.shares), self.cash

    def _open(self, symbol, shares):
        self.shares[symbol] += shares
        self.cash -= round(shares * self.close(symbol, dt.date(2021, 12, 31)) * 100)

    def close(self, symbol, session):
        """Return the close of a session, or the last one before."""
        day = max(d for d in self.model.dates if d <= session and (symbol, d) in self.model.bars)
        return self.model.bars[symbol, day][1]

    def value(self, session):
        """Return the account's value in CNY."""
        held = sum(
            Decimal(n) * Decimal(repr(self.close(s, session))) for s, n in self.shares.items()
        )
        return held + Decimal(self.cash) / 100

    def trade_day(self, session, flow):
        """Order, trade and keep the day's figures."""
        before = self.value(max(d for d in self.model.dates if d < session))
        if session in SPLITS:
            symbol, ratio = SPLITS[session]
            self.shares[symbol] *= ratio
        day = SimpleNamespace(orders=[], fills=[], cost=Decimal(0), missed=Decimal(0), flow=flow)
        self.cash += flow * 100
        for pool, symbol, side, shares in self.plan(session):
            self._order(day, session, pool, symbol, side, shares)
        if self.random.random() < 0.2:
            self._fill(day, session, "513100.SH", "buy", 300, is_ordered=False)
        day.before, day.after = before, self.value(session)
        day.shares, day.cash = {s: n for s, n in self.shares.items() if n}, self.cash
        self.days[session] = day

    def plan(self, session):
        """Return orders: the model's at the account's size, and occasionally another."""
        planned = {}
        for pool, symbol, side, shares in self.model.trades.get(session, ()):
            if pool in CAPITAL:
                planned[symbol] = (pool, side, int(shares * 0.1 // 100) * 100)
        if self.random.random() < 0.6:
            symbol = self.random.choice(("510300.SH", "159915.SZ", "513100.SH", "513500.SH"))
            side = self.random.choice(("buy", "sell"))
            planned.setdefault(
                symbol, (SEEDS.pool_of[symbol], side, 100 * self.random.randint(1, 40))
            )
        for symbol, (pool, side, shares) in sorted(planned.items()):
            # Of the funds that split something is always held.
            kept = 501 if symbol in dict(SPLITS.values()) else 0
            count = min(shares, max(self.shares[symbol] - kept, 0)) if side == "sell" else shares
            if count and (symbol, session) in self.model.bars:
                yield pool, symbol, side, count

    def _order(self, day, session, pool, symbol, side, shares):
        opened, closed, _ = self.model.bars[symbol, session]
        if side == "buy" and shares * opened * 1.02 > self.cash / 100:
            return
        day.orders.append((pool, symbol, side, float(shares)))
        done = self.random.choice((shares, shares, shares // 3, 0))
        first = self.random.randint(0, done)
        for part in filter(None, (first, done - first)):
            self._fill(day, session, symbol, side, part, is_ordered=True)
        sign = 1 if side == "buy" else -1
        move = Decimal(repr(closed)) - Decimal(repr(opened))
        day.missed += sign * (shares - done) * move

    def _fill(self, day, session, symbol, side, shares, *, is_ordered):
        opened = self.model.bars[symbol, session][0]
        mills = round(opened * 1000) + self.random.randint(-3, 3)
        value = (shares * mills + 5) // 10
        fees = max(500, (value * 25 + 50_000) // 100_000)
        sign = 1 if side == "buy" else -1
        self.cash -= sign * value + fees
        self.shares[symbol] += sign * shares
        paid = Decimal(sign * value) / 100 - sign * shares * Decimal(repr(opened))
        day.cost += paid + Decimal(fees) / 100
        remark = f"{session:%Y%m%d}-{SEEDS.pool_of[symbol]}-{symbol[:6]}-{side.upper()}"
        day.fills.append((symbol, side, shares, mills, value, fees, remark if is_ordered else ""))


@pytest.fixture(scope="module")
def traded(model, tmp_path_factory):
    """The three months, reconciled month by month, each in another of the broker's formats."""
    account = Account(tmp_path_factory.mktemp("trader") / "account")
    account.raw = model.raw
    trader = Trader(model)
    sessions = [date for date in model.dates if FIRST <= date <= LAST]
    # The first month's file must have rows of its first and last session: they say its
    # span.
    january = [session for session in sessions if session.month == 1]
    flows = {january[0]: 1_000, january[5]: 50_000, january[-1]: 2_000}
    flows |= {sessions[25]: -20_000, sessions[45]: 10_000}
    shares, cash = trader.opening
    lines = [f"A_SHARE,CASH,{cash * 7 // 10 / 100:.2f}"]
    lines += [f"QDII,CASH,{(cash - cash * 7 // 10) / 100:.2f}"]
    lines += [f"{SEEDS.pool_of[s]},{s},{n}" for s, n in shares.items() if n]
    for session in sessions:
        trader.trade_day(session, flows.get(session, 0))
        _publish(account, session, trader.days[session].orders)
    results = []
    for month, writer in ((1, _gbk), (2, _bom), (3, _qmt)):
        own = [session for session in sessions if session.month == month]
        last = trader.days[own[-1]]
        options = {} if month == 1 else {"date": str(own[-1])}
        options |= {"flows": _flows(account, own, trader)} if writer is _qmt else {}
        results.append(
            account.reconcile(
                writer(own, trader),
                opening=account.opening(*lines),
                positions=account.positions(**{f"f{s[:6]}": n for s, n in last.shares.items()}),
                cash=f"{last.cash / 100:.2f}",
                **options,
            )
        )
    return SimpleNamespace(account=account, trader=trader, sessions=sessions, results=results)


def _publish(account, session, orders):
    names = ("pool", "symbol", "side", "shares")
    more = {"trade_date": session, "is_simulated_pool": False, "reason": "x"}
    more |= {"limit_down": None, "limit_up": None}
    live.keep_publication(
        account.root.parent,
        PROJECT,
        [dict(zip(names, order, strict=True)) | more for order in orders]
        or [dict.fromkeys(names) | more],
        run_id=f"{session:%Y%m%d}T000000",
        published_at=dt.datetime.combine(session, dt.time(0), SHANGHAI),
        variables=project_vars(),
    )


def _rows(sessions, trader, **more):
    words = {"buy": "证券买入", "sell": "证券卖出"}
    for session in sessions:
        day = trader.days[session]
        if day.flow:
            yield business("银证转账", day.flow, date=session)
        for symbol, side, shares, mills, _, fees, remark in day.fills:
            sign = -1 if side == "sell" else 1
            row = trade(symbol[:6], words[side], mills / 1000, sign * shares, date=session)
            moved = -sign * round(float(row["成交金额"]) * 100) - fees
            row |= {"佣金": f"{fees / 100:.2f}", "发生金额": f"{moved / 100:.2f}", "备注": remark}
            yield row | more


def _gbk(sessions, trader):
    return slip(*_rows(sessions, trader))


def _bom(sessions, trader):
    rows = [
        row | {"证券代码": f'="{row["证券代码"]}"' if row["证券代码"] else ""}
        for row in _rows(sessions, trader)
    ]
    return slip(*rows, encoding="utf-8-sig", separator=",")


def _qmt(sessions, trader):
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(QMT)
    for session in sessions:
        noon = dt.datetime.combine(session, dt.time(9, 30), SHANGHAI)
        for symbol, side, shares, mills, value, fees, remark in trader.days[session].fills:
            kind = {"buy": 23, "sell": 24}[side]
            price, amount = mills / 1000, value / 100
            row = (symbol, kind, int(noon.timestamp()), price, shares, amount, remark, fees / 100)
            writer.writerow(row)
    return file.getvalue().encode()


def _flows(account, sessions, trader):
    lines = [f"{day},{trader.days[day].flow}" for day in sessions if trader.days[day].flow]
    return account.file("flows.csv", "\n".join(["date,amount", *lines]) + "\n")


@pytest.fixture(scope="module")
def tracked(model, traded, tmp_path_factory):
    """The schema `live` in a copy of the build, and the tracking table by session."""
    database = tmp_path_factory.mktemp("run") / "etf_rotation.duckdb"
    shutil.copy(model.database, database)
    copied = live.copy_into(database, traded.account.root.parent, "20220401T180000")
    with duckdb.connect(str(database), read_only=True) as connection:
        cursor = connection.execute("from live.tracking order by trade_date")
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        yield SimpleNamespace(
            connection=connection,
            database=database,
            copied=copied,
            rows={row["trade_date"]: row for row in rows},
        )


def test_the_books_are_the_traders_on_every_day(traded):
    assert [result.code for result in traded.results] == [1, 1, 1]
    for result in traded.results:
        assert "BREAK" not in result.text
    for session in traded.sessions:
        closing = traded.account.day(session)["closing"]
        day = traded.trader.days[session]
        assert {s: int(n) for s, n in closing["shares"].items()} == day.shares, session
        assert sum(map(Decimal, closing["cash"].values())) * 100 == day.cash, session


def test_order_outcomes_match_the_brokers_fills(traded):
    for session in traded.sessions:
        day = traded.trader.days[session]
        filled = defaultdict(int)
        for symbol, side, shares, *_, remark in day.fills:
            filled[symbol, side, bool(remark)] += shares
        rows = traded.account.day(session)["orders"]
        for row in rows:
            is_ordered = row["status"] not in ("not_ordered", "wrong_day")
            key = (row["symbol"], row["side"], is_ordered)
            assert row["filled"] == filled[key], (session, row)
        ordered = {(row["symbol"], row["side"]): row["ordered"] for row in rows if row["ordered"]}
        assert ordered == {(symbol, side): n for _, symbol, side, n in day.orders}


def test_every_part_of_the_account_happened(traded):
    statuses = {
        row["status"] for day in traded.sessions for row in traded.account.day(day)["orders"]
    }
    assert {"filled", "partial", "missed", "not_ordered"} <= statuses
    for session, (symbol, ratio) in SPLITS.items():
        (line,) = [p for p in traded.account.day(session)["positions"] if p["symbol"] == symbol]
        assert Decimal(line["split"]) == Decimal(line["opening"]) * (ratio - 1) > 0
    assert len(traded.sessions) >= 55


def test_the_difference_is_explained_to_a_fen_on_every_day(traded, tracked):
    assert sorted(tracked.rows) == traded.sessions
    for session, row in tracked.rows.items():
        assert abs(row["rest_cny"]) <= Decimal("0.01"), (session, row)
        assert sum(row[f"{part}_cny"] for part in PARTS) == row["difference_cny"]
        assert sum(row[part] for part in PARTS) == pytest.approx(row["difference"], abs=1e-15)
        assert row["difference"] == row["live_return"] - row["model_return"]


def test_the_live_return_has_the_flows_taken_out(traded, tracked):
    for session, row in tracked.rows.items():
        day = traded.trader.days[session]
        base = day.before + max(day.flow, 0)
        made = day.after - day.before - day.flow
        assert row["live_return"] == pytest.approx(float(made / base), abs=1e-9), session
        assert row["flows"] == day.flow


def test_the_models_return_is_that_of_the_portfolio(tracked):
    wanted = dict(
        tracked.connection.execute(
            "select trade_date, daily_return from backtest.equity_daily "
            f"where {LIVE} and pool = 'PORTFOLIO'"
        ).fetchall()
    )
    assert {day: row["model_return"] for day, row in tracked.rows.items()} == {
        day: wanted[day] for day in tracked.rows
    }


def test_cost_and_missed_are_the_traders_against_the_models(traded, tracked):
    costs = dict(
        tracked.connection.execute(
            "select trade_date, (commission + slippage) / previous_equity "
            f"from backtest.equity_daily where {LIVE} and pool = 'PORTFOLIO'"
        ).fetchall()
    )
    for session, row in tracked.rows.items():
        day = traded.trader.days[session]
        cost = costs[session] * float(row["base"]) - float(day.cost)
        assert float(row["cost_cny"]) == pytest.approx(cost, abs=0.006), session
        assert float(row["missed_cny"]) == pytest.approx(-float(day.missed), abs=0.006), session
    assert any(row["missed_cny"] for row in tracked.rows.values())


def test_different_holdings_are_the_weights_times_the_returns(model, traded, tracked):
    """On sessions without a trade on either side, where weights at the last close say it all."""
    weights = defaultdict(dict)
    for session, symbol, weight in tracked.connection.execute(
        f"""
        select held.trade_date, held.symbol, held.weight * sleeves.sleeve / equity.equity
        from (from backtest.positions_daily where {LIVE}) as held
        inner join backtest.int_backtest__sleeves as sleeves using (strategy, pool, trade_date)
        inner join backtest.equity_daily as equity
            on equity.strategy = held.strategy and equity.pool = 'PORTFOLIO'
            and equity.trade_date = held.trade_date
        """
    ).fetchall():
        weights[session][symbol] = weight
    compared = 0
    for session, row in tracked.rows.items():
        before = max(date for date in model.dates if date < session)
        # Sleeves are reset between the months.
        if (
            traded.trader.days[session].fills
            or traded.trader.days[session].orders
            or model.trades.get(session)
            or before.month != session.month
        ):
            continue
        held = traded.account.day(before)["closing"]["shares"] if before >= FIRST else {}
        wanted = 0.0
        for symbol in {*held, *weights[before]}:
            bar, last = model.bars.get((symbol, session)), model.bars.get((symbol, before))
            if not held or not bar or not last:
                break
            live_weight = float(held.get(symbol, 0)) * last[1] / float(row["base"])
            change = bar[2] / last[2] - 1
            wanted += (live_weight - weights[before].get(symbol, 0.0)) * change
        else:
            assert row["holdings"] == pytest.approx(wanted, abs=2e-8), session
            compared += 1
    assert compared >= 8


def test_sums_run_over_all_sessions(tracked):
    for part in ("difference", *PARTS):
        total = 0.0
        for row in tracked.rows.values():
            total += row[part]
            assert row[f"{part}_cumulated"] == pytest.approx(total, abs=1e-12)


def test_a_run_fills_in_once_and_a_rerun_of_a_day_is_filled_in_again(
    model, traded, tracked, tmp_path
):
    base = tmp_path / "output"
    shutil.copytree(traded.account.root.parent, base)
    account = Account(tmp_path / "again")
    account.raw, account.root = model.raw, base / "etf"
    account.store = live.Store(base)
    now = dt.datetime(2022, 4, 1, 20, tzinfo=SHANGHAI)
    live.keep_tracking(base, tracked.copied.filled, now)
    kept = account.store.read_tracking()
    assert {row.run_id for row in kept} == {"20220401T180000"}
    # The last day again, without its trades.
    account.reconcile(_qmt([], traded.trader), date=str(LAST))
    rows = {row.trade_date: row for row in account.store.read_tracking()}
    assert [day for day, row in rows.items() if not row.is_filled] == [LAST]
    assert len(rows) == len(traded.sessions)
    # The model's part for the earlier version of the day must not be reused.
    live.keep_tracking(base, tracked.copied.filled, now)
    assert not account.store.read_tracking()[-1].is_filled
    database = tmp_path / "run.duckdb"
    shutil.copy(model.database, database)
    later = live.copy_into(database, base, "20220402T180000")
    assert [row.trade_date for row in later.filled] == [LAST]
    live.keep_tracking(base, later.filled, now)
    assert [row.run_id for row in account.store.read_tracking()][-2:] == [
        "20220401T180000",
        "20220402T180000",
    ]


def test_an_as_of_hides_the_sessions_after_it(model, traded, tmp_path):
    database = tmp_path / "run.duckdb"
    shutil.copy(model.database, database)
    with duckdb.connect(str(database)) as connection:
        connection.execute("update gate.run_metadata set last_date = date '2022-02-15'")
    live.copy_into(database, traded.account.root.parent, "20220216T180000")
    with duckdb.connect(str(database)) as connection:
        for table in live.definitions():
            (last,) = connection.execute(f"select max(trade_date) from live.{table}").fetchall()[0]
            assert dt.date(2022, 2, 1) < last <= dt.date(2022, 2, 15), table


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_report_draws_the_tracking_curve(tracked, tmp_path, language):
    database = tracked.database
    path = tmp_path / "report.html"
    report.write_report(database, path, language=language)
    page = path.read_text(encoding="utf-8")
    assert 'data-figure="live-curves"' in page
    assert 'data-figure="live-parts"' in page
    packed = re.search(r'id="figures">([^<]*)<', page)[1]
    drawn = json.loads(gzip.decompress(base64.b64decode(packed)))
    array = lambda name: drawn["columns"][int(name[1:])]  # noqa: E731
    lines = drawn["figures"]["live-parts"]["data"]
    last = tracked.rows[LAST]
    ends = [array(line["y"])[-1] for line in lines]
    wanted = [last[f"{part}_cumulated"] for part in ("difference", *PARTS)]
    assert ends == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    dates = array(lines[0]["x"])
    assert (dates[0], dates[-1], len(dates)) == (str(FIRST), str(LAST), len(tracked.rows))


def test_the_holdings_give_the_orders_that_the_true_account_needs(model, traded, tmp_path):
    base = tmp_path / "output"
    shutil.copytree(traded.account.root.parent, base)
    account = Account(tmp_path / "again")
    account.raw, account.root = model.raw, base / "etf"
    last, own = traded.trader.days[LAST], tmp_path / "own.csv"
    account.reconcile(
        _qmt([], traded.trader),
        date="2022-05-31",
        positions=account.positions(**{f"f{s[:6]}": n for s, n in last.shares.items()}),
        cash=f"{last.cash / 100:.2f}",
        write_holdings=str(own),
    )
    with duckdb.connect(str(model.database), read_only=True) as connection:
        tranches, funds, parameters = (
            connection.table(name).filter(LIVE).to_arrow_table()
            for name in (
                "marts.int_orders__tranches",
                "marts.int_orders__funds",
                "backtest.int_backtest__parameters",
            )
        )
    held = holdings.read(
        str(own), pool_of=SEEDS.pool_of, pools=set(CAPITAL), priced=set(SEEDS.pool_of)
    )
    assert {s: n for one in held.values() for s, n in one.shares.items()} == last.shares
    planned = next_orders_of_all(tranches, funds, parameters, held).to_pylist()
    planned = [row for row in planned if row["pool"] in CAPITAL]
    assert {row["basis"] for row in planned} == {"holdings_file"}
    fund = {row["symbol"]: row for row in funds.to_pylist()}
    assert len(planned) > 5
    for pool, one in held.items():
        value = one.cash + sum(n * fund[s]["last_close"] for s, n in one.shares.items())
        of_pool = {row["symbol"]: row for row in planned if row["pool"] == pool}
        for symbol, shares in one.shares.items():
            # What the month does not want is sold, all of it.
            if not fund[symbol]["target_weight"]:
                assert (of_pool[symbol]["side"], of_pool[symbol]["shares"]) == ("sell", shares)
        for symbol, row in of_pool.items():
            target = row["target_weight"] * value / fund[symbol]["last_close"]
            assert row["target_shares"] == floor(target / 100 + 1e-9) * 100
