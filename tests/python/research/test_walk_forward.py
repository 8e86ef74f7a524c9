"""Walk-forward: the chosen variant, its period, and the cost of switching to it."""

from datetime import date, timedelta

import numpy as np
import pytest
from etf_rotation.errors import InputError
from etf_rotation.research.walk_forward import (
    Choice,
    Costs,
    Windows,
    choose,
    figures,
    follow,
    read_windows,
)

WEEKDAYS = [
    day
    for n in range(400)
    if (day := date(2023, 1, 2) + timedelta(days=n)).weekday() < 5 and day < date(2024, 1, 1)
]


def months(days):
    return np.array([day.month for day in days])


def test_the_best_of_the_trailing_months_is_followed_for_the_next():
    """Three variants, each the best of some months; windows of 3 and 2 months."""
    month = months(WEEKDAYS)
    wiggle = np.tile([0.001, -0.001], len(WEEKDAYS))[: len(WEEKDAYS), None]
    excess = np.zeros((len(WEEKDAYS), 3)) + wiggle
    excess[month <= 3, 1] += 0.01  # best of January to March
    excess[(month >= 3) & (month <= 5), 2] += 0.02  # best of March to May
    excess[month >= 9, 0] += 0.01
    choices = choose(excess, WEEKDAYS, date(2022, 12, 30), Windows(3, 2))
    assert [WEEKDAYS[own.session] for own in choices] == [
        date(2023, 4, 3),
        date(2023, 6, 1),
        date(2023, 8, 1),
        date(2023, 10, 2),
        date(2023, 12, 1),
    ]
    # August looks at May to July; October at July to September.
    assert [own.variant for own in choices] == [1, 2, 2, 0, 0]
    trailing = excess[month <= 3, 1]
    assert choices[0].sharpe == pytest.approx(trailing.mean() / trailing.std(ddof=1))


def test_no_choice_sees_the_session_that_it_begins_on_or_a_later_one():
    generator = np.random.default_rng(5)
    excess = generator.normal(0, 0.01, (len(WEEKDAYS), 20))
    choices = choose(excess, WEEKDAYS, date(2022, 12, 30), Windows(4, 1))
    for own in choices:
        later = excess.copy()
        later[own.session :] = generator.normal(0, 0.01, later[own.session :].shape)
        again = choose(later, WEEKDAYS, date(2022, 12, 30), Windows(4, 1))
        assert again[choices.index(own)] == own
    assert len({own.variant for own in choices}) > 2


def test_a_month_that_has_begun_before_the_first_session_is_no_whole_month():
    excess = np.random.default_rng(6).normal(0, 0.01, (len(WEEKDAYS), 2))
    for before, first in (
        (date(2022, 12, 30), date(2023, 4, 3)),
        (date(2023, 1, 1), date(2023, 5, 1)),
    ):
        choices = choose(excess, WEEKDAYS, before, Windows(3, 12))
        assert [WEEKDAYS[own.session] for own in choices] == [first]


def test_a_variant_that_begins_within_the_trailing_months_is_not_chosen():
    excess = np.random.default_rng(7).normal(0, 0.01, (len(WEEKDAYS), 2))
    excess[:, 1] += 0.01
    excess[:30, 1] = np.nan
    choices = choose(excess, WEEKDAYS, date(2022, 12, 30), Windows(3, 3))
    assert [own.variant for own in choices] == [0, 1, 1]


def test_too_short_a_history_gives_no_choice():
    excess = np.zeros((len(WEEKDAYS), 2))
    assert choose(excess, WEEKDAYS, date(2022, 12, 30), Windows(12, 1)) == []


def test_every_switch_is_charged_for_its_turnover_by_hand():
    """Two funds: from cash to half of each, then all into the first, then the same again."""
    returns = np.array([[0.0, 0.0], [0.01, 0.05], [0.02, 0.05], [0.03, 0.05], [0.04, 0.05]])
    held = {0: np.array([0.5, 0.5]), 1: np.array([1.0, 0.0])}
    choices = [Choice(1, 0, 0.1), Choice(3, 1, 0.1), Choice(4, 1, 0.1)]
    costs = [Costs(10.0, 2.5, 5.0), Costs(20.0, 0.0, 5.0)]
    found = follow(choices, returns, lambda variant, session: held[variant], costs, 10_000.0)

    first = 1.0 * 0.0010 + 2 * 5 / 10_000  # 5,000 CNY at 2.5 bp are less than the minimum
    equity = 10_000 * (1 - first) * 1.01 * 1.02
    second = 1.0 * 0.0020 + 2 * 5 / equity
    assert [own.turnover for own in found.choices] == [1.0, 1.0, 0.0]
    assert [own.cost for own in found.choices] == pytest.approx([first, second, 0.0], rel=1e-12)
    expected = [(1 - first) * 1.01 - 1, 0.02, (1 - second) * 1.05 - 1, 0.05]
    assert found.returns == pytest.approx(expected, rel=1e-12)


def test_figures_are_those_of_the_metrics(sample):
    """On a curve of the sample; the table's are the reference."""
    where = "where strategy = 'rotation' and pool = 'A_SHARE'"
    returns = sample.connection.execute(
        f"select daily_return from backtest.equity_daily {where} order by trade_date"
    ).fetchnumpy()["daily_return"]
    (row,) = sample.connection.execute(
        f"select annual_return, sharpe, max_drawdown from backtest.metrics {where}"
    ).fetchall()
    assert figures(returns, 252, 0.03) == pytest.approx(row, rel=1e-9)


@pytest.mark.parametrize("text", ["36", "36,12,1", "0,12", "36,x", "-36,12", ""])
def test_invalid_windows_are_rejected(text):
    with pytest.raises(InputError, match="give the months to choose by"):
        read_windows(text)


def test_windows_are_two_numbers_of_months():
    assert read_windows("36, 12") == Windows(36, 12)
