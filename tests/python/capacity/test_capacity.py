"""Capacity: every figure here is computed by hand."""

from datetime import date

import pyarrow as pa
import pytest
from etf_rotation.capacity.curve import (
    CURVE_SCHEMA,
    POOLS_SCHEMA,
    Fill,
    capacity_curve,
    curves_of_all,
    impact_cost,
)
from etf_rotation.capacity.limits import (
    CHECKS_SCHEMA,
    WEIGHTS_SCHEMA,
    Holding,
    Limits,
    check_all,
    check_portfolio,
)
from etf_rotation.errors import InputError

LIMITS = Limits(0.25, 0.40, 3, 0.05)
DAYS = [date(2021, 3, 1), date(2021, 3, 2), date(2021, 3, 3)]


def holding(symbol, weight=0.2, adv20=100e6, category="chips", **values):
    row = Holding(symbol, category, False, weight, weight, adv20)
    return row._replace(**values)


def values(checks, name):
    return {c.subject: c.value for c in checks if c.check_name == name}


def violations(checks):
    return {(c.check_name, c.subject) for c in checks if c.is_violation}


def check(*holdings, equity=10e6, limits=LIMITS, target_capital=None):
    return check_portfolio(holdings, limits, equity=equity, target_capital=target_capital)


def test_the_weights_of_a_category_add_up_and_broad_funds_are_counted_instead():
    checks = check(
        holding("A", 0.2),
        holding("B", 0.15),
        holding("C", 0.1, category="banks"),
        holding("D", 0.2, category="broad", is_broad=True),
        holding("E", 0.2, category="broad", is_broad=True),
    )
    assert values(checks, "sector_weight") == pytest.approx({"chips": 0.35, "banks": 0.1})
    assert values(checks, "broad_funds") == {"broad": 2}
    assert values(checks, "single_weight") == {"A": 0.2, "B": 0.15, "C": 0.1, "D": 0.2, "E": 0.2}
    assert violations(checks) == set()


def test_a_value_above_its_limit_is_a_violation():
    checks = check(
        *(holding(s, 0.1, category="broad", is_broad=True) for s in "ABCD"),
        holding("E", 0.26),
        holding("F", 0.15),
    )
    assert violations(checks) == {
        ("single_weight", "E"),
        ("sector_weight", "chips"),  # 0.41
        ("broad_funds", "broad"),  # 4
    }


def test_the_adv_check_uses_the_capped_weight():
    (share,) = values(check(holding("A", 0.2, order_weight=0.1, adv20=20e6)), "adv_pct").values()
    assert share == pytest.approx(0.05)  # 0.1 * 10,000,000 / 20,000,000


def test_a_limit_tolerates_a_relative_excess_of_1e_9_and_no_more():
    met = holding("A", order_weight=0.1 * (1 + 0.9e-9), adv20=20e6)
    broken = holding("B", order_weight=0.1 * (1 + 1.1e-9), adv20=20e6)
    assert violations(check(met, broken)) == {("adv_pct", "B")}


@pytest.mark.parametrize("adv20", [None, 0.0])
def test_a_missing_adv_is_a_violation_without_a_value(adv20):
    checks = check(holding("A", adv20=adv20), holding("B"), target_capital=10e6)
    assert violations(checks) == {("adv_pct", "A"), ("adv_pct_at_target_capital", "A")}
    assert values(checks, "adv_pct") == {"A": None, "B": 0.02}
    assert {c.days_to_liquidate for c in checks if c.subject == "A"} == {None}


def test_holdings_are_also_seen_at_the_target_capital_with_the_days_to_sell_them():
    checks = check(holding("A", 0.2, adv20=20e6), target_capital=40e6)
    shares = {c.check_name: (c.value, c.days_to_liquidate) for c in checks if "adv" in c.check_name}
    assert shares["adv_pct"] == pytest.approx((0.1, 2.0))  # 2,000,000 at 1,000,000 a day
    assert shares["adv_pct_at_target_capital"] == pytest.approx((0.4, 8.0))


def test_without_a_limit_on_broad_funds_they_are_not_counted():
    broad = [holding(s, 0.2, category="broad", is_broad=True) for s in "ABCDE"]
    checks = check(*broad, limits=LIMITS._replace(max_broad_funds=None))
    assert values(checks, "broad_funds") == {}
    assert violations(checks) == set()


def weights_table(*rows):
    names = WEIGHTS_SCHEMA.names
    rest = (1e6, 2e6, *LIMITS)
    return pa.table(
        {
            name: [(*key, *rest[:2], *fund, *rest[2:])[n] for key, fund in rows]
            for n, name in enumerate(names)
        }
    )


def test_each_portfolio_of_a_table_is_checked_alone():
    def row(pool, day, kind, symbol, weight, tranche=0):
        return (pool, day, symbol, kind, tranche), holding(symbol, weight)[1:]

    rows = [
        row("A_SHARE", DAYS[0], "binding", "A", 0.25),
        row("A_SHARE", DAYS[0], "binding", "B", 0.25),
        row("A_SHARE", DAYS[1], "binding", "A", 0.2),
        row("A_SHARE", DAYS[1], "informative", "A", 0.3),
        row("QDII", DAYS[0], "binding", "C", 0.1),
        row("QDII", DAYS[0], "binding", "C", 0.2, tranche=1),
    ]
    checks = check_all(weights_table(*rows))
    assert checks.schema == CHECKS_SCHEMA
    assert checks == check_all(weights_table(*reversed(rows)))
    found = [
        (c["pool"], c["trade_date"], c["kind"], c["tranche"], c["subject"], c["value"])
        for c in checks.to_pylist()
        if c["check_name"] == "sector_weight"
    ]
    assert found == [
        ("A_SHARE", DAYS[0], "binding", 0, "chips", 0.5),
        ("A_SHARE", DAYS[1], "binding", 0, "chips", 0.2),
        ("A_SHARE", DAYS[1], "informative", 0, "chips", 0.3),
        ("QDII", DAYS[0], "binding", 0, "chips", 0.1),
        ("QDII", DAYS[0], "binding", 1, "chips", 0.2),
    ]
    at_target = {
        c["kind"] for c in checks.to_pylist() if c["check_name"] == "adv_pct_at_target_capital"
    }
    assert at_target == {"informative"}


