"""The simulation: hand-computed cases first, then properties of any history."""

import random
from dataclasses import asdict
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from etf_rotation.backtest.entries import LEDGER_SCHEMA
from etf_rotation.backtest.ledger import (
    REBALANCES_SCHEMA,
    SESSIONS_SCHEMA,
    TARGETS_SCHEMA,
    Rebalance,
    run,
    walk,
)
from etf_rotation.backtest.prices import BARS_SCHEMA, ENDINGS_SCHEMA, Bar
from etf_rotation.backtest.records import PARAMETERS_SCHEMA, Parameters, Target

DAYS = [date(2021, 3, 1) + timedelta(days=n) for n in range(400)]
PARAMETERS = {
    "strategy": "rotation",
    "pool": "A_SHARE",
    "target_capital": 100_000.0,
    "start_funds": 1,
    "tranches": 1,
    "weighting": "equal",
    "redistribute": False,
    "max_single_weight": 1.0,
    "max_sector_weight": 1.0,
    "max_adv_pct": 0.05,
    "enforce_adv": True,
    "carry_over": True,
    "min_weight_change": 0.01,
    "slippage_bps": 10.0,
    "commission_bps": 2.5,
    "min_commission_cny": 5.0,
    "lot_size": 100,
}
AMPLE_ADV = 1e12


def bar(open_, close=None, adj=1.0, up=None, down=None):
    return Bar(open_, open_ if close is None else close, adj, up, down)


def simulate(funds, rebalances, n_eligible=9, adv20=AMPLE_ADV, endings=(), **parameters):
    """Simulate funds given as one bar or None per session; the first has no rebalance.

    `rebalances` is {session: {symbol: weight, best first}}, `endings` [(session,
    symbol)].
    """
    ended = [(DAYS[n], symbol) for n, symbol in endings]
    count = max(len(history) for history in funds.values())
    bars = {
        DAYS[n]: {s: h[n] for s, h in funds.items() if n < len(h) and h[n] is not None}
        for n in range(count)
    }
    targets = {
        DAYS[n]: {
            symbol: Target(DAYS[n - 1], weight, rank, adv20)
            for rank, (symbol, weight) in enumerate(weights.items(), start=1)
        }
        for n, weights in rebalances.items()
    }
    return walk(
        bars,
        DAYS[:count],
        [Rebalance(0, DAYS[n], n_eligible) for n in rebalances],
        {0: targets},
        Parameters(**{**PARAMETERS, **parameters}),
        ended,
    )


def entries(ledger, kind, day=None):
    return [e for e in ledger if e.kind == kind and day in (None, DAYS.index(e.trade_date))]


def orders(ledger):
    """Every attempt: (session, symbol, side, shares, obstacle, or None where it filled)."""
    return [
        (
            DAYS.index(e.trade_date),
            e.symbol,
            e.side,
            e.shares,
            e.reason if e.kind == "rejected" else None,
        )
        for e in ledger
        if e.kind in ("trade", "rejected")
    ]


def in_sequence(ledger):
    return [e for e in ledger if e.sequence is not None]


def shares_held(ledger, day):
    return {e.symbol: e.shares for e in entries(ledger, "position", day)}


def session(ledger, day):
    (entry,) = entries(ledger, "session", day)
    return entry


def test_a_buy_pays_slippage_upwards_and_commission():
    ledger = simulate({"A": [bar(2.0), bar(2.0, 2.1)]}, {1: {"A": 0.5}})
    (trade,) = entries(ledger, "trade")
    assert (trade.side, trade.shares) == ("buy", 25_000)  # 0.5 * 100,000 / 2.00
    assert trade.price == pytest.approx(2.002)  # 2.00 * 1.001
    assert trade.value == pytest.approx(50_050)
    assert trade.commission == pytest.approx(12.5125)  # 2.5 bp
    assert trade.slippage == pytest.approx(50)  # 25,000 * 0.002
    close = session(ledger, 1)
    assert close.cash == pytest.approx(100_000 - 50_050 - 12.5125)
    assert close.holdings_value == pytest.approx(52_500)  # 25,000 * 2.10
    assert close.equity == pytest.approx(102_437.4875)
    assert close.price_pnl == pytest.approx(2_500)  # 25,000 * (2.10 - 2.00)


def test_a_sell_pays_slippage_downwards_and_commission():
    ledger = simulate({"A": [bar(2.0), bar(2.0), bar(3.0)]}, {1: {"A": 0.5}, 2: {}})
    trade = entries(ledger, "trade")[-1]
    assert (trade.side, trade.shares) == ("sell", 25_000)
    assert trade.price == pytest.approx(2.997)  # 3.00 * 0.999
    assert trade.commission == pytest.approx(18.73125)  # 2.5 bp of 74,925
    assert trade.slippage == pytest.approx(75)
    assert session(ledger, 2).cash == pytest.approx(49_937.4875 + 74_925 - 18.73125)
    assert shares_held(ledger, 2) == {}


def test_a_small_fill_pays_the_minimum_commission():
    ledger = simulate({"A": [bar(1.0), bar(1.0)]}, {1: {"A": 0.1}})
    (trade,) = entries(ledger, "trade")
    assert trade.value == pytest.approx(10_010)  # 2.5 bp of it are 2.5025
    assert trade.commission == 5


def test_target_shares_are_whole_lots_rounded_down():
    ledger = simulate({"A": [bar(3.0), bar(3.0)]}, {1: {"A": 0.5}})
    (target,) = entries(ledger, "rebalance")
    assert target.target_shares == 16_600  # 50,000 / 3.00 = 16,666.7
    assert shares_held(ledger, 1) == {"A": 16_600}


def test_a_rounding_error_below_a_whole_lot_counts_as_that_lot():
    assert 0.33 * 100_000 / 1.1 / 100 < 300  # 299.99999999999994
    ledger = simulate({"A": [bar(1.1), bar(1.1)]}, {1: {"A": 0.33}})
    assert entries(ledger, "rebalance")[0].target_shares == 30_000


