"""Redistributed weights: hand-computed cases, and general properties."""

from fractions import Fraction

import pytest
from etf_rotation.signals.weights import Cap, Limits, redistribute, share_out

WIDE = Limits(1.0, 1.0)


def equal(count, limits, sectors=None, caps=None):
    return redistribute("equal", [1.0] * count, sectors or [None] * count, limits, caps)


def test_an_amount_is_shared_out_in_proportion():
    shares = share_out(Fraction(1), [Fraction(1), Fraction(3)], [Fraction(1)] * 2)
    assert shares == [Fraction(1, 4), Fraction(3, 4)]


def test_weight_cut_by_a_bound_goes_to_the_others_in_proportion():
    # 1/10, 3/10, 6/10: the last is fixed at 4/10, and 6/10 is left for 1 to 3.
    raw, bounds = [Fraction(n) for n in (1, 3, 6)], [Fraction(1), Fraction(1), Fraction(2, 5)]
    assert share_out(Fraction(1), raw, bounds) == [Fraction(3, 20), Fraction(9, 20), Fraction(2, 5)]


def test_a_fund_that_the_first_round_lets_pass_can_be_bound_in_the_second():
    # Round 1: 0.2, 0.3, 0.5 > 0.3. Round 2: 0.7 over 2 to 3 is 0.28 and 0.42 > 0.4.
    # Then 0.3.
    raw = [Fraction(n) for n in (2, 3, 5)]
    bounds = [Fraction(1), Fraction(2, 5), Fraction(3, 10)]
    assert share_out(Fraction(1), raw, bounds) == [Fraction(3, 10), Fraction(2, 5), Fraction(3, 10)]


def test_an_amount_beyond_all_bounds_is_left_over():
    assert share_out(Fraction(1), [Fraction(1)] * 2, [Fraction(1, 4)] * 2) == [Fraction(1, 4)] * 2


def test_equal_weights_are_rounded_down_to_twelve_decimals():
    assert equal(3, WIDE) == [0.333333333333] * 3
    assert equal(20, WIDE) == [0.05] * 20


def test_all_funds_at_their_limit_leave_cash():
    assert equal(3, Limits(0.25, 1.0)) == [0.25] * 3


def test_a_category_shares_out_its_limit_and_the_others_take_the_rest():
    # Three of one category: 0.4 / 3 each. Two others: 0.3 each.
    weights = equal(5, Limits(0.5, 0.4), ["bank"] * 3 + ["tech", None])
    assert weights == [0.133333333333] * 3 + [0.3, 0.3]


def test_limits_of_funds_and_categories_bind_at_once():
    # The category's 0.4 goes to two funds, 0.2 each; the broad funds are bound at 0.25.
    weights = equal(4, Limits(0.25, 0.4), ["bank", "bank", None, None])
    assert weights == [0.2, 0.2, 0.25, 0.25]


def test_a_category_gives_what_one_of_its_funds_cannot_take_to_the_other():
    # Of 0.4 the first fund takes its cap of 0.1, the second 0.25, its own limit.
    cap = Cap(max_adv_pct=0.1, adv20=1_000_000.0, tranches=1, equity=1_000_000.0)
    weights = equal(2, Limits(0.25, 0.4), ["bank", "bank"], {0: cap})
    assert weights == [0.1, 0.25]


def test_broad_funds_belong_to_no_category():
    assert equal(2, Limits(0.5, 0.3), [None, None]) == [0.5, 0.5]


def test_a_tie_with_a_bound_is_not_above_it():
    # Each of four gets exactly its limit.
    assert equal(4, Limits(0.25, 1.0)) == [0.25] * 4


def test_inverse_volatility_weighs_by_one_over_the_shortest_decimal():
    # 1/0.1 : 1/0.2 : 1/0.4 = 4 : 2 : 1.
    weights = redistribute("inverse_volatility", [0.1, 0.2, 0.4], [None] * 3, WIDE)
    assert weights == [0.571428571428, 0.285714285714, 0.142857142857]


def test_equal_volatilities_give_equal_weights():
    weights = redistribute("inverse_volatility", [0.013] * 4, [None] * 4, WIDE)
    assert weights == [0.25] * 4


def test_own_weights_below_one_in_all_are_kept():
    assert redistribute("own", [0.1, 0.25], [None] * 2, WIDE) == [0.1, 0.25]


def test_own_weights_above_one_in_all_are_scaled_to_one():
    assert redistribute("own", [3.0, 1.0], [None] * 2, WIDE) == [0.75, 0.25]


def test_a_raw_weight_of_zero_gets_nothing():
    assert redistribute("own", [0.0, 0.5], [None] * 2, WIDE) == [0.0, 0.5]
    assert redistribute("own", [0.0, 0.0], [None] * 2, WIDE) == [0.0, 0.0]


def test_a_cap_counts_a_part_of_the_market_for_each_tranche():
    # 5% of 800,000 for four tranches is 10,000 each, of an equity of 100,000.
    cap = Cap(max_adv_pct=0.05, adv20=800_000.0, tranches=4, equity=100_000.0)
    assert equal(2, WIDE, caps={0: cap}) == [0.1, 0.9]


def test_digits_and_fractions_agree():
    hypothesis = pytest.importorskip("hypothesis")
    st = hypothesis.strategies
    from etf_rotation.signals import weights  # noqa: PLC0415

    fund = st.tuples(st.floats(0.0001, 0.1), st.sampled_from([None, "a", "b", "c"]))

    @hypothesis.given(
        st.lists(fund, min_size=1, max_size=20), st.sampled_from([0.05, 0.2, 0.25, 1.0])
    )
    @hypothesis.settings(max_examples=200, deadline=None)
    def check(funds, single):
        values, sectors = zip(*funds, strict=True)
        limits = Limits(single, 0.4)
        found = redistribute("inverse_volatility", values, sectors, limits)
        members = {}
        for n, sector in enumerate(sectors):
            if sector is not None:
                members.setdefault(sector, []).append(n)
        arguments = "inverse_volatility", values, list(members.values()), limits, {}
        exact = weights._shared_out(weights.FRACTIONS, *arguments)
        assert found == [share * weights.UNIT // 1 / weights.UNIT for share in exact]
        # As decimals: twenty doubles of 0.05 add up to more than 1.
        assert sum(Fraction(str(weight)) for weight in found) <= 1
        assert max(found) <= single
        for own in members.values():
            assert sum(found[n] for n in own) <= 0.4 + 1e-12

    check()
