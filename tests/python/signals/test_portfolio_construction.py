"""Portfolio construction: hand-computed figures from the specification."""

from datetime import date, timedelta

import pyarrow as pa
import pytest
from etf_rotation.backtest.ledger import Rebalance, walk
from etf_rotation.backtest.prices import Bar
from etf_rotation.backtest.records import Parameters, Target
from etf_rotation.signals.decisions import (
    CANDIDATES_SCHEMA,
    SESSIONS_SCHEMA,
    STRATEGIES_SCHEMA,
    select_all,
)
from etf_rotation.signals.weights import Cap, Limits, redistribute

DAYS = [date(2021, 3, 1) + timedelta(days=n) for n in range(60)]
RULES = {
    "strategy": "kept",
    "pool": "A_SHARE",
    "start_funds": 2,
    "top_n": 2,
    "keep_rank": 2.0,
    "weighting": "equal",
    "redistribute": True,
    "tranches": 1,
    "max_single_weight": 0.5,
    "max_sector_weight": 1.0,
    "max_broad_funds": 9,
}


# -------- hysteresis


def decided(*rankings, sectors=None, tranches=None, **rules):
    """Reasons by session: each ranking is the eligible funds of a session, best first."""
    tranches = tranches or [0] * len(rankings)
    rules = RULES | {"tranches": max(tranches) + 1} | rules
    key = {"strategy": rules["strategy"], "pool": rules["pool"]}
    funds = sorted({symbol for ranking in rankings for symbol in ranking})
    candidates = [
        {
            **key,
            "trade_date": day,
            "symbol": symbol,
            "rank": ranking.index(symbol) + 1 if symbol in ranking else None,
            "ineligible": None if symbol in ranking else "no_bar",
            "raw_value": None,
            "category": (sectors or {}).get(symbol, symbol),
            "is_broad": False,
        }
        for day, ranking in zip(DAYS, rankings, strict=False)
        for symbol in funds
    ]
    sessions = [
        {**key, "tranche": tranche, "trade_date": day}
        for day, tranche in zip(DAYS, tranches, strict=False)
    ]
    table = select_all(
        pa.Table.from_pylist([rules], STRATEGIES_SCHEMA),
        pa.Table.from_pylist(sessions, SESSIONS_SCHEMA),
        pa.Table.from_pylist(candidates, CANDIDATES_SCHEMA),
    )
    found = [{} for _ in rankings]
    for row in table.to_pylist():
        if row["reason"] != "no_bar":
            found[DAYS.index(row["trade_date"])][row["symbol"]] = row["reason"]
    return found


def held(reasons):
    return {symbol: why for symbol, why in reasons.items() if why in ("selected", "kept")}


@pytest.mark.parametrize(
    ("ranking", "is_kept"),
    [
        # keep_rank × top_n is 4, half of the funds 4: rank 4 stays.
        ("CDEAFGHB", True),
        # Rank 5 lies beyond both.
        ("CDEFAGHB", False),
        # Of 7 funds the better half ends at 3.5: rank 4 leaves, rank 3 stays.
        ("CDEAFGB", False),
        ("CDAEFGB", True),
        # Of 3 funds the better half is 1.5, and never fewer than top_n: rank 2 stays, 3
        # leaves.
        ("CAB", True),
        ("CDA", False),
    ],
)
def test_a_selected_fund_stays_within_the_multiple_and_the_better_half(ranking, is_kept):
    _, reasons = decided("ABCDEFGH", ranking)
    if is_kept:
        assert held(reasons) == {"A": "kept", "C": "selected"}
    else:
        assert held(reasons) == {"C": "selected", "D": "selected"}
        assert reasons["A"] == "top_n_filled"


def test_a_multiple_that_is_no_whole_number_ends_before_it():
    # 1.5 × 3 = 4.5: rank 4 stays, rank 5 leaves.
    _, reasons = decided("ABCDEFGHIJ", "DEFABGHIJC", keep_rank=1.5, top_n=3, start_funds=3)
    assert held(reasons) == {"A": "kept", "D": "selected", "E": "selected"}