def test_the_rebalance_row_holds_both_equities_and_the_price():
    funds = {"A": [bar(1.0), bar(1.0, 1.2), bar(1.5)]}
    ledger = simulate(funds, {1: {"A": 0.5}, 2: {"A": 0.5}})
    first, second = entries(ledger, "rebalance")
    assert (first.equity, first.equity_as_of, first.price) == (100_000, 100_000, 1.0)
    cash = 100_000 - 50_000 * 1.001 - 12.5125
    assert second.equity_as_of == pytest.approx(cash + 50_000 * 1.2)
    assert second.equity == pytest.approx(cash + 50_000 * 1.5)
    # 0.5 * 124,937.4875 / 1.5 = 41,645.8
    assert (second.price, second.target_shares) == (1.5, 41_600)


def test_sells_come_first_by_symbol_then_buys_by_rank():
    flat = [bar(1.0)] * 3
    ledger = simulate(
        {"A": flat, "B": flat, "C": flat, "D": flat},
        {1: {"D": 0.4, "B": 0.4}, 2: {"C": 0.4, "A": 0.4}},
    )
    assert [(e.side, e.symbol) for e in entries(ledger, "trade")] == [
        ("buy", "D"),
        ("buy", "B"),
        ("sell", "B"),
        ("sell", "D"),
        ("buy", "C"),
        ("buy", "A"),
    ]


def test_the_start_waits_for_enough_eligible_funds_and_emits_nothing_before():
    funds = {"A": [bar(1.0)] * 4, "B": [bar(1.0)] * 4}
    bars = {DAYS[n]: {s: h[n] for s, h in funds.items()} for n in range(4)}
    targets = {DAYS[n]: {"A": Target(DAYS[n - 1], 0.5, 1, AMPLE_ADV)} for n in (1, 2, 3)}
    # One eligible fund is too few for the start, but enough afterwards.
    rebalances = [
        Rebalance(0, DAYS[1], 1),
        Rebalance(0, DAYS[2], 2),
        Rebalance(0, DAYS[3], 1),
    ]
    parameters = Parameters(**{**PARAMETERS, "start_funds": 2})
    ledger = walk(bars, DAYS[:4], rebalances, {0: targets}, parameters)
    assert min(e.trade_date for e in ledger) == DAYS[2]
    assert [e.trade_date for e in entries(ledger, "session")] == [DAYS[2], DAYS[3]]
    assert [DAYS.index(e.trade_date) for e in entries(ledger, "rebalance")] == [2, 3]
    numbered = in_sequence(ledger)
    assert [e.sequence for e in numbered] == list(range(len(numbered)))


def test_a_pool_that_never_has_enough_eligible_funds_has_an_empty_ledger():
    assert simulate({"A": [bar(1.0)] * 3}, {1: {"A": 0.5}}, n_eligible=4, start_funds=5) == []


def test_an_empty_selection_sells_everything():
    flat = [bar(1.0)] * 3
    ledger = simulate({"A": flat, "B": flat}, {1: {"A": 0.3, "B": 0.3}, 2: {}}, n_eligible=2)
    assert orders(ledger)[2:] == [(2, "A", "sell", 30_000, None), (2, "B", "sell", 30_000, None)]
    assert [(e.symbol, e.target_weight) for e in entries(ledger, "rebalance", 2)] == [
        ("A", 0.0),
        ("B", 0.0),
    ]
    assert session(ledger, 2).holdings_value == 0


def test_a_buy_at_limit_up_is_rejected_then_carried_over_and_filled():
    funds = {"A": [bar(1.0), bar(1.1, up=1.1), bar(1.21, up=1.21), bar(1.25, up=1.331)]}
    ledger = simulate(funds, {1: {"A": 0.5}})
    # 50,000 / 1.10 = 45,454.5: the target stays what the rebalance fixed.
    assert orders(ledger) == [
        (1, "A", "buy", 45_400, "limit_up"),
        (2, "A", "buy", 45_400, "limit_up"),
        (3, "A", "buy", 45_400, None),
    ]
    attempts = [e for e in ledger if e.kind in ("trade", "rejected")]
    assert [e.is_carry_over for e in attempts] == [False, True, True]
    assert session(ledger, 2).equity == 100_000


def test_a_limit_is_compared_with_the_price_rounded_to_a_tick():
    noisy = 1.0999999999999996
    ledger = simulate({"A": [bar(1.0), bar(noisy, up=1.1)]}, {1: {"A": 0.5}})
    assert entries(ledger, "rejected")[0].reason == "limit_up"


def test_a_sell_at_limit_down_is_rejected_then_carried_over_and_filled():
    funds = {"A": [bar(1.0), bar(1.0), bar(0.9, down=0.9), bar(0.81, down=0.81), bar(0.8)]}
    ledger = simulate(funds, {1: {"A": 0.5}, 2: {}})
    assert orders(ledger)[1:] == [
        (2, "A", "sell", 50_000, "limit_down"),
        (3, "A", "sell", 50_000, "limit_down"),
        (4, "A", "sell", 50_000, None),
    ]
    assert shares_held(ledger, 3) == {"A": 50_000}
    assert shares_held(ledger, 4) == {}


def test_limit_up_stops_buys_only_and_limit_down_stops_sells_only():
    funds = {
        "A": [bar(1.0), bar(0.9, up=1.1, down=0.9), bar(0.99, up=0.99, down=0.81)],
    }
    ledger = simulate(funds, {1: {"A": 0.5}, 2: {}})
    assert orders(ledger) == [(1, "A", "buy", 55_500, None), (2, "A", "sell", 55_500, None)]


def test_a_null_price_limit_stops_no_order():
    funds = {"A": [bar(1.0, up=None, down=None), bar(9.0), bar(0.1)]}
    ledger = simulate(funds, {1: {"A": 0.5}, 2: {}})
    assert [reason for *_, reason in orders(ledger)] == [None, None]


def test_a_fund_suspended_at_the_rebalance_is_valued_at_its_last_close_and_carried():
    funds = {"A": [bar(1.0, 1.25), None, None, bar(2.0)]}
    ledger = simulate(funds, {1: {"A": 0.5}})
    (target,) = entries(ledger, "rebalance")
    assert (target.price, target.target_shares) == (1.25, 40_000)  # 50,000 / 1.25
    assert orders(ledger) == [
        (1, "A", "buy", 40_000, "suspended"),
        (2, "A", "buy", 40_000, "suspended"),
        (3, "A", "buy", 40_000, None),
    ]


