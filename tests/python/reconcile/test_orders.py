"""Export of orders, comparison of orders with fills, and the costs of fills."""

import csv
import datetime as dt
import io
from decimal import Decimal

import duckdb
import pytest
from broker import MON, SEEDS, TUE, WED, Account, slip, trade, write_bars
from etf_rotation.cli import inspect
from etf_rotation.cli.main import main
from etf_rotation.console import Progress
from etf_rotation.dbt_project import project_vars
from etf_rotation.production import snapshots
from etf_rotation.production.run import SHANGHAI, Production
from etf_rotation.production.settings import PROJECT
from etf_rotation.reconcile import live
from etf_rotation.reconcile import orders as out
from etf_rotation.reconcile.costs import cost_of
from etf_rotation.reconcile.export import export_orders
from etf_rotation.reconcile.matching import match
from etf_rotation.reconcile.orders import Costs, Order, as_csv, parts
from etf_rotation.reconcile.prices import Bar, Prices
from etf_rotation.reconcile.statements import Entry
from finished_build import FinishedBuild, settings

ASSUMED = Costs(Decimal(10), Decimal("2.5"), Decimal(5))
WORDS = {"buy": "buy", "sell": "sell"}


def order(symbol="510300.SH", side="buy", shares=1000, date=TUE, **more):
    pool = SEEDS.pool_of[symbol]
    return Order(out.order_id(date, pool, symbol, side), date, pool, symbol, side, shares, **more)


def fill(symbol="510300.SH", kind="buy", shares=1000, price="3.9", fees="5", order_id=None):
    value = Decimal(price) * shares
    return Entry(
        line=2,
        trade_date=TUE,
        kind=kind,
        word=kind,
        symbol=symbol,
        pool=SEEDS.pool_of.get(symbol),
        shares=shares,
        price=Decimal(price),
        value=value,
        fees=Decimal(fees),
        cash=-value - Decimal(fees),
        order_id=order_id,
    )


# -- orders out ------------------------------------------------------------------------


class Ordering(FinishedBuild):
    """The stand-in build with other orders."""

    def __init__(self, *rows, **options):
        super().__init__(**options)
        self.orders = rows

    def __call__(self, its_settings, run, before, progress):
        built = super().__call__(its_settings, run, before, progress)
        with duckdb.connect(str(run / "etf_rotation.duckdb")) as connection:
            connection.execute("delete from marts.next_session_orders")
            for pool, symbol, side, shares, *more in self.orders:
                date = more[0] if more else TUE
                connection.execute(
                    "insert into marts.next_session_orders by name "
                    "select ? as pool, 1 as sequence, ? as symbol, ? as trade_date, "
                    "? as as_of_date, 'simulated' as basis, ? as is_simulated_pool, ? as side, "
                    "? as shares, 3.6 as limit_down, 4.4 as limit_up, 'enter' as reason, "
                    "'建仓' as reason_zh",
                    [pool, symbol, date, date, pool == "OTHER", side, shares],
                )
        return built


def published(root, *rows, at=dt.datetime(2023, 6, 5, 18, 0, tzinfo=SHANGHAI), **options):
    run = Production(settings(root, **options), Progress(), "run", lambda: at, Ordering(*rows))
    return run.run()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """An output root with one published run."""
    made = tmp_path_factory.mktemp("output") / "etf"
    published(
        made,
        ("A_SHARE", "510300.SH", "buy", 12300.0),
        ("A_SHARE", "510500.SH", "sell", 500.0000001),
        ("OTHER", "518880.SH", "sell", 100.0),
        ("QDII", None, None, None),
    )
    return made


def exported(root, tmp_path, dialect="plain", language="en"):
    path = tmp_path / "orders.csv"
    environment = {"ETF_LANGUAGE": language}
    assert (
        export_orders(dialect=dialect, output=str(path), root=str(root), environment=environment)
        == 0
    )
    content = path.read_bytes()
    text = content.decode("utf-8-sig" if dialect == "plain" else "ascii")
    return content, list(csv.DictReader(io.StringIO(text)))