def test_a_multiple_that_doubles_miss_is_met():
    # 1.16 × 25 is 29, in doubles 28.999999999999996.
    funds = [f"F{n:02d}" for n in range(60)]
    later = funds[1:29] + funds[:1] + funds[29:]
    rules = {"keep_rank": 1.16, "top_n": 25, "start_funds": 25, "max_single_weight": 1.0}
    _, reasons = decided(funds, later, **rules)
    assert reasons["F00"] == "kept"


def test_kept_funds_come_before_better_ones_of_their_sector():
    # 0.5 each; a sector of 0.5 holds one. B is kept, so the better C finds its sector
    # full.
    sectors = {"B": "bank", "C": "bank"}
    _, reasons = decided("ABDCEFGH", "CABDEFGH", sectors=sectors, max_sector_weight=0.5)
    assert held(reasons) == {"A": "kept", "B": "kept"}
    assert reasons["C"] == "top_n_filled"
    _, reasons = decided("BDACEFGH", "CDBAEFGH", sectors=sectors, max_sector_weight=0.5, top_n=3)
    assert held(reasons) == {"D": "kept", "B": "kept", "A": "kept"}


def test_a_fund_that_was_not_eligible_in_between_is_not_kept():
    _, _, reasons = decided("ABCDEFGH", "BCDEFGH", "CDEABFGH")
    # B was selected last time and now has rank 5; A has rank 4 and is not remembered.
    assert held(reasons) == {"C": "kept", "D": "selected"}


def test_selections_before_the_first_session_of_the_tranche_are_not_remembered():
    # The account begins with 4 eligible funds; what was selected on Monday was never
    # bought.
    _, reasons, later = decided("ABC", "CDEABFGH", "DECABFGH", start_funds=4)
    assert held(reasons) == {"C": "selected", "D": "selected"}
    assert held(later) == {"C": "kept", "D": "kept"}


def test_tranches_remember_apart_and_from_their_own_first_session():
    # Tranche 1 is asked first, before the strategy begins with tranche 0: nothing is
    # remembered.
    rankings = ["ABCDEFGH", "BCADEFGH", "CDABEFGH"]
    _, first, second = decided(*rankings, tranches=[1, 0, 1])
    assert held(first) == {"B": "selected", "C": "selected"}
    assert held(second) == {"C": "selected", "D": "selected"}


def test_without_hysteresis_nothing_is_kept():
    _, reasons = decided("ABCDEFGH", "CABDEFGH", keep_rank=1.0)
    assert held(reasons) == {"C": "selected", "A": "selected"}


# -------- redistribution


def test_bounds_of_categories_come_before_those_of_the_whole():
    # Bank: 0.4 for 3 to 1 is 0.3 and 0.1; A is fixed at 0.25, and B gets the other
    # 0.15. Then 1 for 3, 1, 1, 1: A and B at 0.25 and 0.15; 0.6 for C and D is 0.3
    # each, above 0.25.
    weights = redistribute(
        "own", [3.0, 1.0, 1.0, 1.0], ["bank", "bank", None, "tech"], Limits(0.25, 0.4)
    )
    assert weights == [0.25, 0.15, 0.25, 0.25]


def test_a_category_that_gets_less_than_its_bound_leaves_it_to_the_others():
    # Bank 0.6 for two: 0.3 each, which becomes their bound; 1 for four is 0.25 each,
    # below it.
    weights = redistribute("equal", [1.0] * 4, ["bank", "bank", "a", "b"], Limits(0.5, 0.6))
    assert weights == [0.25] * 4


def test_adv_caps_bind_beside_the_bounds_of_funds_and_categories():
    # A may take 0.05 × 400,000 / 4 / 100,000 = 0.05. Bank: 0.4 for A, B, C: A 0.05,
    # then 0.175 each. Of 1: A 0.05, B and C 0.175, D (a broad fund) at 0.3; E gets 0.3
    # too: 1 exactly.
    cap = Cap(max_adv_pct=0.05, adv20=400_000.0, tranches=4, equity=100_000.0)
    sectors = ["bank", "bank", "bank", None, "tech"]
    weights = redistribute("equal", [1.0] * 5, sectors, Limits(0.3, 0.4), {0: cap})
    assert weights == [0.05, 0.175, 0.175, 0.3, 0.3]


