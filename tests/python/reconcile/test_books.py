"""The identities: shares by symbol, cash to the fen, and the next run's opening."""

import datetime as dt
import json
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from broker import (
    ACCOUNT_NUMBER,
    MON,
    SEEDS,
    SLIP,
    TUE,
    WED,
    Account,
    business,
    keys,
    slip,
    trade,
    write_bars,
)
from etf_rotation.marts import holdings
from etf_rotation.reconcile.books import Books, split_by_weight, transfers
from etf_rotation.reconcile.identities import Day, Statement, settle
from etf_rotation.reconcile.prices import Bar, Prices
from etf_rotation.reconcile.statements import read_fills
from hypothesis import given, settings
from hypothesis import strategies as st

BARS = {
    "510300.SH": [(MON, 3.90, 3.91), (TUE, 3.92, 3.95), (WED, 3.95, 3.90)],
    "510500.SH": [(MON, 6.00, 6.01), (TUE, 6.02, 6.05), (WED, 6.05, 6.10)],
    "513100.SH": [(MON, 1.10, 1.11), (TUE, 1.12, 1.13), (WED, 1.13, 1.15)],
}
HELD = ("A_SHARE,CASH,100000.00", "A_SHARE,510300.SH,10000", "QDII,CASH,50000.00")


@pytest.fixture
def account(tmp_path):
    made = Account(tmp_path / "account")
    write_bars(made.raw, BARS)
    return made


def cash_of(day):
    return {line["pool"]: line for line in day["cash"]}


# -- a day that adds up ----------------------------------------------------------------


def test_a_balanced_day_exits_with_0_and_opens_the_next_day(account, tmp_path):
    fills = slip(trade("510500", "买入", 6.02, 1000), trade("510300", "卖出", 3.92, -2000))
    done = account.reconcile(
        fills,
        opening=account.opening(*HELD),
        positions=account.positions(f510300=8000, f510500=1000),
        cash="151,810.00",  # 150000 - 6020 - 5 + 7840 - 5
        orders=account.orders((TUE, "510300.SH", "sell", 2000), (TUE, "510500.SH", "buy", 1000)),
        write_holdings=str(tmp_path / "own.csv"),
    )
    assert done.code == 0, done.text
    assert done.text.endswith("All checked identities hold, and every order is filled.")
    own = holdings.read(
        str(tmp_path / "own.csv"),
        pool_of=SEEDS.pool_of,
        pools=set(SEEDS.weights),
        priced=set(SEEDS.pool_of),
    )
    assert own == {
        "A_SHARE": (101810.0, {"510300.SH": 8000.0, "510500.SH": 1000.0}),
        "QDII": (50000.0, {}),
    }


def test_the_next_day_opens_with_the_last_reconciled_close(account):
    first = slip(trade("510500", "买入", 6.02, 1000))
    account.reconcile(first, opening=account.opening(*HELD))
    done = account.reconcile(
        slip(trade("510500", "卖出", 6.05, 1000, date=WED)),
        positions=account.positions(f510300=10000),
        cash="150020.00",
        opening=account.opening("A_SHARE,CASH,1"),
    )
    assert done.code == 0, done.text
    assert "--opening is ignored" in done.text
    assert account.day(WED)["opening"] == account.day(TUE)["closing"]


def test_a_second_run_replaces_its_own_day_and_nothing_else(account):
    opening = account.opening(*HELD)
    account.reconcile(slip(trade("510500", "买入", 6.02, 1000)), opening=opening)
    account.reconcile(slip(), date="20230607")
    before = account.kept()
    again = account.reconcile(slip(trade("510500", "买入", 6.02, 900)), date="2023-06-06")
    assert "2023-06-07 was opened with a different close" in again.text
    assert again.code == 1
    after = account.kept()
    assert set(after) == set(before)
    changed = {path.name for path in after if after[path] != before[path]}
    assert changed == {"2023-06-06.json", "tracking.csv"}
    lines = account.store.tracking_path.read_text().splitlines()
    assert [line[:10] for line in lines[1:]] == ["2023-06-06", "2023-06-07"]
    # Without --opening the day opens as it did.
    assert account.day(TUE)["opening"]["shares"] == {"510300.SH": "10000"}


