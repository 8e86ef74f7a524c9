"""Portfolio construction: hand-made rankings of a few funds."""

from datetime import date

import pyarrow as pa
import pytest
from etf_rotation.signals.decisions import (
    CANDIDATES_SCHEMA,
    SELECTION_SCHEMA,
    SESSIONS_SCHEMA,
    STRATEGIES_SCHEMA,
    select_all,
)
from etf_rotation.signals.selection import Candidate as Fund
from etf_rotation.signals.selection import Rules

# Two funds of 0.2 fill a sector of 0.4.
RULES = {
    "start_funds": 5,
    "top_n": 5,
    "keep_rank": 1.0,
    "weighting": "equal",
    "redistribute": False,
    "tranches": 1,
    "max_single_weight": 0.25,
    "max_sector_weight": 0.40,
    "max_broad_funds": 3,
}
MONDAY, TUESDAY, WEDNESDAY = date(2021, 3, 1), date(2021, 3, 2), date(2021, 3, 3)
ROTATION = {"strategy": "rotation", "pool": "A_SHARE"}


def fund(symbol, rank, **values):
    """A fund without any reason for exclusion."""
    defaults = {"ineligible": None, "raw_value": None, "category": symbol, "is_broad": False}
    return Fund(symbol=symbol, rank=rank, **{**defaults, **values})


def rows(*funds, trade_date=MONDAY, **key):
    return [{**ROTATION, **key, "trade_date": trade_date, **item._asdict()} for item in funds]


def tables(*groups, rules=None, tranches_on=None):
    """Tables of one strategy or, with `rules` by (strategy, pool), of several.

    `tranches_on` is {session: tranche}; without it tranche 0 is rebalanced on every
    session.
    """
    candidates = [row for group in groups for row in group]
    keys = sorted(
        {(row["strategy"], row["pool"]) for row in candidates} or {("rotation", "A_SHARE")}
    )
    rules = rules if isinstance(rules, list) else [{**RULES, **(rules or {})}] * len(keys)
    strategies = [
        {"strategy": strategy, "pool": pool, **own}
        for (strategy, pool), own in zip(keys, rules, strict=True)
    ]
    sessions = [
        {"strategy": strategy, "pool": pool, "tranche": (tranches_on or {}).get(day, 0)}
        | {"trade_date": day}
        for strategy, pool, day in sorted(
            {(row["strategy"], row["pool"], row["trade_date"]) for row in candidates}
        )
    ]
    return (
        pa.Table.from_pylist(strategies, STRATEGIES_SCHEMA),
        pa.Table.from_pylist(sessions, SESSIONS_SCHEMA),
        pa.Table.from_pylist(candidates, CANDIDATES_SCHEMA),
    )


def select(*funds, **rules):
    decisions = select_all(*tables(rows(*funds), rules=rules)).to_pylist()
    return {decision["symbol"]: decision for decision in decisions}


def reasons(*funds, **rules):
    return {symbol: decision["reason"] for symbol, decision in select(*funds, **rules).items()}


def test_the_best_top_n_funds_are_selected_at_one_over_top_n():
    decisions = select(*(fund(f"F{rank}", rank) for rank in range(1, 8)))
    selected = [symbol for symbol, d in decisions.items() if d["is_selected"]]
    assert selected == ["F1", "F2", "F3", "F4", "F5"]
    assert decisions["F5"]["target_weight"] == 0.2  # min(1 / 5, 0.25)
    assert decisions["F5"]["reason"] == "selected"
    assert decisions["F6"]["reason"] == "top_n_filled"
    assert decisions["F6"]["target_weight"] == 0.0
    assert decisions["F6"]["is_eligible"]
    assert not decisions["F6"]["is_selected"]


def test_the_weight_is_capped_by_the_single_weight_limit():
    decisions = select(fund("F1", 1), top_n=3, max_single_weight=0.3)
    assert decisions["F1"]["target_weight"] == 0.3  # min(1 / 3, 0.3)


def test_fewer_candidates_than_top_n_leave_the_rest_in_cash():
    decisions = select(fund("F1", 1), fund("F2", 2))
    assert sum(decision["target_weight"] for decision in decisions.values()) == 0.4


def test_no_candidates_give_no_decisions():
    assert select() == {}


