"""The factor panel: its summary, and its factors in the form in which they are ranked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest

import numpy as np
import pyarrow as pa

from etf_rotation.errors import InputError

KEYS = ("symbol", "trade_date", "as_of_date", "pool")
CLOSE = "adj_close"  # that the lagged factors carry beside their keys
PANEL = "models/signals/factor_panel.sql"

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


class Summary:
    """Coverage, variance and duplicates of a pool's factors, from batches of its panel.

    Parameters
    ----------
    count : int
        Number of factors.

    Notes
    -----
    Two factors are duplicates if |Pearson| exceeds a limit over the rows that have both
    values. The values are shifted and scaled by the first batch before they are summed,
    so that large numbers do not cancel.
    """

    def __init__(self, count: int):
        self.rows = 0
        self.non_null = np.zeros(count, dtype=np.int64)
        self.lowest = np.full(count, np.inf)
        self.highest = np.full(count, -np.inf)
        self._shift = None
        # Sums of 1, x, x² and xy over the rows with both values of a pair.
        self._n = np.zeros((count, count))
        self._x = np.zeros((count, count))
        self._xx = np.zeros((count, count))
        self._xy = np.zeros((count, count))

    def add(self, values: np.ndarray) -> None:
        """Add a batch, float (factors, rows) in score form with NaN for null; changes it."""
        absent = np.isnan(values)
        self.rows += values.shape[1]
        counts = values.shape[1] - absent.sum(axis=1)
        self.non_null += counts
        self.lowest = np.fmin(self.lowest, np.fmin.reduce(values, axis=1))
        self.highest = np.fmax(self.highest, np.fmax.reduce(values, axis=1))
        if self._shift is None:
            counts = np.maximum(counts, 1)[:, np.newaxis]
            self._shift = values.sum(axis=1, keepdims=True, where=~absent) / counts
            far = np.abs(values - self._shift).sum(axis=1, keepdims=True, where=~absent) / counts
            self._scale = np.where(far > 0, far, 1)
        x = values
        x -= self._shift
        x /= self._scale
        x[absent] = 0
        # Most factors are null on the same rows, so each pattern of nulls is multiplied once.
        patterns: dict[bytes, int] = {}
        packed = np.packbits(absent, axis=1)
        pattern = [patterns.setdefault(row.tobytes(), len(patterns)) for row in packed]
        first = [pattern.index(number) for number in range(len(patterns))]
        mask = np.where(absent[first], 0.0, 1.0)
        self._n += (mask @ mask.T)[pattern][:, pattern]
        self._x += (x @ mask.T)[:, pattern]
        self._xy += x @ x.T
        x *= x
        self._xx += (x @ mask.T)[:, pattern]

    def zero_variance(self) -> np.ndarray:
        """Return whether each factor has fewer than two distinct values, bool (factors,)."""
        return ~(self.highest > self.lowest)

    def correlation(self) -> np.ndarray:
        """Return Pearson's correlation of each pair, (factors, factors), NaN where undefined."""
        with np.errstate(invalid="ignore", divide="ignore"):
            covariance = self._xy - self._x * self._x.T / self._n
            variance = self._xx - self._x**2 / self._n
            # A smaller variance is only the rounding error of a constant.
            variance = np.where(variance > 1e-12 * self._xx, variance, np.nan)
            return covariance / np.sqrt(variance * variance.T)

    def duplicate_of(self, limit: float) -> list[int | None]:
        """Return, per factor, the first earlier one with |Pearson| > `limit`, else None."""
        # The last bits depend on the batches, so they are rounded away before they decide.
        alike = np.abs(self.correlation()).round(12) > limit
        return [
            int(np.argmax(alike[factor, :factor])) if alike[factor, :factor].any() else None
            for factor in range(len(alike))
        ]


def summarize(
    factors: list[str],
    batches: Iterable[pa.RecordBatch],
    duplicate_limit: float,
    *,
    may_be_empty: bool = False,
) -> pa.Table:
    """Summarize the panel of each pool: one row per pool and factor (`SUMMARY_SCHEMA`).

    Parameters
    ----------
    factors : list of str
        Factor ids in catalog order.
    batches : iterable of pa.RecordBatch
        Columns `pool` and `factors`, in score form. Batches of a few thousand rows fit
        into the processor's cache.
    duplicate_limit : float
        |Pearson| above which the later of two factors is a duplicate.
    may_be_empty : bool
        Whether a panel without rows gives an empty summary, as `dbt run --empty` needs.

    Raises
    ------
    InputError
        There is no row, and `may_be_empty` is false.
    """
    summaries: dict[str, Summary] = {}
    for batch in batches:
        pools = batch["pool"].to_numpy(zero_copy_only=False)
        values = np.empty((len(factors), len(batch)))
        for row, factor in zip(values, factors, strict=True):
            row[:] = batch[factor].to_numpy(zero_copy_only=False)
        for pool in sorted(set(pools)):
            summary = summaries.setdefault(pool, Summary(len(factors)))
            summary.add(values[:, pools == pool])
    if not summaries and may_be_empty:
        return SUMMARY_SCHEMA.empty_table()
    if not summaries:
        raise InputError(
            "no fund has a bar: every raw row is in staging.suspensions or staging.quarantine, "
            "which says why"
        )
    return pa.concat_tables(
        [_rows(pool, factors, summaries[pool], duplicate_limit) for pool in sorted(summaries)]
    )


def _rows(pool: str, factors: list[str], summary: Summary, duplicate_limit: float) -> pa.Table:
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


def check_catalog(catalog: Sequence[str], computed: Sequence[str]) -> None:
    """Stop if the formulas differ from the seed factor_catalog.

    Parameters
    ----------
    catalog : sequence of str
        Factor ids of the seed.
    computed : sequence of str
        Columns of int_factors__lagged.

    Raises
    ------
    InputError
        Names every factor that only one of the two has.
    """
    factors = set(computed) - {*KEYS, CLOSE}
    faults = {
        "in the seed factor_catalog but computed by no model": set(catalog) - factors,
        "computed but missing from the seed factor_catalog": factors - set(catalog),
    }
    lines = [f"{what}: {', '.join(sorted(names))}" for what, names in faults.items() if names]
    if lines:
        raise InputError(f"factors and catalog disagree; {'; '.join(lines)}")


def check_published(catalog: Sequence[str], published: Sequence[str]) -> None:
    """Stop if the panel's columns differ from the seed's rows or their order.

    Parameters
    ----------
    catalog : sequence of str
        Factor ids of the seed factor_catalog in its order, all of which are computed.
    published : sequence of str
        Columns of factor_panel.

    Raises
    ------
    InputError
        Names every factor that the panel lacks, else the first that is out of place.
    """
    published = [name for name in published if name not in KEYS]
    missing = [factor for factor in catalog if factor not in published]
    if missing:
        raise InputError(
            f"{PANEL} does not list {', '.join(missing)}; the seed factor_catalog does"
        )
    if published != list(catalog):
        pairs = zip_longest(published, catalog)
        found, wanted = next((found, wanted) for found, wanted in pairs if found != wanted)
        raise InputError(f"{PANEL} lists {found} where the seed factor_catalog has {wanted}")


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
