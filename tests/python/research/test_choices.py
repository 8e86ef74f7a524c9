"""Selection for many rankings at once against `signals.selection`."""

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
from etf_rotation.backtest.prices import Prices
from etf_rotation.research.choices import Chain, Chosen
from etf_rotation.research.data import PoolData
from etf_rotation.signals.selection import KEPT, SELECTED, Candidate, Rules, choose, weigh_all
from hypothesis import given
from hypothesis import strategies as st

SESSIONS = 4


@st.composite
def cases(draw):
    """A pool of a few funds with scores, limits and rules."""
    funds = draw(st.integers(1, 9))
    sectors = draw(st.lists(st.sampled_from("abc"), min_size=funds, max_size=funds))
    is_broad = draw(st.lists(st.booleans(), min_size=funds, max_size=funds))
    scores = [
        draw(st.lists(st.sampled_from([None, 0.1, 0.2, 0.3, 0.4]), min_size=funds, max_size=funds))
        for _ in range(SESSIONS)
    ]
    eligible = [
        draw(st.lists(st.sampled_from([True, True, True, False]), min_size=funds, max_size=funds))
        for _ in range(SESSIONS)
    ]
    weighting = draw(st.sampled_from(["equal", "inverse_volatility", "own"]))
    top_n = draw(st.one_of(st.none(), st.integers(1, 6)))
    keep_rank = draw(st.sampled_from([1.0, 1.5, 2.0, 4.0])) if top_n else 1.0
    rules = Rules(
        start_funds=1,
        top_n=top_n,
        keep_rank=keep_rank,
        weighting=weighting,
        redistribute=weighting != "equal" or top_n is None or draw(st.booleans()),
        tranches=1,
        max_single_weight=draw(st.sampled_from([0.2, 0.5, 1.0])),
        max_sector_weight=draw(st.sampled_from([0.25, 0.4, 1.0])),
        max_broad_funds=draw(st.integers(0, 3)),
    )
    values = [0.1, 0.25, 0.5] + ([None] if weighting == "own" else [])
    raw = [
        draw(st.lists(st.sampled_from(values), min_size=funds, max_size=funds))
        for _ in range(SESSIONS)
    ]
    return rules, sectors, is_broad, scores, eligible, raw


def grid_of(rows):
    return np.array([[np.nan if value is None else value for value in row] for row in rows], float)


def pool_data(rules, sectors, is_broad, scores, eligible, raw):
    funds = len(sectors)
    dates = [date(2024, 1, 1) + timedelta(days=n) for n in range(SESSIONS + 1)]
    nothing = np.full((SESSIONS + 1, funds), np.nan)
    prices = Prices(
        dates, [f"f{n}" for n in range(funds)], nothing, nothing, nothing, nothing, {}, {}
    )
    return PoolData(
        prices=prices,
        sessions=np.arange(1, SESSIONS + 1),
        rebalances={("daily", 0): np.arange(1, SESSIONS + 1)},
        factors=(),
        percentile_ranks=np.empty((0, SESSIONS, funds)),
        scores=grid_of(scores),
        is_eligible={rules.weighting: np.array(eligible)},
        raw_values={rules.weighting: grid_of(raw)},
        adv20=np.full((SESSIONS, funds), 1e8),
        sectors=tuple(sectors),
        is_broad=np.array(is_broad),
        benchmark_returns=np.zeros(SESSIONS + 1),
        min_scored_share=0.5,
    )


def one_by_one(rules, sectors, is_broad, scores, eligible, raw):
    """The weights of each session's selected funds, by the function that the build calls."""
    found, previous = [], ()
    for session in range(SESSIONS):
        ranked = sorted(
            (n for n in range(len(sectors)) if scores[session][n] is not None),
            key=lambda n: (-scores[session][n], n),
        )
        funds = [
            Candidate(str(n), place, None, raw[session][n], sectors[n], is_broad[n])
            for place, n in enumerate(ranked, start=1)
            if eligible[session][n]
        ]
        reasons = choose(funds, rules, previous)
        selected = [fund for fund in funds if reasons[fund.symbol] in (SELECTED, KEPT)]
        (weights,) = weigh_all([selected], rules)
        found.append({int(f.symbol): w for f, w in zip(selected, weights, strict=True)})
        previous = {fund.symbol for fund in selected}
    return found


@given(cases())
def test_batch_selection_equals_single_selection(case):
    rules = case[0]
    data = pool_data(*case)
    chosen = Chosen(data, rules)
    chain = Chain(
        (), rules.weighting, rules.top_n, rules.keep_rank, rules.redistribute, "daily", 0, 1
    )
    # Beside the chain that counts, another with one session less: neither disturbs the
    # other.
    later = chain._replace(first=2)
    places = chosen.choose([later, chain])
    grids = chosen.laid_out()
    found = [
        {
            fund: grids["weight"].item(place, fund)
            for fund in np.flatnonzero(grids["is_target"][place]).tolist()
        }
        for place in (places[chain][session] for session in range(1, SESSIONS + 1))
    ]
    assert found == one_by_one(*case)
    assert list(places[later]) == [2, 3, 4]


def test_targets_have_the_raw_weights():
    """Three funds; the broad one has no sector, and the ranks are those of the scores."""
    rules = Rules(1, 2, 1.0, "inverse_volatility", True, 1, 0.6, 1.0, 1)  # noqa: FBT003
    case = (
        rules,
        ["a", "b", "c"],
        [False, True, False],
        [[0.1, 0.3, 0.2]] * SESSIONS,
        [[True] * 3] * SESSIONS,
        [[0.2, 0.1, 0.4]] * SESSIONS,
    )
    chosen = Chosen(pool_data(*case), rules)
    chain = Chain((), rules.weighting, 2, 1.0, True, "daily", 0, 1)  # noqa: FBT003
    places = chosen.choose([chain])[chain]
    grids = chosen.laid_out()
    first = {name: grid[places[1]].tolist() for name, grid in grids.items()}
    assert first["is_target"] == [False, True, True]
    assert first["rank"] == [0, 1, 2]
    assert first["raw_value"][1:] == [0.1, 0.4]
    assert (first["sector"][1] < 0) and (first["sector"][2] >= 0)
    assert [one for one in pairwise(sorted(places.values()))] == [(0, 1), (1, 2), (2, 3)]
