"""PORTFOLIO against sleeves computed by hand."""

from datetime import date

import pyarrow as pa
import pytest
from etf_rotation.backtest.sleeves import MEMBERS_SCHEMA, SESSIONS_SCHEMA, SLEEVES_SCHEMA, run

JAN_28, JAN_29, FEB_1, FEB_2 = (
    date(2021, 1, 28),
    date(2021, 1, 29),
    date(2021, 2, 1),
    date(2021, 2, 2),
)
NAMES = {"portfolio": "mix", "strategy": "rotation"}
MEMBERS = [
    {**NAMES, "pool": "A", "target_capital": 700.0, "portfolio_weight": 0.6},
    {**NAMES, "pool": "B", "target_capital": 300.0, "portfolio_weight": 0.4},
]
# pool: [(session, return, benchmark's return)]
CURVES = {
    "A": [(JAN_28, 0.5, 0.5), (JAN_29, 0.10, 0.0), (FEB_1, 0.10, 0.0), (FEB_2, -0.05, 0.1)],
    "B": [(JAN_29, -0.10, 0.2), (FEB_1, 0.0, 0.0), (FEB_2, 0.20, -0.1), (date(2021, 2, 3), 9, 9)],
    "C": [(JAN_29, 0.7, 0.7)],
}


def sessions(curves, strategy="rotation"):
    return [
        {
            "strategy": strategy,
            "pool": pool,
            "trade_date": day,
            "daily_return": r,
            "benchmark_return": b,
        }
        for pool, curve in curves.items()
        for day, r, b in curve
    ]


def combine(rows, members):
    table = run(
        pa.Table.from_pylist(rows, SESSIONS_SCHEMA), pa.Table.from_pylist(members, MEMBERS_SCHEMA)
    )
    assert table.schema == SLEEVES_SCHEMA
    return table.to_pylist()


def combined(curves=CURVES, members=MEMBERS):
    return combine(sessions(curves), members)


def test_it_runs_from_the_latest_first_session_to_the_earliest_last():
    assert [(row["trade_date"], row["pool"]) for row in combined()] == [
        (day, pool) for day in (JAN_29, FEB_1, FEB_2) for pool in ("A", "B")
    ]


def test_sleeves_earn_their_pools_returns_and_are_reset_before_the_month():
    # The capital is 1,000: 600 and 400 before the first session, whose return counts.
    # Jan 29: 600 * 1.10 = 660, 400 * 0.90 = 360, together 1,020; reset to 612 and 408.
    # Feb 1: 612 * 1.10 = 673.2, 408; together 1,081.2; no reset.
    # Feb 2: 673.2 * 0.95 = 639.54, 408 * 1.20 = 489.6; together 1,129.14.
    rows = combined()
    sleeves = [row["sleeve"] for row in rows]
    assert sleeves == pytest.approx([660, 360, 673.2, 408, 639.54, 489.6], rel=1e-14)
    equity = [(row["previous_equity"], row["equity"]) for row in rows[::2]]
    assert equity == [
        pytest.approx(pair, rel=1e-14)
        for pair in [(1_000, 1_020), (1_020, 1_081.2), (1_081.2, 1_129.14)]
    ]


def test_the_benchmarks_are_combined_as_the_sleeves_are():
    # Jan 29: 600, 400 * 1.2 = 480, together 1,080; reset to 648 and 432.
    # Feb 2: 648 * 1.1 = 712.8, 432 * 0.9 = 388.8, together 1,101.6 = 1,080 * 1.02.
    returns = [row["benchmark_return"] for row in combined()[::2]]
    assert returns == pytest.approx([0.08, 0.0, 0.02], abs=1e-14)


def test_a_single_pool_with_all_the_weight_is_the_portfolio():
    members = [{**MEMBERS[0], "portfolio_weight": 1.0}]
    equity = [row["equity"] for row in combined(members=members)]
    # From 700, the capital of A; its first session is January 28.
    assert equity == pytest.approx([1_050, 1_155, 1_270.5, 1_206.975], rel=1e-14)


def test_a_month_boundary_at_the_turn_of_the_year_resets_too():
    days = date(2020, 1, 2), date(2021, 1, 4)
    curves = {"A": [(days[0], 0.5, 0), (days[1], 0.1, 0)], "B": [(days[0], 0, 0), (days[1], 0, 0)]}
    # 900 + 400 = 1,300; reset to 780 and 520; 780 * 1.1 + 520 = 1,378. Unreset: 1,390.
    assert combined(curves)[-1]["equity"] == pytest.approx(1_378, rel=1e-14)


@pytest.mark.parametrize("missing", ["A", "B"])
def test_portfolio_is_missing_without_all_of_its_pools(missing):
    assert combined({pool: curve for pool, curve in CURVES.items() if pool != missing}) == []


def test_a_pool_outside_the_portfolio_changes_nothing():
    without = {pool: CURVES[pool] for pool in "AB"}
    assert combined(without) == combined()


def test_a_strategy_outside_the_portfolio_changes_nothing():
    other = {pool: [(JAN_29, 9.0, 9.0)] for pool in "AB"}
    rows = sessions(CURVES) + sessions(other, strategy="equal_weight")
    assert combine(rows, MEMBERS) == combined()


def test_every_portfolio_follows_the_strategy_of_each_of_its_members():
    other = {"A": CURVES["B"]}
    rows = sessions(CURVES) + sessions(other, strategy="equal_weight")
    swapped = [
        {**MEMBERS[0], "portfolio": "other", "strategy": "equal_weight"},
        {**MEMBERS[1], "portfolio": "other"},
    ]
    found = combine(rows, [*MEMBERS, *swapped])
    assert [row for row in found if row["strategy"] == "mix"] == combined()
    # A earns what B does: 600 and 400 are 1,000 * 0.90 on January 29.
    assert [row["equity"] for row in found if row["strategy"] == "other"][0] == 900


def test_portfolio_is_missing_if_its_pools_share_no_session():
    assert combined({"A": CURVES["A"][:1], "B": CURVES["B"]}) == []


def test_portfolio_is_missing_without_a_member_pool():
    assert combined(members=[]) == []


def test_later_sessions_change_no_bit():
    cut = {pool: [row for row in curve if row[0] <= FEB_1] for pool, curve in CURVES.items()}
    assert combined(cut) == combined()[:4]


def test_a_pool_that_skips_a_session_is_refused():
    curves = {**CURVES, "B": [CURVES["B"][0], *CURVES["B"][2:]]}
    with pytest.raises(ValueError, match="pool B, trade_date 2021-02-01: no row"):
        combined(curves)


def test_a_return_that_is_no_number_is_refused():
    curves = {**CURVES, "A": [(JAN_29, float("nan"), 0.0)]}
    with pytest.raises(ValueError, match="pool A, trade_date 2021-01-29: daily_return is not fin"):
        combined(curves)
