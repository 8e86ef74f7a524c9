"""The variants requested by a sweep's options."""

import pytest
from etf_rotation.errors import InputError
from etf_rotation.research.build import Variant, read_build
from etf_rotation.research.grid import grid

POOLS = ("A_SHARE", "OTHER", "QDII")


@pytest.fixture(scope="module")
def builds(sample):
    return {pool: read_build(sample.database, pool) for pool in POOLS}


def test_the_default_grid_has_a_thousand_variants_and_the_builds_own(builds):
    for build in builds.values():
        variants, left_out = grid(build, {})
        assert len(variants) == len(set(variants)) >= 1000
        assert build.variant in variants
        assert left_out == 0


def test_the_builds_own_variant_comes_first_if_not_requested(builds):
    build = builds["A_SHARE"]
    options = {"factors": "ret_20, volatility_20+ret_20,ret_20", "rebalance": "daily"}
    found = grid(build, options | {"top_n": "4,4", "slippage_bps": "1e1"}).variants
    settings = (4, 1.0, "equal", False, "daily", 0, 1, 0.01, 10.0, 2.5)
    assert found == [
        build.variant,
        Variant(("ret_20",), *settings),
        Variant(("ret_20", "volatility_20"), *settings),
    ]


def test_subsets_by_size_are_all_of_them(builds):
    build = builds["QDII"]
    count = len(build.scored)
    others = {"rebalance": "monthly", "top_n": str(build.variant.top_n), "slippage_bps": "10"}
    for text, expected in (
        ("all", 1),
        ("single", count + 1),
        ("pair", count * (count - 1) // 2 + 1),
        ("all-but-one", count + 1),
    ):
        assert len(grid(build, others | {"factors": text}).variants) == expected


ONE = {"factors": "all", "rebalance": "monthly", "slippage_bps": "10"}


def test_combinations_that_the_rules_forbid_are_left_out_and_counted(builds):
    build = builds["A_SHARE"]
    asked = ONE | {"top_n": "5,all", "keep_rank": "1,2", "rebalance": "monthly,weekly,daily"}
    variants, left_out = grid(build, asked | {"tranches": "1,4,5", "rebalance_offset": "0,10"})
    # 2 × 2 × 3 × 3 × 2 = 72: all funds know no keep_rank above 1, monthly has no fifth
    # tranche, weekly no offset of 10, daily neither.
    assert (len(variants), left_out) == (24, 48)
    for own in variants:
        assert not (own.top_n is None and own.keep_rank > 1)
        assert own.rebalance != "daily" or (own.tranches, own.rebalance_offset) == (1, 0)
        assert own.rebalance != "monthly" or own.tranches < 5
        assert own.rebalance != "weekly" or own.rebalance_offset == 0


def test_weights_are_redistributed_if_the_rules_require_it(builds):
    build = builds["QDII"]
    asked = ONE | {"top_n": "3,all", "weighting": "equal,inverse_volatility"}
    found = {(own.top_n, own.weighting): own.redistribute for own in grid(build, asked).variants}
    assert found == {
        (3, "equal"): False,
        (3, "inverse_volatility"): True,
        (None, "equal"): True,
        (None, "inverse_volatility"): True,
    }
    variants, left_out = grid(build, asked | {"redistribute": "true,false"})
    assert (len(variants), left_out) == (5, 3)


def test_a_strategy_that_is_not_ranked_by_score_has_no_factors(sample):
    build = read_build(sample.database, "OTHER", "risk_weighted")
    variants, _ = grid(build, {"rebalance": "monthly", "slippage_bps": "10", "tranches": "1,4"})
    assert [(own.factors, own.top_n, own.tranches) for own in variants] == [
        ((), None, 1),
        ((), None, 4),
    ]
    with pytest.raises(InputError, match="ranking of risk_weighted is rank_by_liquidity, not the"):
        grid(build, {"factors": "all"})


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("factors", "rsi_14", "--factors rsi_14: 'rsi_14' is neither all, .* nor a scored factor"),
        ("factors", "ret_20+", "'nothing' is neither"),
        ("top_n", "3,0", "--top-n 3,0: '0' is no whole number of 1 or more"),
        ("top_n", "2.5", "'2.5' is no whole number"),
        ("keep_rank", "two", "--keep-rank two: 'two' is no number"),
        ("keep_rank", "0.5", "no variant is left: keep_rank is 0.5, which must be 1 to inf"),
        ("weighting", "cap", "'cap' is none of equal, inverse_volatility, own"),
        ("weighting", "own", "no variant is left: the ranking rank_by_score gives no weights"),
        ("redistribute", "yes", "'yes' is none of true, false"),
        ("tranches", "0", "--tranches 0: '0' is no whole number of 1 or more"),
        ("tranches", "5", "no variant is left: tranches is 5, which must be 1 to 4"),
        (
            "rebalance_offset",
            "20",
            "left: rebalance_offset is 20, which must be 0 to 19",
        ),
        ("rebalance", "yearly", "--rebalance yearly: 'yearly' is none of monthly, weekly, daily"),
        ("slippage_bps", "-1", "--slippage-bps -1: '-1' is no number of zero or more"),
        ("commission_bps", "nan", "'nan' is no number"),
        ("min_weight_change", "", "'' is no number"),
    ],
)
def test_an_invalid_option_is_rejected(option, value, message, builds):
    with pytest.raises(InputError, match=message):
        grid(builds["QDII"], ONE | {option: value})