def test_a_fund_that_is_not_eligible_keeps_the_reason_that_it_comes_with():
    decisions = select(
        fund("NO_BAR", None, ineligible="no_bar"),
        fund("LOW_ADV", 1, ineligible="low_adv"),
        fund("GOOD", 2),
    )
    assert {symbol: decision["reason"] for symbol, decision in decisions.items()} == {
        "NO_BAR": "no_bar",
        "LOW_ADV": "low_adv",
        "GOOD": "selected",
    }
    assert [symbol for symbol, d in decisions.items() if d["is_eligible"]] == ["GOOD"]


def test_a_third_fund_of_a_full_sector_is_passed_over_and_the_walk_goes_on():
    chips = [fund(f"CHIP{rank}", rank, category="chips") for rank in (1, 2, 3)]
    # 0.2 + 0.2 = 0.4 is at the limit, a third 0.2 would make 0.6.
    assert reasons(*chips, fund("SOLAR", 4)) == {
        "CHIP1": "selected",
        "CHIP2": "selected",
        "CHIP3": "sector_limit",
        "SOLAR": "selected",
    }


def test_a_sector_sum_that_misses_the_limit_by_a_rounding_error_is_within_it():
    # 3 * 0.1 = 0.30000000000000004 in doubles.
    chips = [fund(f"CHIP{rank}", rank, category="chips") for rank in (1, 2, 3, 4)]
    found = reasons(*chips, top_n=10, max_sector_weight=0.3)
    assert list(found.values()) == ["selected", "selected", "selected", "sector_limit"]


def test_broad_funds_count_against_their_own_limit_and_no_sector():
    broad = [fund(f"BROAD{rank}", rank, category="broad", is_broad=True) for rank in (1, 2, 3, 4)]
    # Three broad funds hold 0.6 of one category: allowed; the fourth is one fund too
    # many.
    assert reasons(*broad, fund("SOLAR", 5)) == {
        "BROAD1": "selected",
        "BROAD2": "selected",
        "BROAD3": "selected",
        "BROAD4": "broad_limit",
        "SOLAR": "selected",
    }


@pytest.mark.parametrize("broad_rank", [1, 4])
def test_a_broad_fund_neither_takes_nor_needs_room_in_the_sector_of_its_category(broad_rank):
    found = reasons(
        fund("BROAD", broad_rank, category="chips", is_broad=True),
        fund("CHIP1", 2, category="chips"),
        fund("CHIP2", 3, category="chips"),
    )
    assert set(found.values()) == {"selected"}


def test_an_ineligible_fund_takes_no_place():
    found = reasons(fund("F1", 1, ineligible="no_bar"), fund("F2", 2), fund("F3", 3), top_n=1)
    assert found == {"F1": "no_bar", "F2": "selected", "F3": "top_n_filled"}


def test_below_the_last_place_every_eligible_fund_is_top_n_filled():
    chips = [fund(f"CHIP{rank}", rank, category="chips") for rank in (1, 2, 3)]
    # With both places taken the sector is no longer asked.
    found = reasons(*chips, top_n=2, max_single_weight=0.2)
    assert found["CHIP3"] == "top_n_filled"


def test_a_selected_fund_stays_up_to_a_multiple_of_top_n():
    # Two places and keep_rank 2: a fund stays up to rank 4, or to half of the eligible
    # ones.
    before = rows(*(fund(f"F{rank}", rank) for rank in range(1, 9)), trade_date=MONDAY)
    order = ["F3", "F4", "F5", "F1", "F2", "F6", "F7", "F8"]
    after = rows(
        *(fund(symbol, rank) for rank, symbol in enumerate(order, start=1)), trade_date=TUESDAY
    )
    rules = {"top_n": 2, "keep_rank": 2.0, "start_funds": 2}
    found = select_all(*tables(before, after, rules=rules)).to_pylist()
    on_tuesday = {r["symbol"]: r["reason"] for r in found if r["trade_date"] == TUESDAY}
    # F1 stays with rank 4; F2 goes with rank 5, and the best of the others takes its
    # place.
    assert [s for s, reason in on_tuesday.items() if reason == "kept"] == ["F1"]
    assert [s for s, reason in on_tuesday.items() if reason == "selected"] == ["F3"]


