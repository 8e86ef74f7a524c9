"""The rolling and smoothed statistics of macros/ against direct windows."""

import json

import duckdb
import numpy as np
import pytest
from conftest import PROJECT, run_dbt

WINDOWS = [2, 3, 5, 13, 14, 20, 250]
# Histories: one bar, shorter and longer than windows, constant, huge and tiny values,
# long.
FUNDS = [1, 2, 13, 60, 300, 251, 19, 4200]

INLINE = """
{% set lengths = WINDOWS %}
with bars as (
    select
        *,
        case when bar_number > 3 then y / (y + 0.1) else 0.0 end as drift_kept,
        case
            when bar_number > 3 then x * 0.1 / (y + 0.1)
            when bar_number = 3 then x
            else 0.0
        end as drift_added,
        case when bar_number > 1 then 1.0::double else 0.0 end as count_kept,
        1.0::double as count_added
    from walks
    order by symbol, bar_number
),
{{ rolling('windows', 'bars', lengths, sum=['x'], ssd=['x', 'y'], cov=[('x', 'y')], index_cov=['x'],
    moments=['y'], min=['x'], max=['y'], drawdown=['x'], since_extreme=['y']) }},
{{ smoothing('averages', 'windows', [
    ema_state('ema_20', 'x', 20), ema_state('ema_250', 'x', 250, first=3),
    ema_state('wilder_14', 'y', 14, span=28, cutoff=1e-21), wilder_sum_state('sum_14', 'y', 14),
]) }},
{{ linear_recurrence('carried', 'averages', ['drift', 'count']) }}
select *, {{ lag_bars('x', 5) }} as x_5_ago, {{ sd('x', 20) }} as x_sd from carried
""".replace("WINDOWS", str(WINDOWS))


def walks():
    """Return the funds as columns: symbol, bar_number, x and y, both positive."""
    rng = np.random.default_rng(11)
    parts = []
    for number, count in enumerate(FUNDS):
        x = np.exp(rng.normal(0, 0.02, count).cumsum()) * 10.0 ** rng.integers(-3, 4)
        y = np.round(np.exp(rng.normal(0, 0.3, count)), 2) * 100
        if number == 4:
            x[:] = 0.1
            y[:] = 0.7
        parts.append((np.full(count, f"F{number}"), np.arange(1, count + 1), x, y))
    columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    return dict(zip(("symbol", "bar_number", "x", "y"), columns, strict=True))


@pytest.fixture(scope="module")
def statement(tmp_path_factory):
    """The engine's SQL over a table `walks`, as dbt renders it."""
    folder = tmp_path_factory.mktemp("engine")
    done = run_dbt(folder, folder, "compile", "--inline", INLINE, "--no-introspect")
    assert done.success, done.exception
    return done.result.results[0].node.compiled_code


def computed(statement, rows, *, threads=2):
    """Return the engine's columns by name, and check that every lag streams."""
    with duckdb.connect() as connection:
        connection.execute(f"set threads = {threads}")
        connection.execute("create table walks as select * from rows")
        plan = connection.execute(f"explain (format json) {statement}").fetchall()[0][1]
        names = [node["name"].strip() for node in _nodes(json.loads(plan))]
        assert "STREAMING_WINDOW" in names
        assert "WINDOW" not in names
        found = connection.execute(statement).fetchnumpy()
    return {name: _filled(column) for name, column in found.items()}


def _filled(column):
    if column.dtype.kind == "O":
        return np.asarray(column)
    return np.ma.filled(column.astype(float), np.nan)


def _nodes(tree):
    for node in tree if isinstance(tree, list) else [tree]:
        yield node
        yield from _nodes(node.get("children", []))