def test_an_order_of_a_days_volume_costs_a_days_volatility():
    cost = {"volatility": 0.02, "impact_coefficient": 1.0}
    assert impact_cost(5e6, adv20=5e6, **cost) == pytest.approx(100_000)  # 2% of it
    # A quarter of the volume: half the rate on a quarter of the value.
    assert impact_cost(1.25e6, adv20=5e6, **cost) == pytest.approx(12_500)


def curve(fills, equity, capitals=(1e6,), coefficient=1.0, sessions_per_year=3):
    return capacity_curve(
        fills,
        dict(zip(DAYS, equity, strict=False)),
        capitals,
        target_capital=1e6,
        impact_coefficient=coefficient,
        sessions_per_year=sessions_per_year,
    )


def fill(day, value, adv20=1e6, volatility=0.02, sequence=0):
    return Fill("A_SHARE", sequence, DAYS[day], "A", value, adv20, volatility)


def test_impact_is_paid_from_the_sessions_equity_and_compounds():
    # 250,000 of an ADV of 1,000,000: rate 0.02 * 0.5 = 1%, cost 2,500, on two sessions.
    fills = [fill(0, 250_000), fill(2, 250_000)]
    (point,) = curve(fills, [1.0e6, 1.1e6, 1.21e6])
    assert point.annual_return == pytest.approx(0.21)  # three sessions are a year
    # growths (1,000,000 - 2,500) / 1,000,000, 1.1, (1,210,000 - 2,500) / 1,100,000
    assert point.net_annual_return == pytest.approx(0.9975 * 1.1 * 1_207_500 / 1_100_000 - 1)
    assert point.annual_impact_cost == pytest.approx(2_500 / 1_000_000 + 2_500 / 1_100_000)
    assert (point.max_order_share, point.fills) == (0.25, 2)


def test_four_times_the_capital_pays_twice_the_share():
    one, four = curve([fill(0, 250_000)], [1e6, 1e6, 1e6], (1e6, 4e6))
    assert one.net_annual_return == pytest.approx(-0.0025)
    assert four.net_annual_return == pytest.approx(-0.005)
    assert (one.max_order_share, four.max_order_share) == (0.25, 1.0)


def test_a_zero_coefficient_means_no_impact_and_a_huge_one_loses_everything_at_most():
    (free,) = curve([fill(0, 250_000)], [1e6, 1.1e6, 1.21e6], coefficient=0.0)
    assert free.net_annual_return == pytest.approx(free.annual_return, abs=1e-15)
    (ruined,) = curve([fill(0, 250_000)], [1e6, 1.1e6, 1.21e6], coefficient=1e3)
    assert ruined.net_annual_return == -1


@pytest.mark.parametrize("missing", [{"adv20": None}, {"volatility": None}])
def test_a_fill_without_an_estimate_leaves_the_net_return_unknown(missing):
    (point,) = curve([fill(0, 250_000), fill(1, 1e5, **missing)], [1e6, 1.1e6, 1.21e6])
    assert point.fills_without_estimate == 1
    assert (point.net_annual_return, point.annual_impact_cost, point.max_order_share) == (
        None,
        None,
        None,
    )
    assert point.annual_return == pytest.approx(0.21)


def test_a_year_without_a_fill_has_no_impact():
    (point,) = curve([], [1e6, 1.1e6, 1.21e6])
    assert point.net_annual_return == pytest.approx(0.21)
    assert (point.annual_impact_cost, point.max_order_share) == (0, 0)


def tables():
    fills = pa.Table.from_pylist(
        [fill(0, 250_000)._asdict(), fill(2, 250_000, sequence=1)._asdict()]
    )
    equity = pa.Table.from_pylist(
        [
            {"pool": pool, "trade_date": day, "equity": value}
            for pool in ("A_SHARE", "PORTFOLIO")
            for day, value in zip(DAYS, [1.0e6, 1.1e6, 1.21e6], strict=True)
        ]
    )
    pools = [{"pool": pool, "target_capital": 1e6} for pool in ("A_SHARE", "QDII")]
    return fills, equity, pa.Table.from_pylist(pools, schema=POOLS_SCHEMA)


def curves(capitals=(4e6, 1e6), coefficient=1.0):
    return curves_of_all(
        *tables(), capitals=capitals, impact_coefficient=coefficient, sessions_per_year=3
    )


def test_pools_that_traded_have_a_curve_dated_on_their_last_session():
    table = curves()
    assert table.schema == CURVE_SCHEMA
    keys = [(row["pool"], row["trade_date"], row["capital_cny"]) for row in table.to_pylist()]
    assert keys == [("A_SHARE", DAYS[2], 1e6), ("A_SHARE", DAYS[2], 4e6)]


@pytest.mark.parametrize("capitals", [(), (1e6, 0.0), (-1.0,), (float("inf"),)])
def test_invalid_capitals_are_rejected(capitals):
    with pytest.raises(InputError, match="capacity_capitals"):
        curves(capitals)


def test_a_negative_coefficient_is_refused():
    with pytest.raises(InputError, match="impact_coefficient is -1"):
        curves(coefficient=-1)
