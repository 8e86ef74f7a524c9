"""The panel against its catalog, and the summary against pandas."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from etf_rotation.errors import InputError
from etf_rotation.signals.factor_summary import (
    Summary,
    check_catalog,
    check_published,
    score_form,
    summarize,
)


@pytest.fixture(scope="module")
def values():
    """Values of different scale and history, with a shifted copy and a constant."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(700, 6)).cumsum(axis=0)
    x[:, 1] = 1e9 + 1e-3 * x[:, 1]
    x[:, 2] = -3 * x[:, 0] + 12
    x[:, 3] = 0.1
    x[:, 4] = x[:, 0] + 0.2 * rng.normal(size=700)
    x[:251, 5] = np.nan
    x[rng.random(x.shape) < 0.05] = np.nan
    return x


def summed(values, rows=100):
    summary = Summary(values.shape[1])
    for start in range(0, len(values), rows):
        summary.add(values[start : start + rows].T.copy())
    return summary


def test_correlation_is_pandas_over_the_rows_that_have_both(values):
    shift = [0, 1e9, 0, 0, 0, 0]  # pandas loses digits on a small spread around a large mean
    expected = pd.DataFrame(values - shift).corr().to_numpy(copy=True)
    expected[3] = expected[:, 3] = np.nan  # what pandas leaves of a constant is rounding
    np.testing.assert_allclose(summed(values).correlation(), expected, atol=1e-9)


@pytest.mark.parametrize("rows", [1, 37, 700])
def test_batches_of_any_size_agree(values, rows):
    np.testing.assert_allclose(
        summed(values, rows).correlation(), summed(values).correlation(), atol=1e-9
    )


def test_coverage_and_variance(values):
    summary = summed(values)
    assert summary.rows == 700
    assert summary.non_null.tolist() == (~np.isnan(values)).sum(axis=0).tolist()
    assert summary.zero_variance().tolist() == [False, False, False, True, False, False]


def test_a_duplicate_names_the_first_earlier_factor(values):
    assert summed(values).duplicate_of(0.999) == [None, None, 0, None, 0, None]
    assert summed(values).duplicate_of(0.99999) == [None, None, 0, None, None, None]


def test_a_factor_without_values_has_no_variance_and_no_duplicate():
    summary = summed(np.column_stack([np.arange(10.0), np.full(10, np.nan)]))
    assert summary.zero_variance().tolist() == [False, True]
    assert summary.duplicate_of(0.999) == [None, None]
    assert summary.non_null.tolist() == [10, 0]


def test_a_factor_that_starts_after_the_first_batch_is_compared_too():
    x = np.arange(300.0)
    late = np.where(x < 200, np.nan, 5 * x + 1e6)
    assert summed(np.column_stack([x, late])).duplicate_of(0.999) == [None, 0]


def test_a_panel_without_a_row_says_where_the_rows_are():
    with pytest.raises(InputError, match=r"every raw row is in staging.suspensions or staging.q"):
        summarize(["a"], [], 0.999)


def test_an_empty_run_has_an_empty_summary():
    assert summarize(["a"], [], 0.999, may_be_empty=True).num_rows == 0


KEYS = ["symbol", "trade_date", "as_of_date", "pool"]


def test_every_factor_that_the_formulas_or_the_catalog_lack_is_named():
    check_catalog(["a", "b"], [*KEYS, "b", "a", "adj_close"])
    with pytest.raises(InputError) as stopped:
        check_catalog(["a", "b", "c", "d"], [*KEYS, "a", "y", "x", "d", "adj_close"])
    assert str(stopped.value) == (
        "factors and catalog disagree; in the seed factor_catalog but computed by no model: b, c; "
        "computed but missing from the seed factor_catalog: x, y"
    )


def test_every_factor_that_the_panel_does_not_list_is_named():
    check_published(["a", "b"], [*KEYS, "a", "b"])
    with pytest.raises(InputError, match=r"factor_panel.sql does not list a, c; the seed factor"):
        check_published(["a", "b", "c"], [*KEYS, "b"])


@pytest.mark.parametrize(
    ("columns", "found", "wanted"),
    [(["a", "c", "b"], "c", "b"), (["a", "a_1", "b", "c"], "a_1", "b")],
    ids=["in another order", "listed twice"],
)
def test_a_factor_out_of_place_is_named(columns, found, wanted):
    with pytest.raises(InputError, match=f"lists {found} where the seed .* has {wanted}$"):
        check_published(["a", "b", "c"], [*KEYS, *columns])


def test_summarize_keeps_pools_apart_and_names_duplicates(values):
    names = list("abcdef")
    table = pa.table(dict(zip(names, np.vstack([values, 2 * values[:80]]).T, strict=True)))
    table = table.append_column("pool", pa.array(["QDII"] * 700 + ["A_SHARE"] * 80))
    # The last batch of one pool is the first of the other.
    rows = summarize(names, table.to_batches(max_chunksize=90), 0.999).to_pylist()
    assert [(row["pool"], row["factor_id"]) for row in rows] == [
        (pool, name) for pool in ("A_SHARE", "QDII") for name in names
    ]
    assert [row["panel_rows"] for row in rows] == [80] * 6 + [700] * 6
    assert rows[6 + 2]["duplicate_of"] == "a"
    assert rows[6 + 3]["zero_variance"]
    assert [row["non_null_rows"] for row in rows[6:]] == (~np.isnan(values)).sum(axis=0).tolist()


def test_only_prices_are_divided_by_the_close():
    assert score_form([("sma_5", "price"), ("ret_5", "ratio")], "c") == "sma_5 / c as sma_5, ret_5"