def test_orders_are_sells_then_buys_of_the_traded_pools_only(root, tmp_path, capsys):
    content, rows = exported(root, tmp_path)
    assert content.startswith(b"\xef\xbb\xbf")
    assert [(row["order_id"], row["batch"], row["side_code"], row["shares"]) for row in rows] == [
        ("20230606-A_SHARE-510500-SELL", "1", "24", "500"),
        ("20230606-A_SHARE-510300-BUY", "2", "23", "12300"),
    ]
    assert rows[1]["name"] == "华泰柏瑞沪深300ETF"
    assert (rows[1]["code"], rows[1]["limit_down"], rows[1]["limit_up"]) == (
        "510300.SH",
        "3.600",
        "4.400",
    )
    assert "2 orders of run 20230605T180000 for 2023-06-06" in capsys.readouterr().err
    chinese = exported(root, tmp_path, language="zh")[1]
    assert [(row["side"], row["reason"]) for row in chinese] == [("卖出", "建仓"), ("买入", "建仓")]


def test_the_qmt_dialect_is_ascii_without_a_byte_order_mark(root, tmp_path):
    content, rows = exported(root, tmp_path, "qmt", language="zh")
    assert content.isascii()
    assert content.startswith(b"order_id,")
    assert [(row["name"], row["side"]) for row in rows] == [
        ("510500.SH", "sell"),
        ("510300.SH", "buy"),
    ]


def test_without_an_output_the_same_bytes_go_to_standard_output(root, tmp_path, capfdbinary):
    content, _ = exported(root, tmp_path)
    capfdbinary.readouterr()
    assert main(["orders", "--output-root", str(root)]) == 0
    assert capfdbinary.readouterr().out == content


def test_nothing_published_is_said_in_one_line(tmp_path, capsys):
    assert main(["orders", "--output-root", str(tmp_path / "none")]) == 2
    assert "nothing is published" in capsys.readouterr().err


def test_orders_of_synthetic_data_say_so(tmp_path, capsys):
    root = tmp_path / "output" / "etf"
    published(root, ("A_SHARE", "510300.SH", "buy", 12300.0), is_synthetic=True)
    _, rows = exported(root, tmp_path)
    assert rows[0]["reason"].startswith("SYNTHETIC DATA")
    assert "SYNTHETIC DATA: do not send" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("shares", "sizes"),
    [
        (1_000_000, [1_000_000]),
        (1_000_100, [1_000_000, 100]),
        (2_500_000, [1_000_000, 1_000_000, 500_000]),
        # Less than a lot is sold together with a lot.
        (1_000_050, [999_900, 150]),
        (50, [50]),
    ],
)
def test_no_order_is_larger_than_the_exchange_takes(shares, sizes):
    assert parts(shares, 1_000_000) == sizes
    assert sum(sizes) == shares


def test_parts_are_numbered_and_put_together_again(tmp_path):
    sent = [order(shares=2_500_000), order("159915.SZ", "sell", 1_000_000)]
    content = as_csv(sent, "plain", 1_000_000, side_words=WORDS, is_synthetic=False)
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    assert [row["order_id"] for row in rows] == [
        "20230606-A_SHARE-510300-BUY-1",
        "20230606-A_SHARE-510300-BUY-2",
        "20230606-A_SHARE-510300-BUY-3",
        "20230606-A_SHARE-159915-SELL",
    ]
    path = tmp_path / "orders.csv"
    path.write_bytes(content)
    read = out.read_orders(str(path), SEEDS)
    assert [(o.order_id, o.shares) for o in read] == [(o.order_id, o.shares) for o in sent]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_a_text_that_a_spreadsheet_would_run_gets_an_apostrophe(text):
    content = as_csv(
        [order(name=text, reason=text)], "plain", 10**6, side_words=WORDS, is_synthetic=False
    )
    (row,) = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
    assert (row["name"], row["reason"]) == (f"'{text}", f"'{text}")


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("x,1,510300.SH,buy,100", "order_id"),
        ("20230606-A,1,161725.SZ,buy,100", "code"),
        ("20230606-A,1,510300.SH,hold,100", "side"),
        ("20230606-A,1,510300.SH,buy,ten", "shares"),
    ],
)
def test_an_orders_file_with_a_bad_cell_is_refused(tmp_path, line, column):
    path = tmp_path / "orders.csv"
    path.write_text(f"order_id,batch,code,side,shares\n{line}\n")
    with pytest.raises(Exception, match=f"line 2, column {column}:"):
        out.read_orders(str(path), SEEDS)


# -- which orders ----------------------------------------------------------------------


BARS = {
    "510300.SH": [(MON, 3.90, 3.91), (TUE, 3.92, 3.95), (WED, 3.95, 3.90)],
    "513100.SH": [(MON, 1.10, 1.11), (TUE, 1.12, 1.13), (WED, 1.13, 1.15)],
}


