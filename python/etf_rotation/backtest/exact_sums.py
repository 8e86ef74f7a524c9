"""Sums over rows of an array, each rounded once."""

from __future__ import annotations

import math

import numpy as np

# In numbers. Below it the calls of numpy take longer than `math.fsum` does.
SMALL = 2000


def exact_sums(values: np.ndarray) -> np.ndarray:
    """Return the exact sums over the last axis, each rounded to the nearest double.

    Parameters
    ----------
    values : array of shape (..., n)
        Finite numbers.

    Returns
    -------
    array of shape (...)
        The result of `math.fsum` for each row. The order of the numbers does not
        matter.

    Notes
    -----
    Each addition keeps its rounding error, and so does each addition of errors (Ogita,
    Rump and Oishi, "Accurate sum and dot product", SIAM Journal on Scientific Computing
    26 (2005), 1955-1988). If no error of second order remains, the sum plus its error
    is exact. Rows whose numbers differ too much in size are passed to `math.fsum`, and so
    are small arrays.
    """
    total = np.zeros(values.shape[:-1])
    if values.size < SMALL:
        for place in np.ndindex(total.shape):
            total[place] = math.fsum(values[place].tolist())
        return total
    error, lost = np.zeros_like(total), np.zeros_like(total, dtype=bool)
    for n in range(values.shape[-1]):
        total, rest = _two_sum(total, values[..., n])
        error, rest = _two_sum(error, rest)
        lost |= rest != 0
    sums = total + error
    for row in np.argwhere(lost):
        sums[tuple(row)] = math.fsum(values[tuple(row)].tolist())
    return sums


def _two_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rounded sum and its error, exactly (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)