def test_sessions_in_between_are_reconciled_too(account):
    account.reconcile(
        slip(date := business("利息归本", 1, date=MON)), opening=account.opening(*HELD)
    )
    assert date
    done = account.reconcile(
        slip(trade("510500", "买入", 6.05, 1000, date=WED)),
        positions=account.positions(f510300=10000, f510500=1000),
        cash="143946.00",
    )
    assert done.code == 0, done.text
    assert account.store.sessions() == [MON, TUE, WED]
    assert account.day(TUE)["fills"] == []
    assert account.day(TUE)["positions"][0]["broker"] is None


# -- what does not add up --------------------------------------------------------------


def test_two_wrong_positions_that_offset_are_both_found(account):
    done = account.reconcile(
        slip(trade("510500", "买入", 6.02, 1000)),
        opening=account.opening(*HELD),
        positions=account.positions(f510300=9000, f510500=2000),
    )
    assert done.code == 1
    assert "510300.SH: 10000 shares expected, the broker states 9000 (-1000)" in done.text
    assert "510500.SH: 1000 shares expected, the broker states 2000 (+1000)" in done.text


def test_a_difference_recurs_until_it_is_accepted(account, tmp_path):
    own = tmp_path / "own.csv"
    options = {"positions": account.positions(f510300=9000), "cash": "150000.01"}
    options["write_holdings"] = str(own)
    opening = account.opening(*HELD)
    first = account.reconcile(slip(), date="2023-06-06", opening=opening, **options)
    assert (first.code, own.exists()) == (1, False)
    assert "cash: 150000.00 CNY expected, the broker states 150000.01 (+0.01)" in first.text
    second = account.reconcile(slip(), date="2023-06-07", **options)
    assert (second.code, own.exists()) == (1, False)
    accepted = account.reconcile(slip(), date="2023-06-07", accept=True, **options)
    assert accepted.code == 1
    assert own.read_text() == (
        "pool,symbol,shares\nA_SHARE,CASH,100000.01\nA_SHARE,510300.SH,9000\nQDII,CASH,50000.00\n"
    )
    # The fen went to one pool, whole.
    assert cash_of(account.day(WED))["A_SHARE"]["difference"] == "0.01"
    assert cash_of(account.day(WED))["QDII"]["difference"] is None


def test_an_unknown_word_is_named_with_its_cash_and_blocks_the_holdings(account, tmp_path):
    fills = slip(business("融券回购", -30000.30, code="204001"))
    options = {
        "opening": account.opening(*HELD),
        "positions": account.positions(f510300=10000),
        "cash": "119999.70",
        "write_holdings": str(tmp_path / "own.csv"),
    }
    done = account.reconcile(fills, **options)
    assert done.code == 1
    assert "line 2: unknown business word 融券回购, cash -30000.30 CNY" in done.text
    assert not (tmp_path / "own.csv").exists()
    # It is named once: the cash adds up with it.
    assert cash_of(account.day(TUE))["ACCOUNT"]["difference"] == "0.00"
    account.reconcile(fills, **options, accept=True)
    assert (tmp_path / "own.csv").exists()


def test_holdings_need_what_the_broker_states(account, tmp_path):
    done = account.reconcile(
        slip(trade("510500", "买入", 6.02, 1000)),
        opening=account.opening(*HELD),
        write_holdings=str(tmp_path / "own.csv"),
    )
    assert done.code == 1
    assert "the holdings were not written: give --positions and --cash" in done.text
    assert not (tmp_path / "own.csv").exists()


def test_a_symbol_of_no_pool_is_outside_and_its_cash_a_flow(account):
    fills = slip(
        trade("161725", "买入", 0.9, 1000), trade("204001", "卖出", 1.9, 1000, fees="0.10")
    )
    done = account.reconcile(
        fills,
        opening=account.opening(*HELD),
        positions=account.positions(f510300=10000, f161725=1000),
        cash="150994.90",
    )
    assert done.code == 0, done.text
    assert "161725.SZ: 1000 shares, outside" in done.text
    assert cash_of(account.day(TUE))["ACCOUNT"]["flows"] == "994.90"
    # Neither shares nor cash of it count as the account's return: 10,000 shares rose by
    # 0.04.
    live = account.day(TUE)["live"]
    assert Decimal(live["closing_value"]) - Decimal(live["opening_value"]) == Decimal("1394.90")
    assert live["flows"] == "994.90"