def test_a_held_fund_that_is_suspended_keeps_its_last_close():
    funds = {"A": [bar(1.0), bar(1.0, 1.1), None, bar(1.2)]}
    ledger = simulate(funds, {1: {"A": 0.5}, 2: {}})
    assert entries(ledger, "rebalance", 2)[0].price == 1.1
    (position,) = entries(ledger, "position", 2)
    assert (position.close, position.market_value) == (1.1, pytest.approx(55_000))
    assert session(ledger, 2).price_pnl == 0
    assert orders(ledger)[1:] == [
        (2, "A", "sell", 50_000, "suspended"),
        (3, "A", "sell", 50_000, None),
    ]


def test_a_split_doubles_the_shares_and_keeps_the_equity():
    funds = {"A": [bar(2.0), bar(2.0), bar(1.0, adj=2.0)]}
    ledger = simulate(funds, {1: {"A": 0.5}})
    assert shares_held(ledger, 1) == {"A": 25_000}
    assert shares_held(ledger, 2) == {"A": 50_000}
    before, after = session(ledger, 1), session(ledger, 2)
    assert after.equity == before.equity
    assert after.corporate_action_value == pytest.approx(25_000)  # 25,000 added * 2.00 / 2
    assert after.price_pnl == pytest.approx(-25_000)  # 25,000 * (1.00 - 2.00)


def test_a_dividend_is_reinvested_at_pre_close_and_shares_are_not_rounded():
    # 0.10 of a close of 2.00: pre_close 1.90, ratio 2.00 / 1.90.
    funds = {"A": [bar(2.0), bar(2.0), bar(1.9, 1.95, adj=2.0 / 1.9)]}
    ledger = simulate(funds, {1: {"A": 0.5}})
    assert shares_held(ledger, 2)["A"] == pytest.approx(26_315.78947368421)  # 25,000 / 0.95
    after = session(ledger, 2)
    assert after.corporate_action_value == pytest.approx(2_500)  # the cash paid, 25,000 * 0.10
    # 25,000 * (1.90 - 2.00) + 26,315.79 * (1.95 - 1.90)
    assert after.price_pnl == pytest.approx(-2_500 + 26_315.78947368421 * 0.05)
    assert after.equity - session(ledger, 1).equity == pytest.approx(1_315.789473684)


def test_a_split_during_a_suspension_takes_effect_at_the_next_bar():
    funds = {"A": [bar(2.0), bar(2.0), None, bar(1.1, adj=2.0)]}
    ledger = simulate(funds, {1: {"A": 0.5}})
    assert shares_held(ledger, 2) == {"A": 25_000}
    assert session(ledger, 2).equity == session(ledger, 1).equity
    assert shares_held(ledger, 3) == {"A": 50_000}
    assert session(ledger, 3).equity - session(ledger, 2).equity == pytest.approx(5_000)


def test_the_target_of_a_pending_buy_follows_a_split():
    funds = {"A": [bar(2.0), None, bar(1.0, adj=2.0)]}
    ledger = simulate(funds, {1: {"A": 0.5}})
    assert orders(ledger) == [(1, "A", "buy", 25_000, "suspended"), (2, "A", "buy", 50_000, None)]


def test_the_target_of_a_pending_partial_sell_follows_a_split_like_the_shares():
    funds = {"A": [bar(2.0), bar(2.0), None, bar(1.0, adj=2.0)]}
    ledger = simulate(funds, {1: {"A": 0.5}, 2: {"A": 0.1}})
    # Equity 99,937.4875: the target is 0.1 of it / 2.00 = 4,996.9, in lots 4,900.
    assert orders(ledger)[1:] == [
        (2, "A", "sell", 20_100, "suspended"),
        (3, "A", "sell", 40_200, None),
    ]
    assert shares_held(ledger, 3) == {"A": 9_800}


def test_a_pending_buy_is_floored_to_lots_after_a_dividend():
    funds = {"A": [bar(2.0), None, bar(1.9, adj=2.0 / 1.9)]}
    ledger = simulate(funds, {1: {"A": 0.5}})
    # 25,000 * 2.00 / 1.90 = 26,315.8
    assert orders(ledger)[1] == (2, "A", "buy", 26_300, None)


def test_a_pending_buy_lapses_if_a_consolidation_makes_it_less_than_a_lot():
    funds = {"A": [bar(10.0), None, bar(100.0, adj=0.1), bar(10.0, adj=1.0)]}
    ledger = simulate(funds, {1: {"A": 0.05}})
    assert orders(ledger) == [(1, "A", "buy", 500, "suspended")]


def test_a_sell_includes_the_odd_lot_and_a_buy_is_whole_lots():
    odd = 2.0 / 1.9
    flat = [bar(2.0), bar(2.0), bar(1.9, adj=odd), bar(1.9, adj=odd)]
    ledger = simulate({"A": flat}, {1: {"A": 0.5}, 2: {"A": 0.3}, 3: {"A": 0.6}})
    (_, _, _, sold, _), (_, _, _, bought, _) = orders(ledger)[1:]
    # 0.3 * 99,937.49 / 1.90 = 15,779.6 of 26,315.789 held
    assert sold == pytest.approx(26_315.78947368421 - 15_700)
    assert shares_held(ledger, 2) == {"A": 15_700}
    assert bought % 100 == 0


def test_a_sell_to_zero_leaves_no_odd_lot():
    odd = 2.0 / 1.9
    funds = {"A": [bar(2.0), bar(2.0), bar(1.9, adj=odd)]}
    ledger = simulate(funds, {1: {"A": 0.5}, 2: {}})
    assert entries(ledger, "trade")[-1].shares == pytest.approx(26_315.78947368421)
    assert shares_held(ledger, 2) == {}


def test_a_buy_shrinks_by_lots_until_cash_covers_it_and_leaves_no_rejection():
    ledger = simulate({"A": [bar(1.0), bar(1.0)]}, {1: {"A": 1.0}})
    # 100,000 wanted; 99,900 cost 99,999.90 + 24.999975 > 100,000; 99,800 cost 99,899.80
    # + 24.97.
    assert orders(ledger) == [(1, "A", "buy", 99_800, None)]
    assert session(ledger, 1).cash == pytest.approx(100_000 - 99_899.80 - 24.97495)


