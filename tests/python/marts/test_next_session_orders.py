"""Tomorrow's orders: hand-computed cases, and agreement with the simulation."""

import random
import re
from datetime import date, timedelta

import pyarrow as pa
import pytest
from etf_rotation.backtest.ledger import Rebalance, walk
from etf_rotation.backtest.prices import Bar
from etf_rotation.backtest.records import PARAMETERS_SCHEMA, Parameters, Target
from etf_rotation.marts import next_session
from etf_rotation.marts.holdings import Holdings
from etf_rotation.marts.next_session import Fund, Tranche

THURSDAY, FRIDAY, MONDAY = date(2021, 4, 1), date(2021, 4, 2), date(2021, 4, 5)
LATIN, ISO = re.compile("[A-Za-z]"), re.compile(r"\d{4}-\d\d-\d\d")
CODE = re.compile(r"\d{6}\.S[HZ]")
PARAMETERS = Parameters(
    strategy="rotation",
    pool="A_SHARE",
    target_capital=100_000.0,
    start_funds=1,
    max_single_weight=1.0,
    max_sector_weight=1.0,
    max_adv_pct=0.05,
    enforce_adv=True,
    carry_over=True,
    min_weight_change=0.01,
    slippage_bps=10.0,
    commission_bps=2.5,
    min_commission_cny=5.0,
    lot_size=100,
)
REBALANCE = Tranche("A_SHARE", 0, FRIDAY, THURSDAY, True, 9, MONDAY, True, 100_000.0)
NO_REBALANCE = REBALANCE._replace(is_rebalance=False, n_eligible=None)


def fund(symbol, close=2.0, shares=0.0, **values):
    row = Fund("A_SHARE", 0, symbol, THURSDAY, close, False, False, shares, *[None] * 11)
    return row._replace(**values)


def selected(symbol, weight, rank=1, adv20=1e12, **values):
    return fund(symbol, target_weight=weight, rank=rank, adv20=adv20, **values)


def unfilled(symbol, side, open_shares, sequence=1, why="suspended", **values):
    tried = {"open_sequence": sequence, "open_side": side, "open_shares": open_shares}
    return fund(symbol, **tried, open_weight=0.3, open_reason=why, **values)


def plan(*funds, session=REBALANCE, holdings=None, **parameters):
    parameters = Parameters(**{**vars(PARAMETERS), **parameters})
    found = next_session.next_orders([session], funds, parameters, holdings)
    for order in found:
        assert not LATIN.search(CODE.sub("", order.reason_zh)), order.reason_zh
        assert sorted(ISO.findall(order.reason_zh)) == sorted(ISO.findall(order.reason))
    return found


def brief(found):
    return [(o.symbol, o.side, o.shares, o.reason) for o in found]


def test_a_rebalance_trades_towards_the_targets_at_the_last_close():
    # Equity 50,000 + 10,000 * 2 + 10,000 * 2 + 1,000 * 10 = 100,000.
    found = plan(
        selected("A", 0.3, rank=2, shares=10_000.0),  # 15,000 shares wanted
        fund("B", shares=10_000.0),
        selected("C", 0.05, rank=3, close=10.0, shares=1_000.0),  # 500 wanted
        selected("D", 0.2, rank=1, close=3.0),  # 6,666.7
        session=REBALANCE._replace(cash=50_000.0),
    )
    assert brief(found) == [
        ("B", "sell", 10_000, "rebalance: exit"),
        ("C", "sell", 500, "rebalance: reduce"),
        ("D", "buy", 6_600, "rebalance: enter"),
        ("A", "buy", 5_000, "rebalance: increase"),
    ]
    assert [o.sequence for o in found] == [1, 2, 3, 4]
    assert [o.target_shares for o in found] == [0, 500, 6_600, 15_000]
    assert [o.target_weight for o in found] == [0, 0.05, 0.2, 0.3]
    assert {o.basis for o in found} == {"simulated"}