def test_a_trade_without_the_shares_for_it_is_a_break(account):
    done = account.reconcile(
        slip(trade("510300", "卖出", 3.92, 10100)), opening=account.opening(*HELD)
    )
    assert done.code == 1
    assert "510300.SH: sold 100 shares more than the account held" in done.text


def test_a_row_of_a_kept_day_that_came_late_is_a_break(account):
    one = trade("510500", "买入", 6.02, 1000)
    account.reconcile(slip(one, one), opening=account.opening(*HELD))
    same = account.reconcile(slip(one, one, business("利息归本", 1, date=WED)))
    assert same.code == 0, same.text
    assert "2 rows of 2023-06-06 are outside 2023-06-07 – 2023-06-07" in same.text
    late = account.reconcile(slip(one, one, one, business("利息归本", 1, date=WED)))
    assert late.code == 1
    assert "line 4: a row of 2023-06-06 that was missing" in late.text


def test_a_trade_on_no_session_is_a_break(account):
    # The fourth of June was a Sunday.
    fills = slip(trade("510300", "卖出", 3.9, 100, date=dt.date(2023, 6, 4)))
    done = account.reconcile(fills, opening=account.opening(*HELD), date="2023-06-05")
    assert done.code == 1
    assert "line 2: a trade on 2023-06-04, which is not a session" in done.text


# -- flows, dividends, splits ----------------------------------------------------------


def test_deposits_come_from_business_rows_and_from_flows(account):
    done = account.reconcile(
        slip(business("银行转存", 10000), business("银证转账", -500)),
        opening=account.opening(*HELD),
        flows=account.file("flows.csv", "date,amount,pool\n2023-06-06,300.01,QDII\n"),
        cash="159800.01",
    )
    assert done.code == 0, done.text
    lines = cash_of(account.day(TUE))
    # 0.7 and 0.3 of 9,500 CNY by the pools' weights, and what names its pool.
    assert [lines[pool]["flows"] for pool in ("A_SHARE", "QDII", "ACCOUNT")] == [
        "6650.00",
        "3150.01",
        "9800.01",
    ]


def test_an_amount_may_stand_for_a_file_of_flows(account):
    done = account.reconcile(
        slip(), date="2023-06-06", opening=account.opening(*HELD), flows="-1,000.00", cash="149000"
    )
    assert done.code == 0, done.text


def test_weekend_flows_are_booked_on_the_next_session(account):
    fills = slip(business("利息归本", 2.5, date=dt.date(2023, 6, 4)))
    done = account.reconcile(
        fills, opening=account.opening(*HELD), date="2023-06-05", cash="150002.50"
    )
    assert done.code == 0, done.text


def test_a_dividend_is_due_from_the_ex_day_until_its_cash_comes(account):
    write_bars(
        account.raw, {"510300.SH": [(MON, 3.9, 3.91), (TUE, 3.86, 3.86, 3.86), (WED, 3.86, 3.9)]}
    )
    done = account.reconcile(
        slip(),
        date="2023-06-06",
        opening=account.opening(*HELD),
        positions=account.positions(f510300=10000),
        cash="150000.00",
    )
    assert done.code == 0, done.text
    assert "510300.SH: ex-dividend, 0.050 CNY per share; 500.00 CNY receivable" in done.text
    live = account.day(TUE)["live"]
    # 3.91 a share before; 3.86 and 0.05 due after: nothing was made or lost.
    assert Decimal(live["opening_value"]) == Decimal(live["closing_value"]) == Decimal(189100)
    paid = account.reconcile(
        slip(business("红利入账", 500.0, code="510300", date=WED)),
        positions=account.positions(f510300=10000),
        cash="150500.00",
    )
    assert paid.code == 0, paid.text
    assert account.day(WED)["closing"]["receivables"] == []
    assert cash_of(account.day(WED))["A_SHARE"]["dividends"] == "500.00"


