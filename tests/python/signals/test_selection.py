"""Portfolio construction: hand-made rankings of a few funds."""

from datetime import date

import pyarrow as pa
import pytest
from etf_rotation.signals.selection import (
    CANDIDATES_SCHEMA,
    SELECTION_SCHEMA,
    select_all,
    select_funds,
)
from etf_rotation.signals.selection import Candidate as Fund

# Two funds of 0.2 fill a sector of 0.4.
A_SHARE = {
    "top_n": 5,
    "max_single_weight": 0.25,
    "max_sector_weight": 0.40,
    "max_broad_funds": 3,
}
MONDAY, TUESDAY = date(2021, 3, 1), date(2021, 3, 2)
FRIDAY = date(2021, 2, 26)


def fund(symbol, rank, **values):
    """A fund that nothing speaks against; the best rank has the best score."""
    defaults = {
        "has_bar": True,
        "score": None if rank is None else 1 - rank / 100,
        "adv20": 5e6,
        "category": symbol,
        "is_broad": False,
    }
    return Fund(symbol=symbol, rank=rank, **{**defaults, **values})


def select(*funds, **constraints):
    decisions = select_funds(funds, **{**A_SHARE, "min_adv_cny": 1e6, **constraints})
    return {decision.symbol: decision for decision in decisions}


def reasons(*funds, **constraints):
    decisions = select(*funds, **constraints)
    return {symbol: decision.reason for symbol, decision in decisions.items()}


def rows(*funds, pool="A_SHARE", trade_date=MONDAY, as_of_date=FRIDAY, **changes):
    key = {"pool": pool, "trade_date": trade_date, "as_of_date": as_of_date}
    return [{**key, **item._asdict(), **A_SHARE, **changes} for item in funds]


def table(*groups):
    return pa.Table.from_pylist([row for group in groups for row in group], CANDIDATES_SCHEMA)


def test_the_best_top_n_funds_are_selected_at_one_over_top_n():
    decisions = select(*(fund(f"F{rank}", rank) for rank in range(1, 8)))
    assert [d.symbol for d in decisions.values() if d.is_selected] == ["F1", "F2", "F3", "F4", "F5"]
    assert decisions["F5"].target_weight == 0.2  # min(1 / 5, 0.25)
    assert decisions["F5"].reason == "selected"
    assert decisions["F6"].reason == "top_n_filled"
    assert decisions["F6"].target_weight == 0.0
    assert decisions["F6"].is_eligible
    assert not decisions["F6"].is_selected


def test_the_weight_is_capped_by_the_single_weight_limit():
    decisions = select(fund("F1", 1), top_n=3, max_single_weight=0.3)
    assert decisions["F1"].target_weight == 0.3  # min(1 / 3, 0.3)


def test_fewer_candidates_than_top_n_leave_the_rest_in_cash():
    decisions = select(fund("F1", 1), fund("F2", 2))
    assert sum(decision.target_weight for decision in decisions.values()) == 0.4


def test_no_candidates_give_no_decisions():
    assert select() == {}


def test_each_way_of_not_being_eligible_has_its_reason():
    decisions = select(
        fund("NO_BAR", 1, has_bar=False),
        fund("NO_SCORE", None),
        fund("NO_ADV", 2, adv20=None),
        fund("LOW_ADV", 3, adv20=999_999.99),
        fund("GOOD", 4, adv20=1_000_000.0),
    )
    assert {symbol: decision.reason for symbol, decision in decisions.items()} == {
        "NO_BAR": "no_bar",
        "NO_SCORE": "no_score",
        "NO_ADV": "no_adv",
        "LOW_ADV": "low_adv",
        "GOOD": "selected",
    }
    assert [symbol for symbol, d in decisions.items() if d.is_eligible] == ["GOOD"]


def test_the_first_reason_that_applies_is_given():
    assert reasons(fund("F1", None, has_bar=False, adv20=None)) == {"F1": "no_bar"}
    assert reasons(fund("F1", None, adv20=None)) == {"F1": "no_score"}


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
    # Three broad funds hold 0.6 of one category: allowed; the fourth is one fund too many.
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


def test_a_fund_that_is_not_eligible_takes_no_place():
    found = reasons(fund("F1", 1, has_bar=False), fund("F2", 2), fund("F3", 3), top_n=1)
    assert found == {"F1": "no_bar", "F2": "selected", "F3": "top_n_filled"}


def test_below_the_last_place_every_eligible_fund_is_top_n_filled():
    chips = [fund(f"CHIP{rank}", rank, category="chips") for rank in (1, 2, 3)]
    # With both places taken the sector is no longer asked.
    found = reasons(*chips, top_n=2, max_single_weight=0.2)
    assert found["CHIP3"] == "top_n_filled"