def test_a_shrunk_buy_is_not_retried():
    ledger = simulate({"A": [bar(1.0), bar(1.0), bar(0.5)]}, {1: {"A": 1.0}})
    assert orders(ledger) == [(1, "A", "buy", 99_800, None)]


def test_cash_that_covers_a_buy_exactly_is_enough():
    free = {"slippage_bps": 0.0, "commission_bps": 0.0, "min_commission_cny": 0.0}
    ledger = simulate({"A": [bar(0.7), bar(0.7)]}, {1: {"A": 1.0}}, target_capital=7_000.0, **free)
    assert orders(ledger) == [(1, "A", "buy", 10_000, None)]
    assert session(ledger, 1).cash == 0


def test_a_buy_without_cash_for_one_lot_is_rejected_and_carried_over():
    # The first fund's target takes all the cash but 75.23; a lot of the second costs
    # 100.10 + 5.
    funds = {"A": [bar(1.0)] * 3, "B": [bar(1.0), bar(1.0), bar(0.5)]}
    ledger = simulate(funds, {1: {"A": 1.0, "B": 0.1}})
    assert orders(ledger) == [
        (1, "A", "buy", 99_800, None),
        (1, "B", "buy", 10_000, "cash"),
        (2, "B", "buy", 100, None),  # 50.05 + 5 of 75.23
    ]
    assert session(ledger, 2).cash == pytest.approx(75.22505 - 55.05)


def test_a_target_of_less_than_one_lot_is_no_order():
    ledger = simulate({"A": [bar(60.0), bar(60.0)]}, {1: {"A": 0.05}})
    assert entries(ledger, "rebalance")[0].target_shares == 0  # 5,000 / 60.00 = 83.3
    assert orders(ledger) == []


def test_a_sell_is_rejected_if_its_commission_exceeds_proceeds_and_cash():
    # A consolidation leaves 1 share worth 1.00; the commission is 5.00, the cash 0.00.
    funds = {"A": [bar(1.0), bar(1.0), bar(1.0, adj=0.01), bar(9.0, adj=0.01)]}
    free = {"target_capital": 105.1, "min_weight_change": 0.0}
    ledger = simulate(funds, {1: {"A": 1.0}, 2: {}}, **free)
    assert session(ledger, 1).cash == pytest.approx(0, abs=1e-9)  # 105.10 - 100.10 - 5.00
    assert orders(ledger)[1:] == [(2, "A", "sell", 1.0, "cash"), (3, "A", "sell", 1.0, None)]
    assert session(ledger, 3).cash == pytest.approx(8.991 - 5)


def test_a_change_of_at_most_one_percent_of_equity_is_skipped():
    # 50,000 shares are held; equity is 100,000 - 50 - 12.5125 = 99,937.4875, 1% of it
    # 999.37.
    flat = [bar(1.0), bar(1.0), bar(1.0)]
    for weight, target, change in ((0.509, 50_800, []), (0.511, 51_000, [1_000])):
        ledger = simulate({"A": flat}, {1: {"A": 0.5}, 2: {"A": weight}})
        assert entries(ledger, "rebalance", 2)[0].target_shares == target
        assert [trade.shares for trade in entries(ledger, "trade", 2)] == change


def test_a_change_of_exactly_one_percent_is_skipped():
    free = {"slippage_bps": 0.0, "commission_bps": 0.0, "min_commission_cny": 0.0}
    flat = [bar(1.0), bar(1.0), bar(1.0)]
    ledger = simulate({"A": flat}, {1: {"A": 0.5}, 2: {"A": 0.51}}, **free)
    assert entries(ledger, "rebalance", 2)[0].target_shares == 51_000
    assert entries(ledger, "trade", 2) == []


def test_a_tiny_position_is_sold_to_zero_however_small():
    funds = {"A": [bar(1.0), bar(1.0), bar(0.5)]}
    ledger = simulate(funds, {1: {"A": 0.011}, 2: {}})
    # 1,100 * 0.50 = 550, less than 1% of equity
    assert orders(ledger) == [(1, "A", "buy", 1_100, None), (2, "A", "sell", 1_100, None)]


def test_a_weight_is_capped_at_max_adv_pct_of_adv20():
    ledger = simulate({"A": [bar(1.0), bar(1.0)]}, {1: {"A": 0.5}}, adv20=400_000.0)
    (target,) = entries(ledger, "rebalance")
    assert target.target_weight == pytest.approx(0.2)  # 0.05 * 400,000 / 100,000
    assert target.target_shares == 20_000


def test_the_cap_uses_the_equity_at_the_previous_close():
    funds = {"A": [bar(1.0), bar(1.0, 2.0), bar(4.0)]}
    ledger = simulate(funds, {1: {"A": 0.5}, 2: {"A": 0.5}}, adv20=900_000.0)
    capped = entries(ledger, "rebalance", 2)[0]
    # 0.05 * 900,000 = 45,000 at first; then of cash 54,943.73875 + 45,000 * 2.00 at the
    # close
    equity_as_of = 100_000 - 45_000 * 1.001 - 11.26125 + 90_000
    assert capped.equity_as_of == pytest.approx(equity_as_of)
    assert capped.target_weight == pytest.approx(45_000 / equity_as_of)


def test_a_liquid_fund_keeps_its_weight():
    ledger = simulate({"A": [bar(1.0), bar(1.0)]}, {1: {"A": 0.5}}, adv20=1_000_001.0)
    assert entries(ledger, "rebalance")[0].target_weight == 0.5


def test_without_enforce_adv_no_weight_is_capped_and_no_adv_is_needed():
    for adv20 in (400_000.0, None):
        funds, rebalances = {"A": [bar(1.0), bar(1.0)]}, {1: {"A": 0.5}}
        ledger = simulate(funds, rebalances, adv20=adv20, enforce_adv=False)
        assert entries(ledger, "rebalance")[0].target_weight == 0.5


