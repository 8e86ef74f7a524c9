"""Sums over rows of an array, each rounded once."""

from __future__ import annotations

import math

import numpy as np

# In numbers. Below it the calls of numpy take longer than `math.fsum` does.
SMALL = 500
# In rows. Below it passes over all columns are faster than passes over each column.
FEW = 500


def exact_sums(values: np.ndarray, sizes: tuple[float, float] | None = None) -> np.ndarray:
    """Return the exact sums over the last axis, each rounded to the nearest double.

    Parameters
    ----------
    values : array of shape (..., n)
        Finite numbers.
    sizes : (float, float), optional
        Where known, the least and the greatest size that a number other than 0 can have.

    Returns
    -------
    array of shape (...)
        The result of `math.fsum` for each row. The order of the numbers does not
        matter.

    Notes
    -----
    Where all numbers are of similar size, each is split at the same bit; then no
    addition of upper parts, and none of lower parts, rounds (Rump, Ogita and Oishi,
    "Accurate floating-point summation, part I", SIAM Journal on Scientific Computing 31
    (2008), 189-224). Otherwise, and in arrays of many rows, each addition keeps its
    rounding error, and so does each addition of errors (Ogita, Rump and Oishi,
    "Accurate sum and dot product", ibid. 26 (2005), 1955-1988). If no error of second
    order remains, the sum plus its error is exact. Other rows are passed to `math.fsum`,
    and so are small arrays.
    """
    shape = values.shape[:-1]
    if values.size < SMALL:
        rows = values.reshape(math.prod(shape), values.shape[-1]).tolist()
        return np.array(list(map(math.fsum, rows)), float).reshape(shape)
    is_few = values.size < FEW * values.shape[-1]
    if is_few and sizes is None:
        sizes = _sizes(values)
    splitter = _splitter(values.shape[-1], *sizes) if sizes else None
    if splitter and is_few:
        upper = (values + splitter) - splitter
        return upper.sum(axis=-1) + (values - upper).sum(axis=-1)
    if splitter:
        return _split_by_column(values, splitter)
    total, error, lost = _by_column(values)
    sums = total + error
    for row in np.argwhere(lost):
        sums[tuple(row)] = math.fsum(values[tuple(row)].tolist())
    return sums


def _sizes(values: np.ndarray) -> tuple[float, float]:
    sizes = np.abs(values)
    return float(np.min(sizes, where=sizes > 0, initial=math.inf)), float(sizes.max())


def _splitter(count: int, smallest: float, largest: float) -> float | None:
    """Return a number whose addition and subtraction leave the upper bits of others.

    None if sums of upper or of lower bits could round.
    """
    if not 0 < largest < math.inf:
        return None
    # Sums of upper parts stay below 2^exponent; lower parts are below 2^(exponent - 53).
    exponent = math.frexp(count * largest)[1] + 1
    if count * math.ldexp(1.0, exponent - 53) > smallest / 2:
        return None
    return math.ldexp(1.5, exponent)


def _split_by_column(values: np.ndarray, splitter: float) -> np.ndarray:
    upper, lower = np.zeros(values.shape[:-1]), np.zeros(values.shape[:-1])
    for n in range(values.shape[-1]):
        part = (values[..., n] + splitter) - splitter
        upper += part
        lower += values[..., n] - part
    return upper + lower


def _by_column(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rounded sums, their errors, and where an error of second order remains."""
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