def test_a_deviating_dividend_payment_is_reported(account):
    write_bars(
        account.raw, {"510300.SH": [(MON, 3.9, 3.91), (TUE, 3.86, 3.86, 3.86), (WED, 3.86, 3.9)]}
    )
    account.reconcile(slip(), date="2023-06-06", opening=account.opening(*HELD))
    within = account.reconcile(slip(business("红利入账", 505.0, code="510300", date=WED)))
    assert "a dividend" not in within.text
    beyond = account.reconcile(slip(business("红利入账", 505.02, code="510300", date=WED)))
    assert "510300.SH: a dividend of 505.02 CNY was paid; 500.00 CNY were receivable" in beyond.text


SPLIT = dt.date(2022, 1, 14)  # of 513100.SH, 5 for 1, in the seed corporate_actions
SPLIT_BARS = {
    "513100.SH": [
        (dt.date(2022, 1, 12), 5.2, 5.192),
        # Suspended on the 13th; the ex-rights close holds the move of that session.
        (SPLIT, 1.010, 1.015, 1.038),
    ]
}


def test_a_split_comes_from_the_seed_and_trades_of_its_day_are_at_the_new_price(tmp_path):
    account = Account(tmp_path / "account")
    write_bars(account.raw, SPLIT_BARS)
    fills = slip(
        business("基金份额拆分", 0, code="513100", date=SPLIT, 成交数量="4000"),
        trade("513100", "卖出", 1.010, 500, date=SPLIT),
    )
    done = account.reconcile(
        fills,
        opening=account.opening("QDII,CASH,0", "QDII,513100.SH,1000", "A_SHARE,CASH,0"),
        positions=account.positions(f513100=4500),
        cash="500.00",
    )
    assert done.code == 0, done.text
    (line,) = account.day(SPLIT)["positions"]
    assert {name: Decimal(line[name]) for name in ("opening", "split", "sold", "closing")} == {
        "opening": 1000,
        "split": 4000,
        "sold": 500,
        "closing": 4500,
    }
    # 1,000 shares at 5.192 became 5,000: half a thousand sold at 1.010, the rest at
    # 1.015.
    live = account.day(SPLIT)["live"]
    profit = Decimal(live["closing_value"]) - Decimal(live["opening_value"])
    assert profit == Decimal("4500") * Decimal("1.015") + 500 - 5192


def test_a_split_that_the_seed_does_not_have_is_a_break_with_the_row_to_add(account):
    write_bars(account.raw, {"510300.SH": [(MON, 4.0, 4.0), (TUE, 2.0, 2.0, 2.0)]})
    done = account.reconcile(
        slip(business("份额拆分", 0, code="510300", 成交数量="10000")),
        opening=account.opening(*HELD),
        positions=account.positions(f510300=20000),
    )
    assert done.code == 1
    assert "this looks like a split: add the row 510300.SH,2023-06-06,2 to the seed" in done.text
    assert "line 2: a split of 510300.SH" in done.text
    assert account.day(TUE)["closing"]["receivables"] == []


def test_the_broker_rounds_the_fraction_of_a_share_left_by_a_split():
    session = dt.date(2021, 6, 25)  # 159928.SZ, 4 for 1
    bars = {"159928.SZ": [Bar(session, Decimal(1), Decimal(1), None)]}
    opening = Books({"159928.SZ": Decimal("100.1")}, {"A_SHARE": Decimal(0)})

    def settled(broker):
        day = Day(session, opening, [], [], Statement({"159928.SZ": broker}))
        done = settle(day, SEEDS, Prices(bars))
        return [f.key for f in done.findings if f.key != "split"], done.closing.shares

    assert settled(400) == (["split_rounding"], {"159928.SZ": 400})
    assert settled(401) == (["split_rounding"], {"159928.SZ": 401})
    assert settled(402) == (["position"], {"159928.SZ": 400})


def test_a_trade_of_less_than_a_lot_is_reported(account):
    done = account.reconcile(
        slip(trade("510300", "卖出", 3.92, 50)), opening=account.opening(*HELD)
    )
    assert "510300.SH: 50 shares are less than a lot" in done.text