def test_without_carry_over_an_unfilled_order_lapses():
    funds = {"A": [bar(1.0), None, bar(1.0), bar(1.0)]}
    ledger = simulate(funds, {1: {"A": 0.5}}, carry_over=False)
    assert orders(ledger) == [(1, "A", "buy", 50_000, "suspended")]


def test_the_next_rebalance_supersedes_a_pending_buy():
    funds = {"A": [bar(1.0), None, None, bar(1.0)], "B": [bar(1.0)] * 4}
    ledger = simulate(funds, {1: {"A": 0.5}, 2: {"B": 0.5}})
    assert orders(ledger) == [(1, "A", "buy", 50_000, "suspended"), (2, "B", "buy", 50_000, None)]
    # A is neither held nor selected on the second rebalance.
    assert [e.symbol for e in entries(ledger, "rebalance", 2)] == ["B"]


def test_the_next_rebalance_supersedes_a_pending_sell():
    funds = {"A": [bar(1.0), bar(1.0), None, None, bar(1.0)]}
    ledger = simulate(funds, {1: {"A": 0.5}, 2: {}, 3: {"A": 0.5}})
    # 0.5 of 99,937.4875 is 49,900 shares: the change from 50,000 is skipped, the sell
    # is gone.
    assert orders(ledger)[1:] == [(2, "A", "sell", 50_000, "suspended")]
    assert shares_held(ledger, 4) == {"A": 50_000}


def test_carried_over_sells_come_before_carried_over_buys():
    funds = {
        "A": [bar(1.0), bar(1.0), bar(1.0), bar(1.0)],
        "Z": [bar(1.0), bar(1.0), None, bar(1.0)],
    }
    ledger = simulate(funds, {1: {"Z": 0.999}, 2: {"A": 0.9}})
    # 0.9 * 99,875.22505 (after costs of 99.80 + 24.97495) = 89,887.7
    assert orders(ledger)[1:] == [
        (2, "Z", "sell", 99_800, "suspended"),
        (2, "A", "buy", 89_800, "cash"),
        (3, "Z", "sell", 99_800, None),
        (3, "A", "buy", 89_800, None),
    ]


def test_a_position_has_a_row_on_every_session_it_is_held():
    ledger = simulate({"A": [bar(1.0)] * 5}, {1: {"A": 0.5}, 4: {}})
    assert [DAYS.index(e.trade_date) for e in entries(ledger, "position")] == [1, 2, 3]
    assert [DAYS.index(e.trade_date) for e in entries(ledger, "session")] == [1, 2, 3, 4]


def test_a_rebalance_after_the_last_session_is_refused():
    with pytest.raises(ValueError, match="rebalances, pool A_SHARE: 2021-03-04 is not a session"):
        simulate({"A": [bar(1.0)] * 3}, {1: {"A": 0.5}, 3: {"A": 0.1}})


def reasons(ledger):
    return [(DAYS.index(e.trade_date), e.symbol, e.reason) for e in entries(ledger, "trade")]


def test_every_trade_names_its_reason():
    funds = {symbol: [bar(1.0)] * 5 for symbol in "AB"}
    rebalances = {1: {"A": 0.2}, 2: {"A": 0.4}, 3: {"A": 0.1, "B": 0.3}, 4: {"B": 0.3}}
    assert reasons(simulate(funds, rebalances)) == [
        (1, "A", "entered"),
        (2, "A", "increased"),
        (3, "A", "reduced"),
        (3, "B", "entered"),
        (4, "A", "left_selection"),
    ]


def test_a_fund_whose_target_is_less_than_one_lot_is_reduced_and_has_not_left_the_selection():
    ledger = simulate({"A": [bar(1.0), bar(1.0), bar(2000.0)]}, {1: {"A": 0.5}, 2: {"A": 0.001}})
    assert orders(ledger)[-1] == (2, "A", "sell", 50_000, None)
    assert reasons(ledger)[-1] == (2, "A", "reduced")


def test_a_held_fund_that_ends_is_paid_out_at_its_last_close_without_costs():
    funds = {"A": [bar(1.0), bar(1.0), bar(1.2, 1.25), None, None], "B": [bar(3.0)] * 5}
    ledger = simulate(funds, {1: {"A": 0.5}}, endings=[(4, "A")])
    payout = entries(ledger, "trade")[-1]
    assert (payout.trade_date, payout.symbol) == (DAYS[4], "A")
    assert (payout.side, payout.reason, payout.is_carry_over) == ("sell", "ended", False)
    assert (payout.shares, payout.price, payout.value) == (50_000, 1.25, 62_500)
    assert (payout.commission, payout.slippage) == (0, 0)
    assert shares_held(ledger, 3) == {"A": 50_000}
    assert shares_held(ledger, 4) == {}
    before, after = session(ledger, 3), session(ledger, 4)
    assert after.equity == after.cash == pytest.approx(before.equity)
    assert after.price_pnl == after.corporate_action_value == after.commission == 0


def test_a_payout_keeps_the_fraction_that_a_dividend_left():
    funds = {"A": [bar(1.0), bar(1.0), bar(0.97, adj=1 / 0.97), None], "B": [bar(1.0)] * 4}
    ledger = simulate(funds, {1: {"A": 0.5}}, endings=[(3, "A")])
    assert entries(ledger, "trade")[-1].shares == pytest.approx(50_000 / 0.97)
    assert entries(ledger, "trade")[-1].shares % 1 != 0


def test_open_orders_of_a_fund_that_ends_lapse():
    funds = {"A": [bar(1.0), bar(1.0), None, None, None, bar(1.0)], "B": [bar(1.0)] * 6}
    ledger = simulate(funds, {1: {"A": 0.5}, 2: {}}, endings=[(4, "A")])
    assert orders(ledger)[1:] == [
        (2, "A", "sell", 50_000, "suspended"),
        (3, "A", "sell", 50_000, "suspended"),
        (4, "A", "sell", 50_000, None),
    ]
    assert reasons(ledger)[-1] == (4, "A", "ended")
    pending_buy = simulate(funds, {2: {"A": 0.5}}, endings=[(4, "A")])
    assert [n for n, *_ in orders(pending_buy)] == [2, 3]
    assert shares_held(pending_buy, 5) == {}