def test_if_all_funds_are_at_their_bounds_the_rest_is_cash():
    weights = redistribute("equal", [1.0] * 4, ["a", "a", "b", "b"], Limits(0.3, 0.4))
    assert weights == [0.2] * 4


def test_inverse_volatility_with_a_bound_shares_the_rest_in_proportion():
    # 1/0.01 : 1/0.02 : 1/0.04 = 4 : 2 : 1; 4/7 > 0.5, then 0.5 for 2 to 1.
    weights = redistribute("inverse_volatility", [0.01, 0.02, 0.04], [None] * 3, Limits(0.5, 1.0))
    assert weights == [0.5, 0.333333333333, 0.166666666666]


def test_the_order_of_the_funds_does_not_matter():
    values, sectors = [0.01, 0.02, 0.04, 0.013, 0.01], ["a", "b", "a", None, "b"]
    weights = redistribute("inverse_volatility", values, sectors, Limits(0.25, 0.4))
    turned = redistribute("inverse_volatility", values[::-1], sectors[::-1], Limits(0.25, 0.4))
    assert weights == turned[::-1]


# -------- tranches

PARAMETERS = {
    "strategy": "tranches",
    "pool": "A_SHARE",
    "target_capital": 100_000.0,
    "start_funds": 2,
    "tranches": 2,
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


def walked(closes, rebalances, endings=(), adv20=1e12, **parameters):
    """Walk two tranches: `rebalances` is {(tranche, session): ({symbol: weight}, eligible)}."""
    count = max(map(len, closes.values()))
    bars = {
        DAYS[n]: {s: Bar(p[n], p[n], 1.0, None, None) for s, p in closes.items() if n < len(p)}
        for n in range(count)
    }
    targets = {0: {}, 1: {}}
    for (tranche, n), (weights, _) in rebalances.items():
        targets[tranche][DAYS[n]] = {
            symbol: Target(DAYS[n - 1], weight, rank, adv20)
            for rank, (symbol, weight) in enumerate(weights.items(), start=1)
        }
    return walk(
        bars,
        DAYS[:count],
        [
            Rebalance(tranche, DAYS[n], eligible)
            for (tranche, n), (_, eligible) in rebalances.items()
        ],
        targets,
        Parameters(**PARAMETERS | parameters),
        [(DAYS[n], symbol) for n, symbol in endings],
    )


def trades(ledger):
    return [
        (DAYS.index(e.trade_date), e.tranche, e.symbol, e.side, e.shares, e.reason)
        for e in ledger
        if e.kind == "trade"
    ]


def test_each_tranche_has_its_part_of_the_capital_and_its_own_first_session():
    closes = {"A": [2.0] * 5, "B": [4.0] * 5}
    ledger = walked(
        closes,
        {
            (1, 1): ({"A": 0.5}, 9),  # before tranche 0 has begun: the strategy does not live yet
            (0, 2): ({"A": 0.5}, 2),
            (1, 3): ({"B": 0.5}, 1),  # too few funds for this tranche's first session
            (1, 4): ({"B": 0.5}, 2),
        },
    )
    # 0.5 × 50,000 / 2 is 12,500 of A; 0.5 × 50,000 / 4 is 6,250, in lots 6,200 of B.
    assert trades(ledger) == [
        (2, 0, "A", "buy", 12_500, "entered"),
        (4, 1, "B", "buy", 6_200, "entered"),
    ]
    own = {(DAYS.index(e.trade_date), e.tranche): e.equity for e in ledger if e.kind == "tranche"}
    # A buy of 25,000 slips by 25 and pays 2.5 bp of 25,025; B by 24.80 and 2.5 bp of
    # 24,824.80.
    first, second = 50_000 - 25 - 6.25625, 50_000 - 24.80 - 6.2062
    assert own == pytest.approx(
        {(2, 0): first, (2, 1): 50_000, (3, 0): first, (3, 1): 50_000, (4, 0): first}
        | {(4, 1): second}
    )
    sessions = {DAYS.index(e.trade_date): e.equity for e in ledger if e.kind == "session"}
    assert sessions == pytest.approx({2: first + 50_000, 3: first + 50_000, 4: first + second})


def test_tranches_are_never_levelled_with_each_other():
    # A doubles for tranche 0, which then holds more than tranche 1 and goes on with it.
    closes = {"A": [1.0, 1.0, 2.0, 2.0], "B": [1.0] * 4}
    rebalances = {(0, 1): ({"A": 0.8}, 2), (1, 1): ({"B": 0.8}, 2)}
    rebalances |= {(0, 3): ({"A": 0.8}, 2), (1, 3): ({"B": 0.8}, 2)}
    ledger = walked(
        closes, rebalances, slippage_bps=0.0, commission_bps=0.0, min_commission_cny=0.0
    )
    equity = {
        e.tranche: e.equity for e in ledger if e.kind == "tranche" and e.trade_date == DAYS[3]
    }
    assert equity == {0: 90_000.0, 1: 50_000.0}
    # 0.8 × 90,000 / 2 = 36,000 of A instead of 40,000; B is left alone.
    assert trades(ledger)[-1] == (3, 0, "A", "sell", 4_000, "reduced")


def test_a_tranche_may_take_its_part_of_the_market():
    # 0.05 × 400,000 / 2 tranches = 10,000 of 50,000: 0.2, so 10,000 shares at 1.
    ledger = walked({"A": [1.0] * 2}, {(0, 1): ({"A": 0.5}, 2)}, adv20=400_000.0)
    (rebalance,) = [e for e in ledger if e.kind == "rebalance"]
    assert (rebalance.target_weight, rebalance.target_shares) == (pytest.approx(0.2), 10_000)


def test_an_ended_fund_is_paid_out_in_every_tranche_that_holds_it():
    closes = {"A": [2.0, 2.0, 2.5], "B": [1.0] * 6}
    rebalances = {(0, 1): ({"A": 0.5}, 2), (1, 2): ({"A": 0.5, "B": 0.2}, 2)}
    ledger = walked(closes, rebalances, endings=[(4, "A")])
    # 12,500 at 2.00 and 0.5 × 50,000 / 2.50 = 10,000.
    assert trades(ledger)[-2:] == [
        (4, 0, "A", "sell", 12_500, "ended"),
        (4, 1, "A", "sell", 10_000, "ended"),
    ]
    payouts = [e for e in ledger if e.kind == "trade" and e.reason == "ended"]
    assert [(e.price, e.commission, e.slippage) for e in payouts] == [(2.5, 0, 0), (2.5, 0, 0)]
    cash = {e.tranche: e.cash for e in ledger if e.kind == "tranche" and e.trade_date == DAYS[4]}
    # Tranche 0 paid 25,025 and 6.25625; tranche 1 25,025 and 6.25625, and 10,010 and 5
    # for B.
    assert cash == pytest.approx(
        {0: 50_000 - 25_031.25625 + 31_250, 1: 50_000 - 25_031.25625 - 10_015 + 25_000}
    )


def test_every_sale_has_a_reason():
    closes = {"A": [1.0] * 6, "B": [1.0] * 6, "C": [1.0] * 3}
    rebalances = {
        (0, 1): ({"A": 0.4, "B": 0.3, "C": 0.2}, 3),
        (0, 3): ({"A": 0.2, "C": 0.2}, 3),
    }
    ledger = walked(closes, rebalances, endings=[(5, "C")], tranches=1)
    sales = [(symbol, reason) for _, _, symbol, side, _, reason in trades(ledger) if side == "sell"]
    assert sales == [("A", "reduced"), ("B", "left_selection"), ("C", "ended")]