def test_a_change_of_up_to_one_percent_is_no_order_but_an_exit_is():
    # Equity 100,000; A is 400 shares (800 CNY) short, B is worth 200.
    found = plan(
        selected("A", 0.5, shares=24_600.0),
        fund("B", shares=100.0),
        session=REBALANCE._replace(cash=50_600.0),
    )
    assert brief(found) == [("B", "sell", 100, "rebalance: exit")]


def test_the_odd_part_that_a_dividend_left_is_sold_and_a_buy_stays_whole_lots():
    found = plan(
        fund("A", shares=1_234.5),
        selected("B", 0.5, shares=1_050.25),
        session=REBALANCE._replace(cash=95_430.5),  # equity 100,000
    )
    assert brief(found) == [
        ("A", "sell", 1_234.5, "rebalance: exit"),
        ("B", "buy", 23_900, "rebalance: increase"),  # 25,000 - 1,050.25, floored to lots
    ]


def test_the_weight_is_capped_by_adv_at_the_equity_of_the_last_close():
    (order,) = plan(selected("A", 0.5, adv20=400_000.0))
    assert order.target_weight == 0.2  # 5% of 400,000 is 20,000 of 100,000
    assert order.shares == 10_000


def test_a_buy_is_cut_to_what_cash_covers_and_says_so():
    (order,) = plan(selected("A", 1.0))
    # 49,900 shares at 2.002 cost 99,899.80 and 24.97 of commission; 50,000 would not
    # do.
    assert (order.shares, order.target_shares) == (49_900, 50_000)
    assert order.reason == "rebalance: enter, cut to what cash covers"


def test_a_buy_of_which_cash_covers_no_lot_stays_an_order_and_says_so():
    # A costs 6,006 and 5 of commission; 100 shares of B would cost 3,993.99 and 5.
    found = plan(
        selected("A", 0.6),
        selected("B", 0.4, rank=2, close=39.9),
        session=REBALANCE._replace(cash=10_000.0),
    )
    assert brief(found) == [
        ("A", "buy", 3_000, "rebalance: enter"),
        ("B", "buy", 100, "rebalance: enter, at the last close cash does not cover it"),
    ]


def test_before_the_first_rebalance_the_pool_begins_with_its_target_capital():
    (order,) = plan(selected("A", 0.5), session=REBALANCE._replace(has_begun=False))
    assert order.shares == 25_000


def test_too_few_eligible_funds_start_no_strategy():
    waiting = REBALANCE._replace(has_begun=False, n_eligible=2)
    (row,) = plan(selected("A", 0.5), session=waiting, start_funds=3)
    assert (row.symbol, row.sequence) == (None, 0)
    assert row.reason == (
        "no order: 2 funds are eligible for the rebalance on 2021-04-02, the first needs 3, "
        "next rebalance on 2021-04-05"
    )


def test_between_rebalances_there_is_no_order_but_the_next_rebalance_date():
    (row,) = plan(fund("A", shares=10.0), session=NO_REBALANCE)
    assert (row.symbol, row.side, row.shares, row.target_weight) == (None, None, None, None)
    assert row.reason == "no order: next rebalance on 2021-04-05"
    (row,) = plan(session=NO_REBALANCE._replace(next_rebalance_date=None))
    assert row.reason == "no order: the calendar holds no later rebalance"


def test_a_rebalance_that_changes_nothing_says_so():
    (row,) = plan(selected("A", 0.5, shares=25_000.0), session=REBALANCE._replace(cash=50_000.0))
    assert row.reason == (
        "no order: the rebalance on 2021-04-02 finds nothing to change, "
        "next rebalance on 2021-04-05"
    )


def test_orders_without_any_fill_are_tried_again_sells_first_then_as_they_were_tried():
    found = plan(
        unfilled("A", "buy", 700.0, sequence=7, why="limit_up"),
        unfilled("B", "buy", 500.0, sequence=6, shares=100.5),
        unfilled("C", "sell", 40.5, sequence=4, why="limit_down", shares=1_040.5),
        fund("D", shares=500.0),
        session=NO_REBALANCE,
    )
    assert brief(found) == [
        ("C", "sell", 40.5, "carry-over: limit_down on 2021-04-01"),
        ("B", "buy", 500, "carry-over: suspended on 2021-04-01"),
        ("A", "buy", 700, "carry-over: limit_up on 2021-04-01"),
    ]
    assert [o.target_shares for o in found] == [1_000, 600.5, 700]
    assert {o.target_weight for o in found} == {0.3}