def test_equal_scores_go_by_symbol():
    found = reasons(fund("B", 2, score=0.5), fund("A", 1, score=0.5), top_n=1)
    assert found == {"A": "selected", "B": "top_n_filled"}


@pytest.mark.parametrize(
    ("funds", "message"),
    [
        ([fund("A", 1), fund("A", 2)], "symbol A has more than one row"),
        ([fund("A", None, score=0.5)], "symbol A has a score and no rank"),
        ([fund("A", 1, score=0.1), fund("B", 2, score=0.9)], "symbol A has rank 1"),
        ([fund("A", 1, score=0.5), fund("B", 1, score=0.5)], "symbol B has rank 1"),
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
    ],
)
def test_an_impossible_constraint_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        select(fund("A", 1), **{name: value})


def test_every_pool_and_session_is_decided_apart():
    found = select_all(
        table(
            rows(fund("F1", 1), fund("F2", 2), top_n=1),
            rows(fund("F1", 2), fund("F2", 1), top_n=1, trade_date=TUESDAY, as_of_date=MONDAY),
            rows(fund("G1", 1), pool="QDII", top_n=3, max_single_weight=0.3),
        ),
        min_adv_cny=1e6,
    )
    assert found.schema == SELECTION_SCHEMA
    selected = [row for row in found.to_pylist() if row["is_selected"]]
    assert [(row["pool"], row["trade_date"], row["symbol"]) for row in selected] == [
        ("A_SHARE", MONDAY, "F1"),
        ("A_SHARE", TUESDAY, "F2"),
        ("QDII", MONDAY, "G1"),
    ]
    assert [row["target_weight"] for row in selected] == [0.25, 0.25, 0.3]
    assert selected[1]["as_of_date"] == MONDAY
    assert (selected[1]["score"], selected[1]["rank"], selected[1]["adv20"]) == (0.99, 1, 5e6)


def test_the_order_of_the_input_does_not_matter():
    groups = [
        rows(*(fund(f"F{rank}", rank) for rank in range(1, 9)), trade_date=day, as_of_date=before)
        for before, day in ((FRIDAY, MONDAY), (MONDAY, TUESDAY))
    ]
    forward = table(*groups)
    backward = forward.take(list(range(forward.num_rows))[::-1])
    assert select_all(backward, min_adv_cny=1e6).equals(select_all(forward, min_adv_cny=1e6))


def test_an_empty_table_gives_an_empty_table():
    found = select_all(CANDIDATES_SCHEMA.empty_table(), min_adv_cny=1e6)
    assert found.num_rows == 0
    assert found.schema == SELECTION_SCHEMA


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="candidates: no column adv20, category"):
        select_all(table(rows(fund("A", 1))).drop(["adv20", "category"]), min_adv_cny=1e6)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"adv20": -1.0}, "adv20 is below zero"),
        ({"adv20": float("nan")}, "adv20 is not finite"),
        ({"score": float("inf")}, "score is not finite"),
        ({"category": None}, "category is null"),
        ({"top_n": None}, "top_n is null"),
    ],
)
def test_a_bad_value_is_refused_with_pool_fund_and_date(change, fault):
    bad = rows(fund("A", 1), **change)
    where = "candidates, pool A_SHARE, trade_date 2021-03-01, symbol A: "
    with pytest.raises(ValueError, match=where + fault):
        # Nulls and NaN arrive from a table that does not forbid them.
        select_all(pa.Table.from_pylist(bad), min_adv_cny=1e6)


def test_a_duplicate_row_is_refused_with_pool_fund_and_date():
    twice = table(rows(fund("A", 1)), rows(fund("A", 1)))
    where = "pool A_SHARE, trade_date 2021-03-01, symbol A: more than one row"
    with pytest.raises(ValueError, match=where):
        select_all(twice, min_adv_cny=1e6)


@pytest.mark.parametrize("change", [{"top_n": 4}, {"as_of_date": date(2021, 2, 25)}])
def test_constraints_and_dates_that_differ_within_a_session_are_refused(change):
    mixed = table(rows(fund("A", 1)), rows(fund("B", 2), **change))
    (name,) = change
    with pytest.raises(ValueError, match=f"pool A_SHARE, trade_date 2021-03-01: {name} is"):
        select_all(mixed, min_adv_cny=1e6)


def test_a_contradiction_in_the_ranking_names_pool_and_session():
    wrong = table(rows(fund("A", 1, score=0.1), fund("B", 2, score=0.9)))
    with pytest.raises(ValueError, match="pool A_SHARE, trade_date 2021-03-01: symbol A has rank"):
        select_all(wrong, min_adv_cny=1e6)