def test_the_cash_of_a_payout_is_invested_by_a_rebalance_of_the_same_session():
    funds = {"A": [bar(1.0), bar(1.0), None, None], "B": [bar(1.0)] * 4}
    ledger = simulate(funds, {1: {"A": 0.9}, 3: {"B": 0.9}}, endings=[(3, "A")])
    assert [(e.kind, e.symbol) for e in in_sequence(ledger) if e.trade_date == DAYS[3]] == [
        ("trade", "A"),
        ("rebalance", "B"),
        ("trade", "B"),
        ("position", "B"),
        ("session", None),
    ]
    (aim,) = entries(ledger, "rebalance", 3)
    assert aim.equity == pytest.approx(aim.equity_as_of)
    assert shares_held(ledger, 3)["B"] == pytest.approx(0.9 * aim.equity, abs=100)


def test_an_order_for_a_fund_that_ends_on_the_session_of_the_rebalance_lapses():
    ledger = simulate({"A": [bar(1.0), None, bar(1.0)]}, {1: {"A": 0.5}}, endings=[(1, "A")])
    assert orders(ledger) == []


def test_a_fund_that_comes_back_after_it_ended_is_bought_again():
    funds = {"A": [bar(1.0), bar(1.0), None, None, bar(2.0, adj=3.0), bar(2.0, adj=3.0)]}
    funds["B"] = [bar(1.0)] * 6
    ledger = simulate(funds, {1: {"A": 0.5}, 5: {"A": 0.5}}, endings=[(3, "A")])
    assert reasons(ledger) == [(1, "A", "entered"), (3, "A", "ended"), (5, "A", "entered")]
    # The adjustment in between met no shares.
    assert session(ledger, 4).corporate_action_value == 0


def test_the_end_of_a_fund_that_is_not_held_changes_nothing():
    funds = {"A": [bar(1.0)] * 5, "B": [bar(1.0), bar(1.0), None, None, None]}
    without = simulate(funds, {1: {"A": 0.5}})
    assert simulate(funds, {1: {"A": 0.5}}, endings=[(3, "B"), (2, "C")]) == without


@pytest.mark.parametrize(
    ("ending", "message"),
    [((9, "A"), "2021-03-10, symbol A: not a session"), ((2, "A"), "symbol A: the fund has a bar")],
)
def test_an_impossible_ending_is_rejected(ending, message):
    with pytest.raises(ValueError, match=message):
        simulate({"A": [bar(1.0)] * 3}, {1: {"A": 0.5}}, endings=[ending])


# From here on the input is tables, as in the models.

POOLS = {
    "A_SHARE": {"target_capital": 700_000.0, "start_funds": 3, "max_adv_pct": 0.05},
    "QDII": {"target_capital": 20_000.0, "start_funds": 2, "max_adv_pct": 0.03},
}