@pytest.fixture
def account(tmp_path):
    made = Account(tmp_path / "account")
    write_bars(made.raw, BARS)
    return made


OPENING = ("A_SHARE,CASH,100000", "QDII,CASH,50000")


def at(day, hour, minute=0):
    return dt.datetime(2023, 6, day, hour, minute, tzinfo=SHANGHAI)


def keep(account, *rows, at, variables=None):
    """Keep orders as a run does that is published at a time."""
    names = ("pool", "symbol", "side", "shares", "trade_date")
    orders = [dict(zip(names, (*row, TUE)[:5], strict=True)) for row in rows]
    for row in orders:
        row |= {"is_simulated_pool": False, "limit_down": None, "limit_up": None, "reason": "x"}
    live.keep_publication(
        account.root.parent,
        PROJECT,
        orders,
        run_id=f"{at:%Y%m%dT%H%M%S}",
        published_at=at,
        variables=project_vars() | (variables or {}),
    )


def test_fills_are_held_against_the_orders_last_published_before_0915(account):
    keep(account, ("A_SHARE", "510300.SH", "buy", 900.0), at=at(5, 18))
    keep(account, ("A_SHARE", "510300.SH", "buy", 1000.0), at=at(6, 9, 14))
    keep(account, ("A_SHARE", "510300.SH", "buy", 1100.0), at=at(6, 9, 15))
    done = account.reconcile(
        slip(trade("510300", "买入", 3.93, 1000)), opening=account.opening(*OPENING)
    )
    assert done.code == 0, done.text
    assert "Orders of run 20230606T091400, published at 2023-06-06T09:14:00+08:00" in done.text


def test_published_orders_outlive_their_run(account, monkeypatch):
    published(account.root, ("A_SHARE", "510300.SH", "buy", 1000.0), at=at(5, 18))
    monkeypatch.setitem(snapshots.KEPT, snapshots.PASSED, 1)
    published(account.root, ("QDII", None, None, None, WED), at=at(5, 19))
    assert not (account.root.parent / "snapshots" / "20230605T180000").exists()
    done = account.reconcile(slip(), date="2023-06-06", opening=account.opening(*OPENING))
    assert done.code == 1
    assert "Orders of run 20230605T180000" in done.text


def test_orders_published_too_late_are_named_as_such(account):
    keep(account, ("A_SHARE", "510300.SH", "buy", 1000.0), at=at(6, 10))
    keep(account, ("A_SHARE", "510300.SH", "buy", 1100.0), at=at(6, 11))
    done = account.reconcile(
        slip(trade("510300", "买入", 3.93, 1000)), opening=account.opening(*OPENING)
    )
    assert "run 20230606T100000 were published at 2023-06-06T10:00:00+08:00, after" in done.text
    assert done.code == 0


def test_an_earlier_run_that_was_restored_is_published_again(account, monkeypatch):
    published(account.root, ("A_SHARE", "510300.SH", "buy", 900.0), at=at(5, 18))
    published(account.root, ("A_SHARE", "510300.SH", "buy", 1000.0), at=at(5, 19))
    monkeypatch.setattr(inspect, "now", lambda: at(6, 8))
    assert main(["restore", "20230605T180000", "--output-root", str(account.root)]) == 0
    done = account.reconcile(
        slip(trade("510300", "买入", 3.93, 900)), opening=account.opening(*OPENING)
    )
    assert done.code == 0, done.text
    assert "Orders of run 20230605T180000, published at 2023-06-06T08:00:00" in done.text


def test_orders_that_a_killed_run_did_not_keep_are_kept_by_the_next_command(account):
    published(account.root, ("A_SHARE", "510300.SH", "buy", 1000.0), at=at(5, 18))
    for path in account.store.publications():
        path.unlink()
    done = account.reconcile(slip(), date="2023-06-06", opening=account.opening(*OPENING))
    assert "Orders of run 20230605T180000" in done.text


def test_a_published_run_that_cannot_be_read_has_no_orders(account):
    published(account.root, ("A_SHARE", "510300.SH", "buy", 1000.0), at=at(5, 18))
    for path in account.store.publications():
        path.unlink()
    (account.root / snapshots.DATABASE).write_bytes(b"no database")
    done = account.reconcile(slip(), date="2023-06-06", opening=account.opening(*OPENING))
    assert done.code == 0
    assert "no orders were published for 2023-06-06" in done.text