# -- pools and the beginning -----------------------------------------------------------


def test_each_pool_has_the_cash_of_the_last_split_and_of_its_own_trades(account):
    account.reconcile(
        slip(trade("510500", "买入", 6.02, 1000), trade("513100", "买入", 1.12, 10000)),
        opening=account.opening(*HELD),
    )
    lines = cash_of(account.day(TUE))
    assert lines["A_SHARE"]["closing"] == "93975.00"
    assert lines["QDII"]["closing"] == "38795.00"


def test_a_pool_that_spent_the_others_cash_is_named_and_no_pool_is_below_zero(account):
    done = account.reconcile(
        slip(trade("513100", "买入", 1.12, 50000)), opening=account.opening(*HELD)
    )
    assert done.code == 0, done.text
    assert "QDII spent 6005.00 CNY more than its own cash" in done.text
    assert account.day(TUE)["closing"]["cash"] == {"A_SHARE": "93995.00", "QDII": "0.00"}


def test_transfers_add_up_to_zero_and_leave_no_pool_below_it():
    cash = {"A": Decimal(-10), "B": Decimal(7), "C": Decimal(5)}
    assert transfers(cash) == {"A": 10, "B": -7, "C": -3}
    # Of an account that is below zero itself nothing can be lent.
    assert set(transfers({"A": Decimal(-10), "B": Decimal(7)}).values()) == {0}


@given(st.integers(-(10**9), 10**9), st.lists(st.integers(1, 99), min_size=1, max_size=5))
def test_a_split_by_weight_adds_up_to_the_fen(fen, weights):
    amount = Decimal(fen) / 100
    pools = {f"P{n}": Decimal(weight) for n, weight in enumerate(weights)}
    split = split_by_weight(amount, pools)
    assert sum(split.values()) == amount
    total = sum(weights)
    for pool, part in split.items():
        assert abs(part - amount * pools[pool] / total) < Decimal("0.01") * (len(weights) + 1)


def test_an_unknown_opening_is_refused(account, capsys):
    done = account.reconcile(slip(trade("510500", "买入", 6.02, 1000)))
    assert done.code == 2
    assert "the holdings before 2023-06-06 are unknown" in capsys.readouterr().err
    assert not account.store.sessions()


def test_an_account_may_begin_with_what_the_broker_states(account, tmp_path):
    done = account.reconcile(
        slip(trade("510500", "买入", 6.02, 1000)),
        positions=account.positions(f510500=1000, f510300=10000),
        cash="143975.00",
        accept=True,
        write_holdings=str(tmp_path / "own.csv"),
    )
    assert done.code == 1
    assert "the account starts from the broker's statement" in done.text
    day = account.day(TUE)
    assert day["opening"]["shares"] == {"510300.SH": "10000"}
    # The pools come to 70% and 30% of 150,000 and 39,500 CNY in shares.
    assert day["opening"]["cash"] == {"A_SHARE": "93150.00", "QDII": "56850.00"}


def test_a_day_that_was_not_fetched_is_refused(account, capsys):
    done = account.reconcile(slip(), date="2023-06-08", opening=account.opening(*HELD))
    assert done.code == 2
    assert "has no bar of 2023-06-08 (its last session is 2023-06-07)" in capsys.readouterr().err


def test_a_fund_that_did_not_trade_is_held_at_its_last_close(account):
    write_bars(account.raw, {"510300.SH": [(MON, 3.90, 3.91)]})
    done = account.reconcile(
        slip(), date="2023-06-06", opening=account.opening(*HELD), cash="150000"
    )
    assert done.code == 0, done.text
    assert account.day(TUE)["live"]["closing_value"] == "189100.000"


# -- files that cannot be used ---------------------------------------------------------