def test_without_carry_over_nothing_is_tried_again():
    (row,) = plan(unfilled("A", "buy", 700.0), session=NO_REBALANCE, carry_over=False)
    assert row.symbol is None


def test_a_rebalance_replaces_unfilled_orders():
    found = plan(unfilled("A", "buy", 700.0), selected("B", 0.5))
    assert [o.symbol for o in found] == ["B"]


def test_a_buy_without_cash_is_retried_with_that_reason():
    (order,) = plan(
        unfilled("A", "buy", 100.0, why="cash"), session=NO_REBALANCE._replace(cash=150.0)
    )
    assert (order.side, order.shares) == ("buy", 100)
    assert order.reason == (
        "carry-over: cash on 2021-04-01, at the last close cash does not cover it"
    )


def test_a_fund_that_did_not_trade_on_the_last_session_is_marked():
    (order,) = plan(fund("A", shares=100.0, last_bar_date=date(2021, 3, 30)))
    assert order.reason == "rebalance: exit, no trade since 2021-03-30"


def test_own_holdings_replace_the_simulated_ones():
    own = Holdings(20_000.0, {"B": 5_000.0})  # equity 30,000
    found = plan(selected("A", 0.5, shares=10_000.0), fund("B", shares=7.0), holdings=own)
    assert brief(found) == [
        ("B", "sell", 5_000, "rebalance: exit"),
        ("A", "buy", 7_500, "rebalance: enter"),
    ]
    assert {o.basis for o in found} == {"holdings_file"}


def test_own_holdings_are_traded_on_rebalances_only():
    own = Holdings(20_000.0, {"B": 5_000.0})
    (row,) = plan(unfilled("A", "buy", 700.0), fund("B"), session=NO_REBALANCE, holdings=own)
    assert (row.symbol, row.basis) == (None, "holdings_file")
    assert row.reason == "no order: next rebalance on 2021-04-05"


def test_own_holdings_of_a_fund_that_has_ended_are_neither_ordered_nor_counted():
    gone = date(2020, 11, 2)
    own = Holdings(20_000.0, {"B": 5_000.0, "C": 90_000.0})
    ended = fund("C", has_ended=True, last_bar_date=gone)
    found = plan(selected("A", 0.5), fund("B"), ended, holdings=own)
    # Half of 20,000 + 5,000 * 2.
    assert brief(found) == [
        ("B", "sell", 5_000, "rebalance: exit"),
        ("A", "buy", 7_500, "rebalance: enter"),
    ]


def test_an_order_for_a_fund_that_may_end_on_the_session_says_so():
    ending = fund("510300.SH", shares=100.0, ends_next=True, last_bar_date=date(2021, 1, 4))
    (order,) = plan(ending)
    assert order.reason == (
        "rebalance: exit, no trade since 2021-01-04, 510300.SH counts as ended and is paid "
        "out at its last close if it has no row on 2021-04-02"
    )
    assert order.reason_zh.endswith(
        "若 2021-04-02 仍没有数据，510300.SH 视为终止，按最后收盘价兑付"
    )
    (row,) = plan(ending, session=NO_REBALANCE)
    assert row.reason == (
        "no order: next rebalance on 2021-04-05, 510300.SH counts as ended and is paid "
        "out at its last close if it has no row on 2021-04-02"
    )
    (row,) = plan(ending._replace(shares=0.0), session=NO_REBALANCE)
    assert row.reason == "no order: next rebalance on 2021-04-05"