def test_orders_of_a_failed_or_partial_run_are_not_kept(account):
    failed = Production(
        settings(account.root), Progress(), "run", lambda: at(5, 18), Ordering(status="fail")
    )
    failed.run()
    published(account.root, ("A_SHARE", "510300.SH", "buy", 1.0), partial=("--skip-snapshot",))
    assert account.store.publications() == []


def test_a_damaged_publication_is_a_break(account):
    published(account.root, ("A_SHARE", "510300.SH", "buy", 1000.0), at=at(5, 18))
    (path,) = account.store.publications()
    path.write_bytes(path.read_bytes().replace(b"1000", b"9000"))
    done = account.reconcile(slip(), date="2023-06-06", opening=account.opening(*OPENING))
    assert done.code == 1
    assert f"reconcile/orders/{path.name} does not match its checksum" in done.text


def test_trades_without_any_published_orders_are_listed_and_no_break(account):
    done = account.reconcile(
        slip(trade("510300", "买入", 3.93, 1000)), opening=account.opening(*OPENING)
    )
    assert done.code == 0
    assert "no orders were published for 2023-06-06" in done.text
    assert account.day(TUE)["orders"][0]["status"] == "not_ordered"


# -- orders against fills --------------------------------------------------------------


def statuses(orders, fills, open_before=None):
    found = match(TUE, orders, fills, open_before or {})
    return [(m.symbol, m.side, m.status, m.filled, m.unfilled) for m in found]


def test_filled_partial_and_missed():
    orders = [order(), order("510500.SH", "sell", 500), order("513100.SH", "buy", 700)]
    fills = [fill(shares=400), fill(shares=600), fill("510500.SH", "sell", 200)]
    assert statuses(orders, fills) == [
        ("510300.SH", "buy", "filled", 1000, 0),
        ("510500.SH", "sell", "partial", 200, 300),
        ("513100.SH", "buy", "missed", 0, 700),
    ]


def test_excess_fills_and_fills_of_other_funds_are_not_ordered():
    fills = [fill(shares=800, fees="8"), fill(shares=400, fees="4"), fill("510500.SH", shares=100)]
    found = match(TUE, [order()], fills, {})
    assert [(m.symbol, m.status, m.filled, str(m.fees)) for m in found] == [
        ("510300.SH", "filled", 1000, "10.00"),
        ("510300.SH", "not_ordered", 200, "2.00"),
        ("510500.SH", "not_ordered", 100, "5"),
    ]
    assert sum(m.value for m in found) == sum(f.value for f in fills)


def test_a_trade_with_our_id_is_the_orders_whatever_comes_first_in_the_file():
    own = "20230606-A_SHARE-510300-BUY"
    fills = [fill(shares=500), fill(shares=1000, order_id=own)]
    assert statuses([order()], fills) == [
        ("510300.SH", "buy", "filled", 1000, 0),
        ("510300.SH", "buy", "not_ordered", 500, 0),
    ]
    # An id that the broker has cut off counts as well.
    assert statuses([order()], [fill(order_id=own[:23])])[0][2] == "filled"


@pytest.mark.parametrize(
    "order_id", [None, "20230606-A_SHARE-510300-BUY"], ids=["without an id", "with our id"]
)
def test_a_trade_on_the_wrong_side(order_id):
    assert statuses([order()], [fill(kind="sell", order_id=order_id)]) == [
        ("510300.SH", "buy", "missed", 0, 1000),
        ("510300.SH", "sell", "wrong_side", 1000, 0),
    ]


def test_a_trade_on_the_wrong_day():
    yesterday = "20230605-A_SHARE-510300-BUY"
    by_id = statuses([order()], [fill(order_id=yesterday)])
    assert by_id == [
        ("510300.SH", "buy", "missed", 0, 1000),
        ("510300.SH", "buy", "wrong_day", 1000, 0),
    ]
    (without,) = match(TUE, [], [fill()], {("510300.SH", "buy"): yesterday})
    assert (without.status, without.order_id) == ("wrong_day", yesterday)


