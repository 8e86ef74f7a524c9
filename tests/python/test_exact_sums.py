"""Exact sums against `math.fsum`, which adds one row."""

import math

import numpy as np
import pytest
from etf_rotation.exact_sums import FEW, SMALL, exact_sums

# From one call of `fsum` per row to one pass per column.
SHAPES = [(3, 4), (FEW // 5, 11), (2 * FEW, 3), (7, 30, 5), (SMALL, 1), (4, 0), (0, 3)]
# Sums of these are ties between two doubles, or miss one by a little.
HALF = 2.0**-53
NEAR_TIES = [
    [1.0, HALF, -HALF, HALF + 2.0**-105, 2.0**-106, 1.5 * HALF, 1e16, 0.0],
    [1.0, HALF, HALF + 2.0**-105, HALF - 2.0**-106, 0.0],
]


def by_row(values):
    rows = values.reshape(math.prod(values.shape[:-1]), values.shape[-1]).tolist()
    return np.array(list(map(math.fsum, rows)), float).reshape(values.shape[:-1])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("digits", [0, 3, 9, 25])
def test_sums_equal_fsum(shape, digits):
    rng = np.random.default_rng(digits)
    for share in (0.0, 0.4, 1.0):
        sizes = 10.0 ** rng.integers(-digits, digits + 1, shape)
        values = rng.standard_normal(shape) * sizes * (rng.random(shape) < share)
        np.testing.assert_array_equal(exact_sums(values), by_row(values))


@pytest.mark.parametrize("rows", [40, FEW - 1, 3 * FEW])
@pytest.mark.parametrize("numbers", NEAR_TIES)
def test_ties_are_rounded_as_fsum_rounds_them(numbers, rows):
    values = np.random.default_rng(rows).choice(numbers, (rows, 14))
    np.testing.assert_array_equal(exact_sums(values), by_row(values))


@pytest.mark.parametrize("rows", [40, 3 * FEW])
@pytest.mark.parametrize("sizes", [(1.0, 1e6), (1e-300, 1e6)])
def test_known_sizes_change_no_sum(rows, sizes):
    values = np.random.default_rng(rows).uniform(1, 1e6, (rows, 20))
    np.testing.assert_array_equal(exact_sums(values, sizes), by_row(values))


def test_the_order_of_the_numbers_does_not_matter():
    values = np.random.default_rng(1).uniform(-1, 1, (FEW // 2, 20))
    np.testing.assert_array_equal(exact_sums(values), exact_sums(values[:, ::-1]))