def test_a_tranche_keeps_only_the_funds_that_it_selected_itself():
    funds = [fund(f"F{rank}", rank) for rank in range(1, 9)]
    turned = [fund(f"F{rank}", 9 - rank) for rank in range(1, 9)]
    groups = rows(*funds), rows(*turned, trade_date=TUESDAY), rows(*turned, trade_date=WEDNESDAY)
    rules = {"top_n": 2, "keep_rank": 4.0, "start_funds": 2, "tranches": 2}
    days = {MONDAY: 0, TUESDAY: 1, WEDNESDAY: 0}
    found = select_all(*tables(*groups, rules=rules, tranches_on=days)).to_pylist()
    # Half of eight is rank 4: F1 and F2 stand at 8 and 7, too low for tranche 0 to
    # keep.
    assert {
        (row["tranche"], row["trade_date"], row["symbol"], row["reason"])
        for row in found
        if row["is_selected"]
    } == {
        (0, MONDAY, "F1", "selected"),
        (0, MONDAY, "F2", "selected"),
        (1, TUESDAY, "F7", "selected"),
        (1, TUESDAY, "F8", "selected"),
        (0, WEDNESDAY, "F7", "selected"),
        (0, WEDNESDAY, "F8", "selected"),
    }


def test_without_a_top_n_every_eligible_fund_is_held():
    decisions = select(
        *(fund(symbol, rank, category="chips") for rank, symbol in enumerate("ABCD", start=1)),
        fund("NO_BAR", None, ineligible="no_bar"),
        top_n=None,
        redistribute=True,
        max_single_weight=1.0,
        max_sector_weight=1.0,
    )
    weights = {symbol: d["target_weight"] for symbol, d in decisions.items()}
    assert weights == {"A": 0.25, "B": 0.25, "C": 0.25, "D": 0.25, "NO_BAR": 0.0}


def test_the_raw_weight_is_one_over_the_volatility():
    wide = {"max_single_weight": 1.0, "max_sector_weight": 1.0, "redistribute": True}
    decisions = select(
        fund("CALM", 1, raw_value=0.01),
        fund("WILD", 2, raw_value=0.03),
        top_n=2,
        weighting="inverse_volatility",
        **wide,
    )
    assert decisions["CALM"]["raw_weight"] == pytest.approx(100)
    assert decisions["CALM"]["target_weight"] == pytest.approx(0.75, abs=1e-9)
    assert decisions["WILD"]["target_weight"] == pytest.approx(0.25, abs=1e-9)
    assert decisions["CALM"]["raw_value"] == 0.01


def test_a_fund_without_a_weight_of_its_own_is_passed_over():
    wide = {"max_single_weight": 1.0, "max_sector_weight": 1.0, "redistribute": True}
    found = reasons(
        fund("NONE", 1), fund("OWN", 2, raw_value=2.0), top_n=1, weighting="own", **wide
    )
    assert found == {"NONE": "no_raw_weight", "OWN": "selected"}


@pytest.mark.parametrize(
    ("funds", "message"),
    [
        ([fund("A", 1), fund("A", 2)], "symbol A: more than one row"),
        ([fund("A", None)], "symbol A is eligible and has no rank"),
        ([fund("A", 1), fund("B", 1)], "symbols A and B have one rank"),
    ],
)
def test_a_ranking_that_contradicts_itself_is_refused(funds, message):
    with pytest.raises(ValueError, match=message):
        select(*funds)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top_n", 0),
        ("max_single_weight", 0.0),
        ("max_sector_weight", 1.5),
        ("max_sector_weight", float("nan")),
        ("max_broad_funds", -1),
        ("start_funds", 0),
        ("tranches", 0),
        ("keep_rank", 0.5),
        ("weighting", "none"),
    ],
)
def test_an_impossible_rule_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        select(fund("A", 1), **{name: value})


@pytest.mark.parametrize(
    "rules", [{"weighting": "inverse_volatility"}, {"top_n": None}, {"top_n": None, "keep_rank": 2}]
)
def test_rules_that_contradict_each_other_are_refused(rules):
    with pytest.raises(ValueError, match="strategy rotation, pool A_SHARE: "):
        select(fund("A", 1), **rules)