def test_a_missed_order_that_trades_a_session_later_is_on_the_wrong_day(account):
    account.reconcile(
        slip(),
        date="2023-06-06",
        opening=account.opening(*OPENING),
        orders=account.orders((TUE, "510300.SH", "buy", 1000)),
    )
    done = account.reconcile(
        slip(trade("510300", "买入", 3.95, 1000, date=WED)),
        orders=account.orders((WED, "513100.SH", "buy", 100)),
    )
    assert done.code == 1
    assert [(row["symbol"], row["status"]) for row in account.day(WED)["orders"]] == [
        ("513100.SH", "missed"),
        ("510300.SH", "wrong_day"),
    ]
    assert account.day(WED)["orders"][1]["order_id"] == "20230606-A_SHARE-510300-BUY"


# -- what the fills cost ---------------------------------------------------------------


def cost(matched, *, pre_close="3.90", opened="3.92", closed="3.95"):
    exact = [None if price is None else Decimal(price) for price in (opened, closed, pre_close)]
    bars = [Bar(MON, Decimal("3.91"), Decimal("3.91"), None), Bar(TUE, *exact)]
    return cost_of(matched, TUE, Prices({"510300.SH": bars}), SEEDS.actions, ASSUMED)


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_slippage_is_against_the_open_and_costs_above_zero_on_both_sides(side):
    sign = 1 if side == "buy" else -1
    worse = Decimal("3.92") + sign * Decimal("0.01")
    (matched,) = match(TUE, [order(side=side)], [fill(kind=side, price=str(worse))], {})
    found = cost(matched)
    assert round(found.slippage_bps, 6) == round(Decimal(100) / Decimal("3.92"), 6)
    assert found.execution == 10
    assert found.assumed_slippage_bps == 10


def test_fees_are_held_against_the_assumed_with_its_minimum_per_order():
    small, large = fill(shares=1000, fees="5"), fill(shares=100000, fees="120")
    (matched,) = match(TUE, [order(shares=1000)], [small], {})
    found = cost(matched)
    assert round(found.fees_bps, 4) == round(found.assumed_fees_bps, 4)
    (matched,) = match(TUE, [order(shares=100000)], [large], {})
    found = cost(matched)
    assert found.assumed_fees_bps == Decimal("2.5")
    assert round(found.fees_bps, 4) == round(Decimal(120) / 390000 * 10000, 4)


def test_the_four_parts_of_the_shortfall_add_up_to_paper_less_actual():
    for side in ("buy", "sell"):
        sign = 1 if side == "buy" else -1
        fills = [fill(kind=side, shares=300, price="3.931", fees="5.07")]
        (matched,) = match(TUE, [order(side=side, shares=1000)], fills, {})
        found = cost(matched)
        paper = sign * 1000 * (Decimal("3.95") - Decimal("3.90"))
        actual = sign * 300 * (Decimal("3.95") - Decimal("3.931")) - Decimal("5.07")
        assert found.delay + found.execution + matched.fees + found.missed == found.shortfall
        assert found.shortfall == paper - actual
        assert found.missed == sign * 700 * Decimal("0.03")


def test_the_decision_is_at_the_ex_rights_close():
    (matched,) = match(TUE, [order()], [fill()], {})
    # 0.05 paid on the session: 3.91 before is 3.86 now.
    assert cost(matched, pre_close="3.86").delay == 60
    # Without pre_close it is the last close.
    assert cost(matched, pre_close=None).delay == 10


def test_without_pre_close_a_split_of_the_seed_counts():
    split = dt.date(2022, 1, 14)
    bars = [
        Bar(dt.date(2022, 1, 12), Decimal(5), Decimal("5.2"), None),
        Bar(split, Decimal("1.01"), Decimal("1.02"), None),
    ]
    (matched,) = match(split, [order("513100.SH", date=split)], [], {})
    found = cost_of(matched, split, Prices({"513100.SH": bars}), SEEDS.actions, ASSUMED)
    assert found.decision_price == Decimal("1.04")


def test_an_order_of_a_fund_that_did_not_trade_has_no_cost():
    (matched,) = match(TUE, [order("513100.SH")], [], {})
    found = cost_of(matched, TUE, Prices({}), SEEDS.actions, ASSUMED)
    assert (found.delay, found.shortfall, found.slippage_bps) == (None, None, None)


def test_the_costs_are_those_of_the_run_that_ordered(account):
    ten = {"commission_bps": 10}
    keep(account, ("A_SHARE", "510300.SH", "buy", 10000.0), at=at(5, 18), variables=ten)
    account.reconcile(slip(trade("510300", "买入", 3.93, 10000)), opening=account.opening(*OPENING))
    (row,) = account.day(TUE)["orders"]
    assert Decimal(row["assumed_fees_bps"]) == 10
