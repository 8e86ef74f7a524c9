"""Sums over rows of an array, each rounded once."""

from __future__ import annotations

import math

import numpy as np

# In numbers. Below it the calls of numpy take longer than `math.fsum` does.
SMALL = 500
# In rows. Below it one pass over all columns is faster than one pass per column.
FEW = 500


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
    shape = values.shape[:-1]
    if values.size < SMALL:
        rows = values.reshape(math.prod(shape), values.shape[-1]).tolist()
        return np.array(list(map(math.fsum, rows)), float).reshape(shape)
    is_few = values.size < FEW * values.shape[-1]
    total, error, lost = _at_once(values) if is_few else _by_column(values)
    sums = total + error
    for row in np.argwhere(lost):
        sums[tuple(row)] = math.fsum(values[tuple(row)].tolist())
    return sums


def _at_once(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rounded sums, their errors, and where an error of second order remains."""
    sums = np.cumsum(values, axis=-1)
    rests = _error(sums[..., :-1], values[..., 1:], sums[..., 1:])
    if not rests.shape[-1]:
        return sums[..., -1], np.zeros(sums.shape[:-1]), np.zeros(sums.shape[:-1], bool)
    errors = np.cumsum(rests, axis=-1)
    lost = np.any(_error(errors[..., :-1], rests[..., 1:], errors[..., 1:]), axis=-1)
    return sums[..., -1], errors[..., -1], lost


def _by_column(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what `_at_once` does, with less memory."""
    total = np.zeros(values.shape[:-1])
    error, lost = np.zeros_like(total), np.zeros_like(total, dtype=bool)
    for n in range(values.shape[-1]):
        before, total = total, total + values[..., n]
        rest = _error(before, values[..., n], total)
        before, error = error, error + rest
        lost |= _error(before, rest, error) != 0
    return total, error, lost


def _error(a: np.ndarray, b: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return a + b - total exactly, `total` being the rounded sum of a and b (Knuth)."""
    part = total - a
    return (a - (total - part)) + (b - part)
