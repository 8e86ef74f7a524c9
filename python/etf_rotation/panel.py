"""The factor panel against its catalogue: column order, summary, score form."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from etf_rotation.errors import InputError

KEYS = ("symbol", "trade_date", "as_of_date", "pool")

SUMMARY_SCHEMA = pa.schema(
    [
        ("pool", pa.string()),
        ("factor_id", pa.string()),
        ("panel_rows", pa.int64()),
        ("non_null_rows", pa.int64()),
        ("zero_variance", pa.bool_()),
        ("duplicate_of", pa.string()),
    ]
)


def catalogue_order(computed: Iterable[str], catalogue: list[str]) -> list[str]:
    """Return the catalogue's factor ids, once they are known to be the computed ones.

    Parameters
    ----------
    computed : iterable of str
        Columns of the computed factors, keys included.
    catalogue : list of str
        Factor ids in catalogue order.

    Raises
    ------
    InputError
        If a factor is in one and not the other, or twice in the catalogue.
    """
    columns = set(computed) - set(KEYS)
    faults = {
        "in the seed factor_catalog but computed by no model": sorted(set(catalogue) - columns),
        "computed but missing from the seed factor_catalog": sorted(columns - set(catalogue)),
        "more than once in the seed factor_catalog": sorted(
            {factor for factor in catalogue if catalogue.count(factor) > 1}
        ),
    }
    lines = [f"{what}: {', '.join(ids)}" for what, ids in faults.items() if ids]
    if lines:
        raise InputError("factors and catalogue disagree; " + "; ".join(lines))
    return list(catalogue)


class Summary:
    """Coverage, variance and duplicates of a pool's factors, from batches of its panel.

    Parameters
    ----------
    count : int
        Number of factors.

    Notes
    -----
    Duplicates are pairs with |Pearson| above a limit over the rows that have both values. The sums
    behind it are taken of values shifted and scaled by the first batch, so that nothing cancels.
    """

    def __init__(self, count: int):
        self.rows = 0
        self.non_null = np.zeros(count, dtype=np.int64)
        self.lowest = np.full(count, np.inf)
        self.highest = np.full(count, -np.inf)
        self._shift = None
        # Sums over the rows where both of a pair are there: of 1, x, x² and xy.
        self._n = np.zeros((count, count))
        self._x = np.zeros((count, count))
        self._xx = np.zeros((count, count))
        self._xy = np.zeros((count, count))

    def add(self, values: np.ndarray) -> None:
        """Take in a batch, float (rows, factors) in score form with NaN for null."""
        present = ~np.isnan(values)
        self.rows += len(values)
        self.non_null += present.sum(axis=0)
        self.lowest = np.fmin(self.lowest, np.where(present, values, np.inf).min(axis=0))
        self.highest = np.fmax(self.highest, np.where(present, values, -np.inf).max(axis=0))
        if self._shift is None:
            counts = np.maximum(present.sum(axis=0), 1)
            self._shift = np.where(present, values, 0).sum(axis=0) / counts
            spread = np.where(present, np.abs(values - self._shift), 0).sum(axis=0) / counts
            self._scale = np.where(spread > 0, spread, 1)
        x = np.where(present, (values - self._shift) / self._scale, 0)
        # Most factors of a pool are null on the same rows: each pattern is multiplied once.
        packed = np.packbits(present, axis=0).T
        _, first, pattern = np.unique(packed, axis=0, return_index=True, return_inverse=True)
        mask = present[:, first].astype(float)
        self._n += (mask.T @ mask)[pattern][:, pattern]
        self._x += (x.T @ mask)[:, pattern]
        self._xx += ((x * x).T @ mask)[:, pattern]
        self._xy += x.T @ x

    def zero_variance(self) -> np.ndarray:
        """Return whether each factor has fewer than two distinct values, bool (factors,)."""
        return ~(self.highest > self.lowest)

    def correlation(self) -> np.ndarray:
        """Return Pearson's correlation of each pair, (factors, factors), NaN where undefined."""
        with np.errstate(invalid="ignore", divide="ignore"):
            covariance = self._xy - self._x * self._x.T / self._n
            variance = self._xx - self._x**2 / self._n
            # Below this a variance is what rounding leaves of a constant.
            variance = np.where(variance > 1e-12 * self._xx, variance, np.nan)
            return covariance / np.sqrt(variance * variance.T)

    def duplicate_of(self, limit: float) -> list[int | None]:
        """Return, for each factor, the first earlier one with |Pearson| > `limit`, else None."""
        alike = np.abs(self.correlation()) > limit
        return [
            int(np.argmax(alike[factor, :factor])) if alike[factor, :factor].any() else None
            for factor in range(len(alike))
        ]


def summarise(
    pool: str, factors: list[str], batches: Iterable[pa.RecordBatch], duplicate_limit: float
) -> pa.Table:
    """Summarise a pool's panel: one row a factor (`SUMMARY_SCHEMA`).

    Parameters
    ----------
    pool : str
        Name of the pool.
    factors : list of str
        Factor ids in catalogue order.
    batches : iterable of pa.RecordBatch
        Columns `factors`, in score form.
    duplicate_limit : float
        |Pearson| above which the later of two factors is a duplicate.
    """
    summary = Summary(len(factors))
    for batch in batches:
        columns = [batch[factor].to_numpy(zero_copy_only=False) for factor in factors]
        summary.add(np.column_stack(columns).astype(float))
    duplicates = summary.duplicate_of(duplicate_limit)
    return pa.table(
        {
            "pool": [pool] * len(factors),
            "factor_id": factors,
            "panel_rows": [summary.rows] * len(factors),
            "non_null_rows": summary.non_null,
            "zero_variance": summary.zero_variance(),
            "duplicate_of": [None if i is None else factors[i] for i in duplicates],
        },
        schema=SUMMARY_SCHEMA,
    )


def score_form(factors: list[tuple[str, str]], close: str) -> str:
    """Return SQL expressions of factors in score form, named by their ids.

    Parameters
    ----------
    factors : list of (factor_id, scale)
        Factors of scale `price` are divided by the close, others stay as they are.
    close : str
        Expression of the adjusted close on as_of_date, CNY.
    """
    return ", ".join(
        f"{factor} / {close} as {factor}" if scale == "price" else factor
        for factor, scale in factors
    )