def direct(x, y):
    """Return the statistics of one fund, each window on its own, in long double."""
    x, y = x.astype(np.longdouble), y.astype(np.longdouble)
    out = {}
    for n in WINDOWS:

        def each(f, n=n):
            return np.array(
                [np.nan if t + 1 < n else float(f(slice(t + 1 - n, t + 1))) for t in range(len(x))]
            )

        ramp = np.arange(n) - (n - 1) / 2
        out |= {
            f"x_sum_{n}": each(lambda w: x[w].sum()),
            f"x_ssd_{n}": each(lambda w: ((x[w] - x[w].mean()) ** 2).sum()),
            f"x_y_cov_{n}": each(lambda w: ((x[w] - x[w].mean()) * (y[w] - y[w].mean())).sum()),
            f"x_index_cov_{n}": each(lambda w, ramp=ramp: (x[w] * ramp).sum()),
            f"y_m3_{n}": each(lambda w: ((y[w] - y[w].mean()) ** 3).sum()),
            f"y_m4_{n}": each(lambda w: ((y[w] - y[w].mean()) ** 4).sum()),
            f"x_min_{n}": each(lambda w: x[w].min()),
            f"y_max_{n}": each(lambda w: y[w].max()),
            f"x_drawdown_{n}": each(lambda w: (x[w] / np.maximum.accumulate(x[w])).min() - 1),
            f"y_since_max_{n}": each(lambda w: np.argmax(y[w][::-1])),
            f"y_since_min_{n}": each(lambda w: np.argmin(y[w][::-1])),
        }
    out["ema_20"] = smoothed(x, 19, x[:20].mean(), 2 / 21, 1 - 2 / 21)
    out["ema_250"] = smoothed(x, 251, x[2:252].mean() if len(x) > 251 else 0, 2 / 251, 1 - 2 / 251)
    out["wilder_14"] = smoothed(y, 13, y[:14].mean(), 1 / 14, 13 / 14)
    out["sum_14"] = smoothed(y, 13, y[1:14].sum(), 1, 13 / 14)
    out["drift"] = smoothed(x, 2, x[2] if len(x) > 2 else 0, 0.1 / (y + 0.1), y / (y + 0.1))
    out["drift"][:2] = 0
    out["count"] = np.arange(1.0, len(x) + 1)
    out["x_5_ago"] = np.r_[np.full(min(5, len(x)), np.nan), x[:-5].astype(float)]
    return out


def smoothed(x, seed_bar, seed, alpha, beta):
    """Return seed at `seed_bar` (from 0), then alpha · x + beta · the value before."""
    alpha, beta = np.broadcast_to(alpha, len(x)), np.broadcast_to(beta, len(x))
    values = np.full(len(x), np.nan)
    state = np.longdouble(seed)
    for t in range(seed_bar, len(x)):
        if t > seed_bar:
            state = alpha[t] * x[t] + beta[t] * state
        values[t] = state
    return values


@pytest.fixture(scope="module")
def found(statement):
    return computed(statement, walks())


@pytest.mark.parametrize("number", range(len(FUNDS)))
def test_every_rolling_statistic_equals_a_direct_computation(number, found):
    of_fund = found["symbol"] == f"F{number}"
    # The result for a constant is a rounding error.
    residue = 1e-14 if number == 4 else 1e-300
    for name, expected in direct(found["x"][of_fund], found["y"][of_fund]).items():
        values = found[name][of_fund]
        assert (np.isnan(values) == np.isnan(expected)).all(), name
        largest = np.nanmax(np.abs(expected), initial=0)
        assert np.nanmax(np.abs(values - expected), initial=0) <= 1e-11 * largest + residue, name


def test_constant_input_has_no_variance(found):
    constant = found["symbol"] == "F4"
    assert (found["x_sd"][constant][19:] == 0).all()
    assert (found["y_m4_250"][constant][249:] < 1e-20).all()


@pytest.mark.parametrize("kept", [["F7"], ["F0", "F2", "F7"], ["F3", "F4", "F5", "F6"]])
def test_no_bit_depends_on_another_fund_or_a_later_bar(kept, found, statement):
    rows = walks()
    is_kept = np.isin(rows["symbol"], kept) & (rows["bar_number"] <= 1100)
    alone = computed(statement, {name: column[is_kept] for name, column in rows.items()})
    same = np.isin(found["symbol"], kept) & (found["bar_number"] <= 1100)
    for name, values in alone.items():
        np.testing.assert_array_equal(values, found[name][same], err_msg=name)


def test_no_bit_depends_on_threads_or_the_order_of_rows(found, statement):
    rows = walks()
    shuffled = np.random.default_rng(3).permutation(len(rows["x"]))
    mixed = computed(
        statement, {name: column[shuffled] for name, column in rows.items()}, threads=1
    )
    for name, values in mixed.items():
        np.testing.assert_array_equal(values, found[name], err_msg=name)


def test_every_family_streams(sample):
    """A window that does not stream is many times slower, and its bits depend on other rows."""
    formulas = {"factors_bands.sql"}  # on int_bands, without a window
    folder = (PROJECT / "models" / "factors").glob("*.sql")
    families = sorted(path for path in folder if path.name not in formulas)
    compiled = sample.folder / "target" / "compiled" / "etf_rotation" / "models" / "factors"
    assert len(families) > 10
    for family in families:
        statement = (compiled / family.name).read_text(encoding="utf-8")
        plan = sample.connection.execute(f"explain (format json) {statement}").fetchall()[0][1]
        names = [node["name"].strip() for node in _nodes(json.loads(plan))]
        assert "STREAMING_WINDOW" in names, family.name
        assert "WINDOW" not in names, family.name
