"""Redistributed weights of many selections against `weights.redistribute`."""

import numpy as np
import pytest
from etf_rotation.signals.weight_arrays import Caps, Selected, redistribute_rows
from etf_rotation.signals.weights import Cap, Limits, redistribute
from hypothesis import given
from hypothesis import strategies as st

# Values that make ties: equal weights, sectors at their limit, caps of whole units.
LIMITS = [(0.2, 0.3), (0.25, 0.4), (0.3, 0.5), (0.5, 0.4), (1.0, 1.0), (0.07, 0.11)]
VALUES = [0.1, 0.2, 0.25, 1 / 3, 0.0123456789]
OWN_VALUES = [*VALUES, 0.0]
ADV20 = [1e5, 2e5, 4e5, 123_456.7, 1e9]


@st.composite
def selections(draw):
    """The selected funds of one rebalance, as arguments of `redistribute`."""
    count = draw(st.integers(0, 8))
    weighting = draw(st.sampled_from(["equal", "inverse_volatility", "own"]))
    values = OWN_VALUES if weighting == "own" else VALUES
    amounts = st.one_of(st.sampled_from(values), st.floats(0.001, 1.0))
    sectors = st.sampled_from([None, 0, 1, 2])
    return (
        weighting,
        draw(st.lists(amounts, min_size=count, max_size=count)),
        draw(st.lists(sectors, min_size=count, max_size=count)),
        Limits(*draw(st.sampled_from(LIMITS))),
    )


@st.composite
def capped_selections(draw):
    weighting, values, sectors, limits = draw(selections())
    equity = draw(st.sampled_from([1e5, 250_983.28125277508]))
    tranches = draw(st.sampled_from([1, 4]))
    caps = {
        n: Cap(0.05, draw(st.sampled_from(ADV20)), tranches, equity)
        for n in range(len(values))
        if draw(st.booleans())
    }
    return weighting, values, sectors, limits, caps


def laid_out(cases, fill):
    """Rows of values, each fund in the second of two columns."""
    grid = np.full((len(cases), 16), fill)
    for row, own in zip(grid, cases, strict=True):
        row[1 : 2 * len(own) : 2] = own
    return grid


def at_once(cases):
    selected = Selected(
        np.array([case[0] for case in cases]),
        laid_out([[True] * len(case[1]) for case in cases], fill=False),
        laid_out([case[1] for case in cases], np.nan),
        laid_out([[-1 if s is None else s for s in case[2]] for case in cases], 2),
        np.array([case[3].max_single_weight for case in cases]),
        np.array([case[3].max_sector_weight for case in cases]),
    )
    caps = None
    if len(cases[0]) > 4:
        some = [next(iter(case[4].values()), Cap(0.05, 1.0, 1, 1.0)) for case in cases]
        funds = [range(len(case[1])) for case in cases]
        caps = Caps(
            laid_out(
                [[n in case[4] for n in own] for case, own in zip(cases, funds, strict=True)],
                fill=False,
            ),
            np.array([cap.max_adv_pct for cap in some]),
            laid_out(
                [
                    [case[4][n].adv20 if n in case[4] else np.nan for n in own]
                    for case, own in zip(cases, funds, strict=True)
                ],
                np.nan,
            ),
            np.array([cap.tranches for cap in some]),
            np.array([cap.equity for cap in some]),
        )
    return redistribute_rows(selected, caps)


def lists_of(kind):
    return st.lists(kind, min_size=1, max_size=4)


@given(st.one_of(lists_of(selections()), lists_of(capped_selections())))
def test_weights_at_once_equal_the_weights_one_by_one(cases):
    assert (
        at_once(cases).tolist() == laid_out([redistribute(*case) for case in cases], 0.0).tolist()
    )


@pytest.mark.parametrize(
    ("count", "sectors", "weights"),
    [
        (4, [None] * 4, [0.25] * 4),
        (3, [None] * 3, [0.25] * 3),
        (5, [0, 0, 0, None, None], [0.133333333333] * 3 + [0.25] * 2),
        (8, [None] * 8, [0.125] * 8),
    ],
)
def test_ties_that_doubles_cannot_decide_are_exact(count, sectors, weights):
    case = "equal", [1.0] * count, sectors, Limits(0.25, 0.4)
    assert at_once([case])[0, 1 : 2 * count : 2].tolist() == weights