def test_bad_files_are_one_line_each_and_nothing_is_written(account, capsys):
    account.reconcile(slip(), date="2023-06-05", opening=account.opening(*HELD))
    capsys.readouterr()
    before = account.kept()
    bad = trade("510300", "买入", 3.9, 100) | {"成交价格": "x"}
    done = account.reconcile(
        slip(bad, bad),
        positions=account.file("p.csv", "证券代码,股份余额\n51030x,1\n"),
        balance=account.file("b.csv", "资金余额\n"),
        flows=account.file("f.csv", "date,amount\n2023-06-06,1.234\n"),
        orders=account.file("o.csv", "order_id,code\n"),
        opening=account.file("h.csv", "pool,symbol,shares\nA_SHARE,510300.SH,-1\nQDII,CASH,x\n"),
        date="2023-06-06",
        write_holdings=str(account.folder / "own.csv"),
    )
    lines = capsys.readouterr().err.splitlines()
    assert done.code == 2
    names = [
        next(n for n in ("fills", "p.csv", "b.csv", "h.csv", "o.csv", "f.csv") if n in line)
        for line in lines
    ]
    assert names == ["fills", "p.csv", "b.csv", "h.csv", "o.csv", "f.csv"]
    assert account.kept() == before
    assert not (account.folder / "own.csv").exists()


def test_refusals_are_in_the_chosen_language(account, capsys):
    account.reconcile(slip(header=SLIP[:4]), opening=account.opening(*HELD), language="zh")
    assert "缺少列" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"date": "2023-06-04"}, "2023-06-04 is not a session"),
        ({"date": "tomorrow"}, "--date tomorrow is not a date"),
        ({"cash": "1.234"}, "--cash is not an amount of CNY"),
        ({"cash": "1", "balance": "b.csv"}, "--cash and --balance exclude each other"),
        ({}, "the file has no rows; name the session with --date"),
    ],
)
def test_an_invalid_option_is_rejected(account, capsys, options, said):
    done = account.reconcile(slip(), opening=account.opening(*HELD), **options)
    assert done.code == 2
    assert said in capsys.readouterr().err


def test_a_damaged_day_is_not_used_as_opening(account, capsys):
    account.reconcile(slip(), date="2023-06-05", opening=account.opening(*HELD))
    path = account.store.day_path(MON)
    path.write_bytes(path.read_bytes().replace(b"100000.00", b"900000.00"))
    done = account.reconcile(slip(), date="2023-06-06")
    assert done.code == 2
    assert "reconcile/days/2023-06-05.json does not match its checksum" in capsys.readouterr().err
    assert account.store.sessions() == [MON]


def test_a_damaged_day_further_back_is_named_and_keeps_its_row_of_the_tracking(account):
    account.reconcile(slip(), date="2023-06-05", opening=account.opening(*HELD))
    account.reconcile(slip(), date="2023-06-06")
    account.store.day_path(MON).write_text("{")
    # Nothing but the orders of the days before is read of it.
    with pytest.raises(Exception, match="does not match its checksum"):
        account.store.read_day(MON)
    rows = account.store.read_tracking()
    done = account.reconcile(slip(), date="2023-06-07")
    assert "reconcile/days/2023-06-05.json does not match its checksum" in done.text
    assert account.store.read_tracking()[:2] == rows


def test_no_account_number_is_kept_or_said(account, capsys, tmp_path):
    fills = slip(
        trade("510500", "买入", 6.02, 1000, 备注=f"account {ACCOUNT_NUMBER}"),
        business(f"转账{ACCOUNT_NUMBER}", 5),
        trade("161725", "买入", 0.9, 100),
    )
    done = account.reconcile(
        account.file(f"fills_{ACCOUNT_NUMBER}.txt", fills),
        opening=account.opening(*HELD),
        write_holdings=str(tmp_path / "own.csv"),
        accept=True,
    )
    assert "fills_A*.txt, line 3: unknown business word" in done.text
    kept = b"".join(account.kept().values()) + (tmp_path / "own.csv").read_bytes()
    assert ACCOUNT_NUMBER[1:] not in kept.decode() + done.text + capsys.readouterr().err


# -- a random month --------------------------------------------------------------------

SESSIONS = [dt.date(2023, 6, day) for day in (5, 6, 7, 8, 9, 12, 13, 14, 15, 16)]
FUNDS = ("510300.SH", "510500.SH", "513100.SH")