def test_every_strategy_pool_and_session_is_decided_apart():
    found = select_all(
        *tables(
            rows(fund("F1", 2), fund("F2", 1), strategy="calm"),
            rows(fund("F1", 1), fund("F2", 2)),
            rows(fund("F1", 2), fund("F2", 1), trade_date=TUESDAY),
            rows(fund("G1", 1), pool="QDII"),
            rules=[
                {**RULES, "top_n": 2, "max_single_weight": 0.4},
                {**RULES, "top_n": 1},
                {**RULES, "top_n": 3, "max_single_weight": 0.3},
            ],
        )
    )
    assert found.schema == SELECTION_SCHEMA
    selected = [row for row in found.to_pylist() if row["is_selected"]]
    assert [(r["strategy"], r["pool"], r["trade_date"], r["symbol"]) for r in selected] == [
        ("calm", "A_SHARE", MONDAY, "F1"),
        ("calm", "A_SHARE", MONDAY, "F2"),
        ("rotation", "A_SHARE", MONDAY, "F1"),
        ("rotation", "A_SHARE", TUESDAY, "F2"),
        ("rotation", "QDII", MONDAY, "G1"),
    ]
    assert [row["target_weight"] for row in selected] == [0.4, 0.4, 0.25, 0.25, 0.3]


def test_the_order_of_the_input_does_not_matter():
    forward = tables(
        *(
            rows(*(fund(f"F{rank}", rank) for rank in range(1, 9)), trade_date=day, pool=pool)
            for day in (MONDAY, TUESDAY)
            for pool in ("A_SHARE", "QDII")
        )
    )
    backward = [table.take(list(range(table.num_rows))[::-1]) for table in forward]
    assert select_all(*backward).equals(select_all(*forward))


def test_an_empty_table_gives_an_empty_table():
    found = select_all(*tables())
    assert found.num_rows == 0
    assert found.schema == SELECTION_SCHEMA


def test_a_missing_column_is_named():
    strategies, sessions, candidates = tables(rows(fund("A", 1)))
    with pytest.raises(ValueError, match="candidates: no column raw_value, category"):
        select_all(strategies, sessions, candidates.drop(["raw_value", "category"]))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"raw_value": float("nan")}, "raw_value is not finite"),
        ({"raw_value": float("inf")}, "raw_value is not finite"),
        ({"category": None}, "category is null"),
        ({"is_broad": None}, "is_broad is null"),
    ],
)
def test_a_bad_value_is_refused_with_pool_fund_and_date(change, fault):
    strategies, sessions, _ = tables(rows(fund("A", 1)))
    (bad,) = rows(fund("A", 1))
    schema = pa.schema([field.with_nullable(True) for field in CANDIDATES_SCHEMA])
    where = "candidates, pool A_SHARE, trade_date 2021-03-01, symbol A: "
    with pytest.raises(ValueError, match=where + fault):
        # Nulls and NaN arrive from a table that does not forbid them.
        select_all(strategies, sessions, pa.Table.from_pylist([bad | change], schema))


def test_a_rule_that_is_null_is_refused_with_its_pool():
    strategies, *others = tables(rows(fund("A", 1)))
    schema = pa.schema([field.with_nullable(True) for field in strategies.schema])
    without = [{**strategies.to_pylist()[0], "max_sector_weight": None}]
    with pytest.raises(ValueError, match="pool A_SHARE: max_sector_weight is null"):
        select_all(pa.Table.from_pylist(without, schema), *others)


def test_a_duplicate_row_is_refused_with_pool_fund_and_date():
    where = "pool A_SHARE, trade_date 2021-03-01, symbol A: more than one row"
    with pytest.raises(ValueError, match=where):
        select_all(*tables(rows(fund("A", 1)), rows(fund("A", 1))))


def test_two_sets_of_rules_for_a_pool_are_refused():
    strategies, *others = tables(rows(fund("A", 1)))
    with pytest.raises(ValueError, match="strategies, pool A_SHARE: more than one row"):
        select_all(pa.concat_tables([strategies, strategies]), *others)


def test_a_contradiction_in_the_ranking_names_strategy_and_pool():
    wrong = tables(rows(fund("A", 1), fund("B", 1)))
    with pytest.raises(ValueError, match="strategy rotation, pool A_SHARE: symbols A and B"):
        select_all(*wrong)


def test_the_rules_of_these_tests_are_whole():
    assert tuple(RULES) == Rules._fields