def ragged_history(pool, seed, n_sessions=250, n_funds=8):
    """Funds with every event: late listing, suspension, split, dividend, limits, ending."""
    rng = random.Random(seed)
    bars, endings, sessions, rebalances, targets = [], [], [], [], []
    top_n = POOLS[pool]["start_funds"]
    close = {f"{pool}{n}": rng.uniform(0.6, 4) for n in range(n_funds)}
    adj = dict.fromkeys(close, 1.0)
    listed = {symbol: rng.choice((0, 0, 0, n_sessions // 3)) for symbol in close}
    # Its last row, and the number of sessions without a row.
    ends = {symbol: (rng.randrange(90, 400), rng.choice((13, 60))) for symbol in close}
    for n, day in enumerate(DAYS[:n_sessions]):
        is_rebalance = n % 10 == 7
        gone = {symbol for symbol, (end, length) in ends.items() if end < n <= end + length}
        known = [symbol for symbol in close if n > listed[symbol] and symbol not in gone]
        endings += [(pool, day, symbol) for symbol, (end, _) in ends.items() if n == end + 12]
        sessions.append((pool, day))
        if is_rebalance:
            rebalances.append(("rotation", pool, 0, day, len(known)))
        if is_rebalance and rng.random() < 0.9:
            for rank, symbol in enumerate(rng.sample(known, top_n), start=1):
                aim = 1 / top_n, rank, rng.choice((1e8, 2e6, 1e5))
                targets.append(("rotation", pool, 0, day, symbol, DAYS[n - 1], *aim, 1.0, None))
        for symbol, last_close in close.items():
            if n < listed[symbol] or symbol in gone or rng.random() < 0.08:
                continue
            ratio = rng.choice((1.0,) * 30 + (2.0, 0.5, 1.03, 1.007))
            adj[symbol] *= ratio
            pre_close = last_close / ratio
            up, down = round(pre_close * 1.1, 3), round(pre_close * 0.9, 3)
            open_ = min(max(round(pre_close * rng.gauss(1, 0.06), 3), down), up)
            close[symbol] = min(max(round(open_ * rng.gauss(1, 0.03), 3), down, 0.05), up)
            limits = (None, None) if n == listed[symbol] else (up, down)
            bars.append((pool, day, symbol, open_, close[symbol], adj[symbol], *limits))
    return bars, endings, sessions, rebalances, targets


def tables(*histories, **changes):
    of_events = [sum(parts, []) for parts in zip(*histories, strict=True)]
    with_sessions = {pool for pool, _ in of_events[2]}
    parameters = [
        {**PARAMETERS, "pool": pool, **own, **changes}
        for pool, own in POOLS.items()
        if pool in with_sessions
    ]
    schemas = BARS_SCHEMA, ENDINGS_SCHEMA, SESSIONS_SCHEMA, REBALANCES_SCHEMA, TARGETS_SCHEMA
    return [
        pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema)
        for rows, schema in zip(of_events, schemas, strict=True)
    ] + [pa.Table.from_pylist(parameters, PARAMETERS_SCHEMA)]


def until(table, day):
    return table.filter(pc.field("trade_date") <= pa.scalar(day))


def what_stays(ledger):
    """Return the rows that later sessions cannot change: all but `tranche_position`."""
    return ledger.filter(pc.field("kind") != "tranche_position")


def of_pool(table, pool):
    return table.filter(pc.field("pool") == pool)


A_SHARE = ragged_history("A_SHARE", seed=1)
QDII = ragged_history("QDII", seed=9)


def test_the_random_history_holds_every_event():
    ledger = run(*tables(A_SHARE, QDII))
    assert set(ledger["reason"].to_pylist()) == {
        None,
        "suspended",
        "limit_up",
        "limit_down",
        "cash",
        "entered",
        "increased",
        "left_selection",
        "reduced",
        "ended",
    }
    assert set(ledger["kind"].to_pylist()) == {
        "rebalance",
        "trade",
        "rejected",
        "position",
        "session",
        "tranche",
        "tranche_position",
    }
    assert True in ledger.filter(pc.field("kind") == "trade")["is_carry_over"].to_pylist()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("carry_over", [True, False])
def test_money_adds_up_on_every_session_of_any_history(seed, carry_over):
    history = ragged_history("A_SHARE", seed), ragged_history("QDII", seed + 100)
    ledger = run(*tables(*history, carry_over=carry_over)).to_pylist()
    equity = {pool: own["target_capital"] for pool, own in POOLS.items()}
    cash = dict(equity)
    held = dict.fromkeys(POOLS, 0.0)
    for entry in ledger:
        pool = entry["pool"]
        if entry["kind"] == "trade":
            sign = 1 if entry["side"] == "buy" else -1
            cash[pool] -= sign * entry["value"] + entry["commission"]
            assert entry["shares"] > 0
            assert cash[pool] >= -1e-6
        elif entry["kind"] == "position":
            assert entry["shares"] > 0
            assert entry["market_value"] == entry["shares"] * entry["close"]
            held[pool] += entry["market_value"]
        elif entry["kind"] == "session":
            explained = entry["price_pnl"] + entry["corporate_action_value"]
            explained -= entry["commission"] + entry["slippage"]
            assert entry["equity"] - equity[pool] == pytest.approx(explained, abs=1e-6)
            assert entry["equity"] == entry["cash"] + entry["holdings_value"]
            assert entry["holdings_value"] == pytest.approx(held[pool], abs=1e-6)
            assert entry["cash"] == pytest.approx(cash[pool], abs=1e-6)
            assert entry["cash"] >= 0
            equity[pool], held[pool] = entry["equity"], 0.0


@pytest.mark.parametrize("seed", range(4))
def test_shares_change_only_by_trades_and_corporate_actions(seed):
    history = ragged_history("A_SHARE", seed)
    factors = {(day, symbol): adj for _, day, symbol, _, _, adj, *_ in history[0]}
    expected, last = {}, {}
    ledger = run(*tables(history)).to_pylist()
    for day in DAYS[:250]:
        today = [entry for entry in ledger if entry["trade_date"] == day]
        for symbol in list(expected):
            expected[symbol] *= factors.get((day, symbol), last[symbol]) / last[symbol]
        last.update({s: adj for (date_, s), adj in factors.items() if date_ == day})
        for entry in today:
            if entry["kind"] == "trade":
                sign = 1 if entry["side"] == "buy" else -1
                bought = sign * entry["shares"]
                expected[entry["symbol"]] = expected.get(entry["symbol"], 0) + bought
        expected = {symbol: shares for symbol, shares in expected.items() if abs(shares) > 1e-6}
        positions = {e["symbol"]: e["shares"] for e in today if e["kind"] == "position"}
        assert positions == pytest.approx(expected)


@pytest.mark.parametrize("last", [7, 8, 26, 27, 28, 100, 112, 113, 177, 180, 248])
def test_truncating_the_input_keeps_every_bit_of_the_remaining_rows(last):
    *inputs, parameters = tables(A_SHARE, QDII)
    full = run(*inputs, parameters)
    cut = run(*(until(table, DAYS[last]) for table in inputs), parameters)
    assert what_stays(cut).equals(what_stays(until(full, DAYS[last])))
    assert what_stays(cut).num_rows > 0


def test_targets_of_tomorrow_change_nothing_today():
    *inputs, parameters = tables(A_SHARE, QDII)
    # Sessions, bars and endings stop a session before rebalances and targets do.
    cut = [
        until(table, DAYS[last]) for table, last in zip(inputs, (26, 26, 26, 27, 27), strict=True)
    ]
    for table in inputs[3:]:
        assert until(table, DAYS[27]).num_rows > until(table, DAYS[26]).num_rows
    expected = until(run(*inputs, parameters), DAYS[26])
    assert what_stays(run(*cut, parameters)).equals(what_stays(expected))


def test_a_fund_that_is_never_selected_changes_no_bit():
    bars, *others = A_SHARE
    extra = [(pool, day, "000000", 7.7, 7.9, 1.0, None, None) for pool, day in others[1]]
    assert run(*tables((bars + extra, *others))).equals(run(*tables(A_SHARE)))


def test_another_pool_changes_no_bit():
    alone, both = run(*tables(A_SHARE)), run(*tables(A_SHARE, QDII))
    assert of_pool(both, "A_SHARE").equals(alone)
    assert set(both["pool"].to_pylist()) == {"A_SHARE", "QDII"}


def test_the_order_of_the_input_does_not_matter():
    inputs = tables(A_SHARE, QDII)
    rng = random.Random(3)
    shuffled = [table.take(rng.sample(range(len(table)), len(table))) for table in inputs]
    assert run(*shuffled).equals(run(*inputs))


def test_the_table_is_the_ledger_of_the_walk():
    *inputs, parameters = tables(A_SHARE)
    ledger = run(*inputs, parameters)
    by_day = {day: {} for day in DAYS}
    for _, day, symbol, *values in A_SHARE[0]:
        by_day[day][symbol] = Bar(*values)
    _, endings, sessions, rebalances, targets = A_SHARE
    walked = walk(
        {day: by_day[day] for day in DAYS[:250]},
        [day for _, day in sessions],
        [Rebalance(*values) for _, _, *values in rebalances],
        {
            0: {
                day: {t[4]: Target(*t[5:]) for t in targets if t[3] == day}
                for _, _, _, day, _ in rebalances
            }
        },
        Parameters(**parameters.to_pylist()[0]),
        [ending[1:] for ending in endings],
    )
    assert ledger.schema == LEDGER_SCHEMA
    assert ledger.to_pylist() == [entry._asdict() for entry in walked]


def test_no_rebalances_give_an_empty_ledger_with_its_schema():
    bars, endings, sessions, *_ = A_SHARE
    ledger = run(*tables((bars, endings, sessions, [], [])))
    assert ledger.num_rows == 0
    assert ledger.schema == LEDGER_SCHEMA


def test_no_strategies_give_an_empty_ledger_with_its_schema():
    ledger = run(*tables(([], [], [], [], [])))
    assert ledger.num_rows == 0
    assert ledger.schema == LEDGER_SCHEMA


def small_tables():
    bars = [("QDII", DAYS[n], "513100.SH", 1.0, 1.0, 1.0, 1.1, 0.9) for n in range(3)]
    endings = [("QDII", DAYS[2], "513500.SH")]
    sessions = [("QDII", DAYS[n]) for n in range(3)]
    rebalances = [("rotation", "QDII", 0, DAYS[1], 6)]
    fund = "rotation", "QDII", 0, DAYS[1], "513100.SH"
    targets = [(*fund, DAYS[0], 0.3, 1, 1e9, 1.0, None)]
    return tables((bars, endings, sessions, rebalances, targets))


def with_value(table, column, row, value):
    values = table[column].to_pylist()
    values[row] = value
    type_ = table.schema.field(column).type
    return table.set_column(table.column_names.index(column), column, pa.array(values, type_))


NAMES = ("bars", "endings", "sessions", "rebalances", "targets", "parameters")
FUND_ON_DAY_2 = "pool QDII, trade_date 2021-03-02, symbol 513100.SH: "


@pytest.mark.parametrize(
    ("name", "column", "row", "value", "message"),
    [
        ("bars", "open", 1, -1.0, FUND_ON_DAY_2 + "open is not above zero"),
        ("bars", "close", 1, 0.0, FUND_ON_DAY_2 + "close is not above zero"),
        ("bars", "close", 1, None, FUND_ON_DAY_2 + "close is null"),
        ("bars", "adj", 1, 0.0, FUND_ON_DAY_2 + "adj is not above zero"),
        ("bars", "adj", 1, float("nan"), FUND_ON_DAY_2 + "adj is not finite"),
        ("bars", "limit_up", 1, float("inf"), FUND_ON_DAY_2 + "limit_up is not finite"),
        ("bars", "limit_down", 1, -0.1, FUND_ON_DAY_2 + "limit_down is not above zero"),
        ("bars", "pool", 1, "OTHER", "pool OTHER, trade_date 2021-03-02.*: unknown pool"),
        ("bars", "trade_date", 2, DAYS[1], FUND_ON_DAY_2 + "more than one row"),
        ("bars", "trade_date", 2, DAYS[9], "2021-03-10, symbol 513100.SH: not a session"),
        ("targets", "pool", 0, "OTHER", "pool OTHER, .*symbol 513100.SH: unknown pool"),
        ("targets", "symbol", 0, "000000", "symbol 000000: no bar so far"),
        ("targets", "trade_date", 0, DAYS[2], "2021-03-03.*: not a rebalance session"),
        ("targets", "as_of_date", 0, DAYS[1], FUND_ON_DAY_2 + "as_of_date 2021-03-02 is not"),
        ("targets", "target_weight", 0, -0.1, FUND_ON_DAY_2 + "target_weight is below 0"),
        ("targets", "target_weight", 0, 1.1, FUND_ON_DAY_2 + "target_weight is above 1"),
        ("targets", "adv20", 0, -1.0, FUND_ON_DAY_2 + "adv20 is below zero"),
        ("targets", "adv20", 0, None, FUND_ON_DAY_2 + "no adv20"),
        ("rebalances", "n_eligible", 0, None, "QDII, trade_date 2021-03-02: n_eligible is null"),
        ("rebalances", "trade_date", 0, DAYS[0], "2021-03-02.*: not a rebalance session of tr"),
        ("sessions", "trade_date", 2, DAYS[1], "QDII, trade_date 2021-03-02: more than one row"),
        ("endings", "trade_date", 0, DAYS[9], "2021-03-10, symbol 513500.SH: not a session"),
        ("endings", "symbol", 0, "513100.SH", "2021-03-03, symbol 513100.SH: the fund has a bar"),
        ("endings", "pool", 0, "OTHER", "pool OTHER, .*symbol 513500.SH: unknown pool"),
        ("sessions", "pool", 0, "OTHER", "pool OTHER, .*: unknown pool, it has no parameters"),
        ("parameters", "pool", 0, "OTHER", "pool OTHER: unknown pool, it has no sessions"),
        ("parameters", "lot_size", 0, 0, "pool QDII: lot_size is not above zero"),
        ("parameters", "slippage_bps", 0, -1.0, "pool QDII: slippage_bps is below zero"),
        ("parameters", "target_capital", 0, None, "pool QDII: target_capital is null"),
    ],
)
def test_bad_input_is_refused_with_pool_fund_and_date(name, column, row, value, message):
    inputs = small_tables()
    position = NAMES.index(name)
    # Built without the schema, whose non-null columns would reject the bad value.
    table = inputs[position].cast(
        pa.schema([field.with_nullable(True) for field in inputs[position].schema])
    )
    inputs[position] = with_value(table, column, row, value)
    with pytest.raises(ValueError, match=message):
        run(*inputs)


def test_a_fault_in_the_second_of_two_pools_names_its_fund_and_date():
    inputs = [
        pa.concat_tables([first, second])
        for first, second in zip(tables(A_SHARE), small_tables(), strict=True)
    ]
    inputs[4] = with_value(inputs[4], "adv20", -1, None)
    with pytest.raises(ValueError, match=FUND_ON_DAY_2 + "no adv20"):
        run(*inputs)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_column_is_named(name):
    inputs = small_tables()
    position = NAMES.index(name)
    column = inputs[position].column_names[-1]
    inputs[position] = inputs[position].drop([column])
    with pytest.raises(ValueError, match=f"{name}: no column {column}"):
        run(*inputs)


def test_the_unchanged_test_tables_are_valid():
    assert run(*small_tables()).num_rows > 0
    assert asdict(Parameters(**PARAMETERS)) == PARAMETERS