@st.composite
def months(draw):
    """Draw trades, dividends and flows, as (session, kind, fund, shares, milli-CNY, fen)."""
    events = []
    held = dict.fromkeys(FUNDS, 5_000)
    for session in SESSIONS:
        for _ in range(draw(st.integers(0, 4))):
            fund = draw(st.sampled_from(FUNDS))
            kind = draw(st.sampled_from(("buy", "sell", "dividend", "flow", "interest")))
            shares = draw(st.integers(1, 3_000))
            if kind == "sell":
                shares = min(shares, held[fund])
            if kind in ("buy", "sell"):
                held[fund] += shares if kind == "buy" else -shares
            price = draw(st.integers(500, 9_999))
            fen = draw(st.integers(1, 99_999))
            if shares:
                events.append((session, kind, fund, shares, price, fen))
    return events


def written(events, encoding, separator, signed):
    """Write events as a 交割单; return it, with the fen that they move and the shares left."""
    rows, fen = [], 1_000_000_00
    held = dict.fromkeys(FUNDS, 5_000)
    words = {"buy": "买入", "sell": "卖出", "dividend": "红利入账", "interest": "利息归本"}
    for session, kind, fund, shares, price, amount in events:
        row = {"成交日期": f"{session:%Y-%m-%d}"}
        if kind in ("buy", "sell"):
            sign = 1 if kind == "buy" else -1
            value, charged = (shares * price + 5) // 10, amount % 2_000
            moved = -sign * value - charged
            held[fund] += sign * shares
            row |= {
                "证券代码": f'="{fund[:6]}"',
                "买卖标志": words[kind],
                "成交价格": f"{price / 1000:.3f}",
                "成交数量": f"{sign * shares if signed else shares:,}",
                "成交金额": f"{value / 100:,.2f}",
                "佣金": f"{charged / 100:.2f}",
            }
        else:
            moved = amount if kind != "flow" or price % 2 else -amount
            row |= {
                "证券代码": fund if kind == "dividend" else "",
                "买卖标志": words.get(kind, "银证转账"),
            }
        rows.append(row | {"发生金额": f"{moved / 100:.2f}"})
        fen += moved
    return slip(*rows, encoding=encoding, separator=separator), Decimal(fen) / 100, held


@settings(max_examples=60, deadline=None)
@given(
    events=months(),
    encoding=st.sampled_from(("gb18030", "utf-8-sig")),
    separator=st.sampled_from(("\t", ",")),
    signed=st.booleans(),
    stray=st.integers(-3, 3),
)
def test_a_random_month_adds_up_to_the_fen_and_one_fen_more_is_found(
    events, encoding, separator, signed, stray
):
    content, cash, held = written(events, encoding, separator, signed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "month.txt"
        path.write_bytes(content)
        entries = read_fills(str(path), SEEDS, None).entries
    bars = [Bar(session, Decimal(4), Decimal(4), None) for session in SESSIONS]
    prices = Prices(dict.fromkeys(FUNDS, bars))
    books = Books(
        {fund: Decimal(5_000) for fund in FUNDS},
        {"A_SHARE": Decimal(600_000), "QDII": Decimal(400_000)},
    )
    for session in SESSIONS:
        own = [entry for entry in entries if entry.trade_date == session]
        stated = Statement()
        if session == SESSIONS[-1]:
            stated = Statement(held, cash + Decimal(stray) / 100)
        settled = settle(Day(session, books, own, [], stated), SEEDS, prices)
        books = settled.closing
        assert sum(books.cash.values()) == settled.account.expected
    found = [(finding.key, finding.is_break) for finding in settled.findings if finding.is_break]
    assert found == ([("cash", True)] if stray else [])
    assert settled.account.difference == Decimal(stray) / 100
    assert {fund: books.shares.get(fund, 0) for fund in FUNDS} == held


def test_a_kept_day_reads_back_exactly(account):
    account.reconcile(slip(trade("510500", "买入", 6.02, 1000)), opening=account.opening(*HELD))
    day = account.day(TUE)
    assert Books.from_dict(day["closing"]).as_dict() == day["closing"]
    assert keys(day, breaks=True) == []
    json.dumps(day, allow_nan=False)
