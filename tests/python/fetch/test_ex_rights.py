"""The ex-rights previous close from unadjusted and forward-adjusted closes.

Closes and actions of real funds are a few public digits: what the exchange published
around the ex-days named. The series around them are made up.
"""

import datetime as dt
import math

import numpy as np
import pytest
from etf_rotation.fetch.ex_rights import (
    DIVIDEND,
    SPLIT,
    ContradictionError,
    previous_closes,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from vendors import Market, make_market, rounded, sessions

TICK = 0.001


def forward_adjusted(raw, actions):
    """Adjust closes as Eastmoney does; `actions` maps rows to ("dividend", CNY) or ("split", n)."""
    adjusted, slope, offset = np.empty(len(raw)), 1.0, 0.0
    for row in range(len(raw) - 1, -1, -1):
        adjusted[row] = rounded(slope * raw[row] + offset)
        kind, size = actions.get(row, (None, None))
        if kind == "dividend":
            offset -= slope * size
        elif kind == "split":
            slope /= size
    return adjusted


def walk(count, *, start=2.0, seed=1):
    """Closes in whole ticks that move by up to 2% a session."""
    moves = np.random.default_rng(seed).uniform(-0.02, 0.02, count)
    return np.array([rounded(value) for value in start * np.cumprod(1 + moves)])


def with_actions(raw, actions):
    """Let the prices fall by each action on its day."""
    raw = raw.copy()
    for row, (kind, size) in sorted(actions.items()):
        before = raw[row - 1]
        after = before - size if kind == "dividend" else before / size
        raw[row:] = [rounded(value * after / before) for value in raw[row:]]
    return raw


def reference(raw, row, action):
    """The exchange's previous close, not rounded."""
    kind, size = action
    return raw[row - 1] - size if kind == "dividend" else raw[row - 1] / size


# -- real ex-days (published by vendors; docs/data.md) ---------------------------------


@pytest.mark.parametrize(
    ("before", "action", "close", "pre_close"),
    [
        (5.192, ("split", 5), 1.015, 1.038),  # 513100.SH 2022-01-14
        (2.644, ("split", 2), 1.375, 1.322),  # 512690.SH 2021-05-17
        (1.323, ("dividend", 0.35), 0.965, 0.973),  # 512690.SH 2021-12-31
        (4.940, ("split", 4), 1.261, 1.235),  # 159928.SZ 2021-06-25
        (2.243, ("split", 0.28034), 7.818, 8.001),  # 510500.SH 2015-04-15, a merge
    ],
)
@pytest.mark.parametrize("later_rows", [0, 1, 40])
def test_real_ex_days_are_recovered(before, action, close, pre_close, later_rows):
    history = walk(60, start=before)
    history = np.array([rounded(value * before / history[-1]) for value in history])
    later = walk(later_rows, start=close, seed=2)
    raw = np.concatenate([history, [close], later])
    found, tolerance, events = previous_closes(raw, forward_adjusted(raw, {60: action}))
    assert found[60] == pytest.approx(pre_close, abs=TICK / 2 + 1e-9)
    assert tolerance[60] == pytest.approx(TICK / 2, abs=2e-6)
    assert [event.row for event in events] == [60]
    assert events[0].kind == (SPLIT if action[0] == "split" else DIVIDEND)
    if action[0] == "split":
        assert events[0].share_ratio == pytest.approx(action[1], rel=2e-4)


def test_without_an_action_the_previous_close_is_the_raw_one():
    raw = walk(50)
    found, _, events = previous_closes(raw, raw.copy())
    assert math.isnan(found[0])
    assert (found[1:] == raw[:-1]).all()
    assert events == []


def test_a_common_share_ratio_is_recovered_exactly():
    raw = with_actions(walk(300, start=6.0), {150: ("split", 3)})
    (event,) = previous_closes(raw, forward_adjusted(raw, {150: ("split", 3)}))[2]
    assert event.share_ratio == 3


def test_the_previous_close_is_recovered_from_negative_adjusted_prices():
    """An old fund whose dividends exceed its early prices."""
    actions = {row: ("dividend", 0.21) for row in range(40, 400, 40)}
    raw = np.concatenate([[rounded(0.9 + 0.004 * row) for row in range(400)]])
    adjusted = forward_adjusted(raw, actions)
    assert adjusted.min() < 0
    found, _, events = previous_closes(raw, adjusted)
    assert [event.row for event in events] == sorted(actions)
    for row, action in actions.items():
        assert found[row] == pytest.approx(reference(raw, row, action), abs=TICK)


def test_monthly_dividends_and_a_split_between_them_are_recovered():
    actions = {row: ("dividend", 0.005 + row / 20_000) for row in range(21, 400, 21)}
    actions[200] = ("split", 2)
    raw = with_actions(walk(420, start=4.0), actions)
    found, tolerance, events = previous_closes(raw, forward_adjusted(raw, actions))
    assert [event.row for event in events] == sorted(actions)
    for row, action in actions.items():
        assert abs(found[row] - reference(raw, row, action)) <= tolerance[row] + TICK / 2


def test_an_action_on_the_newest_bar_is_seen():
    raw = with_actions(walk(31), {30: ("dividend", 0.02)})
    found, _, events = previous_closes(raw, forward_adjusted(raw, {30: ("dividend", 0.02)}))
    assert found[30] == pytest.approx(raw[29] - 0.02, abs=1e-9)
    assert [event.row for event in events] == [30]


def test_an_action_unknown_to_the_vendor_is_not_detected():
    raw = with_actions(walk(31), {30: ("dividend", 0.02)})
    found, _, events = previous_closes(raw, forward_adjusted(raw, {}))
    assert (found[30], events) == (raw[29], [])


def test_an_action_after_the_last_row_is_tolerated():
    """Today is an ex-day, but its row is dropped because the session is not over."""
    actions = {50: ("dividend", 0.03), 80: ("split", 2)}
    raw = with_actions(walk(81), actions)
    adjusted = forward_adjusted(raw, actions)
    found, _, events = previous_closes(raw[:80], adjusted[:80], is_anchored=False)
    assert [event.row for event in events] == [50]
    assert found[50] == pytest.approx(raw[49] - 0.03, abs=0.0015)
    with pytest.raises(ContradictionError):
        previous_closes(raw[:80], adjusted[:80])


def test_a_row_with_different_rounding_is_no_action():
    raw = walk(60)
    adjusted = raw.copy()
    adjusted[30] += TICK
    assert previous_closes(raw, adjusted)[2] == []


@pytest.mark.parametrize("row", [5, 30, 59])
def test_a_row_of_another_series_contradicts(row):
    raw = walk(60)
    adjusted = raw.copy()
    adjusted[row] += 0.1
    with pytest.raises(ContradictionError) as caught:
        previous_closes(raw, adjusted)
    assert caught.value.row == row


def test_series_of_two_funds_contradict():
    with pytest.raises(ContradictionError):
        previous_closes(walk(200, seed=1), walk(200, seed=2))


# -- any actions -----------------------------------------------------------------------


@st.composite
def histories(draw):
    """Actions 17 sessions apart and more, two splits at most, dividends of four decimals."""
    count = draw(st.integers(60, 260))
    rows, row = [], draw(st.integers(8, 30))
    while row < count:
        rows.append(row)
        row += draw(st.integers(17, 90))
    actions, splits = {}, set(draw(st.lists(st.sampled_from(rows or [0]), max_size=2)))
    for row in rows:
        if row in splits:
            actions[row] = ("split", draw(st.sampled_from([2, 3, 4, 0.5])))
        else:
            actions[row] = ("dividend", draw(st.integers(100, 800)) / 10_000)
    ratio = math.prod(size for kind, size in actions.values() if kind == "split")
    start = draw(st.floats(1.5, 6.0)) * max(1.0, ratio)
    raw = with_actions(walk(count, start=start, seed=draw(st.integers(0, 10_000))), actions)
    return raw, actions


@given(histories())
@settings(max_examples=120, deadline=None, derandomize=True)
def test_every_action_is_recovered_within_its_tolerance(history):
    raw, actions = history
    if raw.min() < 0.3:  # smaller than any fund's price
        return
    found, tolerance, events = previous_closes(raw, forward_adjusted(raw, actions))
    seen = {event.row for event in events}
    for row, action in actions.items():
        # After a split, a dividend may be too small for three decimals.
        limit = tolerance[row] + TICK / 2 if row in seen else 2 * tolerance[row]
        assert abs(found[row] - reference(raw, row, action)) <= limit + 1e-9
    ordinary = [row for row in range(1, len(raw)) if row not in seen]
    assert (found[ordinary] == raw[[row - 1 for row in ordinary]]).all()


@given(histories(), st.integers(1, 40))
@settings(max_examples=120, deadline=None, derandomize=True)
def test_later_sessions_and_actions_change_nothing_beyond_the_tolerance(history, days):
    """A later fetch must not restate the result of an earlier one."""
    raw, actions = history
    if raw.min() < 0.3:
        return
    early = max(31, len(raw) - days)
    known = {row: action for row, action in actions.items() if row < early}
    before, _, _ = previous_closes(raw[:early], forward_adjusted(raw[:early], known))
    first = early - 31
    adjusted = forward_adjusted(raw, actions)[first:]
    after, tolerance, _ = previous_closes(raw[first:], adjusted)
    overlap = slice(1, early - first)
    difference = np.abs(after[overlap] - before[first:early][overlap])
    assert (difference <= tolerance[overlap] + 1e-9).all()


def test_the_made_up_market_adjusts_as_these_tests_do():
    days = sessions(dt.date(2024, 6, 28), 80)
    market = make_market(["510300.SH"], days, splits={("510300.SH", days[40]): 2})
    raw = np.array([bar.close for bar in market.bars["510300.SH"]])
    lines = market.forward_adjusted("510300.SH")
    played = [rounded(a * close + b) for close, (a, b) in zip(raw, lines, strict=True)]
    assert played == list(forward_adjusted(raw, {40: ("split", 2)}))
    assert isinstance(market, Market)