@pytest.mark.parametrize("seed", range(40))
def test_orders_equal_the_simulation_if_funds_open_at_their_last_close(seed):
    rng = random.Random(seed)
    symbols = "ABCDEF"
    days = [date(2021, 3, 1) + timedelta(days=n) for n in range(8)]
    bars, close, adj = {}, dict.fromkeys(symbols, 2.0), dict.fromkeys(symbols, 1.0)
    for day in days[:-1]:
        bars[day] = {}
        for symbol in symbols:
            if day == days[0] or rng.random() < 0.8:
                price = round(close[symbol] * rng.uniform(0.95, 1.05), 3)
                adj[symbol] *= rng.choice([1.0, 1.0, 1.013])
                limit = rng.choice([None, 0.5])  # every buy is at its limit-up
                bars[day][symbol] = Bar(price, price, adj[symbol], limit, None)
                close[symbol] = price
    # On the next session every fund trades and opens at its last close.
    bars[days[-1]] = {s: Bar(close[s], close[s], adj[s], None, None) for s in symbols}
    rebalances = {days[1], days[4], *([days[7]] if seed % 2 else [])}
    targets = {
        day: {
            symbol: Target(days[days.index(day) - 1], 1 / 3, rank, rng.choice([1e12, 4e5]))
            for rank, symbol in enumerate(rng.sample(symbols, 3), start=1)
        }
        for day in sorted(rebalances)
    }
    rebalanced = [Rebalance(0, day, 6) for day in sorted(rebalances)]
    ledger = walk(bars, days, rebalanced, {0: targets}, PARAMETERS)

    known = [entry for entry in ledger if entry.trade_date == days[-2]]
    held = {e.symbol: e.shares for e in known if e.kind == "position"}
    tried = {e.symbol: e for e in known if e.kind == "rejected"}
    (cash,) = (e.cash for e in known if e.kind == "session")
    funds = []
    for symbol in symbols:
        row = fund(symbol, close=close[symbol], shares=held.get(symbol, 0.0))
        if symbol in tried:
            e = tried[symbol]
            row = row._replace(
                open_sequence=e.sequence,
                open_side=e.side,
                open_shares=e.shares,
                open_reason=e.reason,
            )
        target = targets.get(days[-1], {}).get(symbol)
        if target:
            row = row._replace(
                target_weight=target.target_weight, rank=target.rank, adv20=target.adv20
            )
        funds.append(row)
    is_rebalance = days[-1] in rebalances
    session = Tranche("A_SHARE", 0, days[-1], days[-2], is_rebalance, 6, None, True, cash)
    planned = plan(*funds, session=session)

    done = [
        (e.symbol, e.side, e.shares)
        for e in ledger
        if e.trade_date == days[-1] and e.kind in ("trade", "rejected")
    ]
    assert [(o.symbol, o.side, o.shares) for o in planned if o.symbol] == done
    assert done or planned[0].sequence == 0


def tables(**changes):
    tranches = pa.Table.from_pylist(
        [s._asdict() for s in (REBALANCE, REBALANCE._replace(pool="QDII", cash=50_000.0))],
        schema=next_session.TRANCHES_SCHEMA,
    )
    funds = [selected("A", 0.5), selected("B", 0.5)._replace(pool="QDII")]
    parameters = [{**vars(PARAMETERS), "pool": pool} for pool in ("QDII", "A_SHARE")]
    return {
        "tranches": tranches,
        "funds": pa.Table.from_pylist(
            [f._asdict() for f in funds], schema=next_session.FUNDS_SCHEMA
        ),
        "parameters": pa.Table.from_pylist(parameters, schema=PARAMETERS_SCHEMA),
        "holdings": {},
        **changes,
    }


def test_every_pool_of_a_table_is_planned_with_its_own_basis():
    table = next_session.next_orders_of_all(**tables(holdings={"QDII": Holdings(10_000.0, {})}))
    assert table.schema == next_session.ORDERS_SCHEMA
    assert [(o["pool"], o["basis"], o["symbol"], o["shares"]) for o in table.to_pylist()] == [
        ("A_SHARE", "simulated", "A", 25_000),
        ("QDII", "holdings_file", "B", 2_500),
    ]


def test_a_rebalance_without_a_count_of_eligible_funds_is_refused():
    broken = REBALANCE._replace(n_eligible=None)
    tranches = pa.Table.from_pylist([broken._asdict()], schema=next_session.TRANCHES_SCHEMA)
    with pytest.raises(ValueError, match="pool A_SHARE.*a rebalance without n_eligible"):
        next_session.next_orders_of_all(**tables(tranches=tranches))


