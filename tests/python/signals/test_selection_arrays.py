"""Selection of many rankings at once against `selection.choose`."""

import numpy as np
from etf_rotation.signals.selection import KEPT, SELECTED, Candidate, Rules, choose
from etf_rotation.signals.selection_arrays import RankingRules, Rankings, choose_rows
from hypothesis import given
from hypothesis import strategies as st

FUNDS = 60


@st.composite
def cases(draw):
    """Rules, a ranking of fund codes, their sectors, and what was selected before."""
    rules = Rules(
        start_funds=1,
        top_n=draw(st.one_of(st.none(), st.integers(1, 6), st.just(25))),
        keep_rank=draw(st.sampled_from([1.0, 1.16, 1.5, 3.0])),
        weighting="own",
        redistribute=True,
        tranches=1,
        max_single_weight=draw(st.sampled_from([0.04, 0.2, 1.0])),
        max_sector_weight=draw(st.sampled_from([0.12, 0.4, 1.0])),
        max_broad_funds=draw(st.integers(0, 3)),
    )
    count = draw(st.sampled_from([0, 3, 9, 58, FUNDS]))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    order = rng.permutation(FUNDS)[:count].tolist()
    sectors = rng.integers(-1, draw(st.integers(0, 30)), FUNDS).tolist()
    has_raw = (rng.random(FUNDS) < 0.9).tolist()
    previous = set(rng.permutation(FUNDS)[:25].tolist())
    if rules.top_n is None:
        rules = rules._replace(keep_rank=1.0)
    return rules, order, sectors, has_raw, previous


def one_by_one(rules, order, sectors, has_raw, previous):
    ranking = [
        Candidate(str(n), place, None, 0.1 if has_raw[n] else None, str(sectors[n]), sectors[n] < 0)
        for place, n in enumerate(order, start=1)
    ]
    reasons = choose(ranking, rules, {str(n) for n in previous})
    return {int(symbol) for symbol, reason in reasons.items() if reason in (SELECTED, KEPT)}


def at_once(cases):
    shape = len(cases), FUNDS
    funds, sectors = np.zeros(shape, int), np.full(shape, -1)
    is_open, can_take, before = (np.zeros(shape, bool) for _ in range(3))
    for row, (_, order, sector, has_raw, previous) in enumerate(cases):
        count = len(order)
        funds[row, :count] = order
        is_open[row, :count] = True
        can_take[row, :count] = np.array(has_raw)[order] if count else True
        sectors[row, :count] = np.array(sector)[order] if count else -1
        before[row, list(previous)] = True
    rules = [case[0] for case in cases]
    limits = ("keep_rank", "max_single_weight", "max_sector_weight", "max_broad_funds")
    taken = choose_rows(
        Rankings(funds, is_open, can_take, sectors),
        RankingRules(
            np.array([own.top_n or 0 for own in rules]),
            *(np.array([getattr(own, name) for own in rules]) for name in limits),
        ),
        before,
    )
    return [set(own[is_taken].tolist()) for own, is_taken in zip(funds, taken, strict=True)]


@given(st.lists(cases(), min_size=1, max_size=5))
def test_selections_at_once_equal_the_selections_one_by_one(several):
    assert at_once(several) == [one_by_one(*case) for case in several]


def test_a_multiple_that_doubles_miss_is_met():
    """1.16 * 25 is 28.999999999999996 in doubles, and the fund of rank 29 stays."""
    rules = Rules(1, 25, 1.16, "equal", True, 1, 1.0, 1.0, 99)  # noqa: FBT003
    order = list(range(FUNDS))
    case = rules, order, [-1] * FUNDS, [True] * FUNDS, {28}
    assert 28 in at_once([case])[0]
    assert at_once([case])[0] == one_by_one(*case)