def of_tranche(tranche, *funds):
    return [row._replace(tranche=tranche) for row in funds]


def wanted_before(symbol, weight, **values):
    """A fund with a target of the last rebalance and none of this session."""
    return fund(symbol, last_weight=weight, rank=1, adv20=1e12, **values)


TWO = Parameters(**{**vars(PARAMETERS), "tranches": 2})
# Each tranche has half of the capital; the second one is not rebalanced on the session.
TRANCHES = [
    REBALANCE._replace(cash=30_000.0),
    NO_REBALANCE._replace(tranche=1, cash=50_000.0),
]


def test_the_orders_of_the_tranches_are_netted():
    funds = [
        # Equity 30,000 + 10,000 * 2 = 50,000; 0.5 of it are 12,500 shares.
        *of_tranche(0, selected("A", 0.5), fund("B", shares=10_000.0)),
        *of_tranche(1, unfilled("A", "buy", 4_000.0), unfilled("B", "buy", 3_000.0, sequence=2)),
    ]
    found = next_session.next_orders(TRANCHES, funds, TWO)
    assert brief(found) == [
        (
            "B",
            "sell",
            7_000,
            "rebalance: exit; carry-over: suspended on 2021-04-01, tranche 0 and 1",
        ),
        (
            "A",
            "buy",
            16_500,
            "rebalance: enter; carry-over: suspended on 2021-04-01, tranche 0 and 1",
        ),
    ]
    assert [o.target_shares for o in found] == [3_000, 16_500]
    # The weight of the strategy: the halves of 0 and 0.3, and of 0.5 and 0.3.
    assert [o.target_weight for o in found] == pytest.approx([0.15, 0.4])


def test_orders_of_two_tranches_that_cancel_out_are_none():
    funds = [
        *of_tranche(0, fund("B", shares=10_000.0)),
        *of_tranche(1, unfilled("B", "buy", 10_000.0)),
    ]
    (row,) = next_session.next_orders(TRANCHES, funds, TWO)
    assert row.symbol is None
    assert row.reason.startswith("no order: the rebalance on 2021-04-02 finds nothing to change")


def test_own_holdings_target_the_mean_of_the_tranches_weights():
    own = Holdings(50_000.0, {"B": 5_000.0, "C": 10_000.0, "D": 10_000.0})  # equity 100,000
    funds = [
        *of_tranche(0, selected("A", 0.4), wanted_before("B", 0.4), fund("C"), fund("D")),
        *of_tranche(1, fund("A"), fund("B"), wanted_before("C", 0.4), fund("D")),
    ]
    found = next_session.next_orders(TRANCHES, funds, TWO, own)
    # A: 0.2 of 100,000 are 10,000 shares. B is wanted by no tranche any more, nor is D.
    # C keeps its 0.2, for its tranche is not rebalanced.
    assert [(o.symbol, o.side, o.shares, o.target_weight) for o in found] == [
        ("B", "sell", 5_000, 0),
        ("D", "sell", 10_000, 0),
        ("A", "buy", 10_000, pytest.approx(0.2)),
    ]


def test_own_holdings_buy_no_fund_that_has_ended_since_a_tranche_wanted_it():
    gone = wanted_before("C", 0.4, has_ended=True)
    funds = [*of_tranche(0, selected("A", 0.4), gone), *of_tranche(1, fund("A"), gone)]
    found = next_session.next_orders(TRANCHES, funds, TWO, Holdings(100_000.0, {}))
    assert brief(found) == [("A", "buy", 10_000, "rebalance: enter")]


def test_a_tranche_that_has_not_begun_waits_for_enough_funds_and_the_others_trade():
    waiting = REBALANCE._replace(tranche=1, has_begun=False, n_eligible=0, cash=50_000.0)
    funds = [*of_tranche(0, selected("A", 0.5)), *of_tranche(1, selected("A", 0.5))]
    (order,) = next_session.next_orders([TRANCHES[0], waiting], funds, TWO)
    assert order.shares == 7_500  # 0.5 of 30,000 at 2.00
