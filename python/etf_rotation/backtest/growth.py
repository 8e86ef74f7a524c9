"""Compounded returns, multiplied in the order of the sessions."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from etf_rotation.contracts import read_checked, schema_of


class Growth(NamedTuple):
    """One session's return, and the value of 1 invested before the first session."""

    strategy: str
    pool: str
    trade_date: date
    benchmark_return: float
    growth: float


GROWTH_SCHEMA = schema_of(Growth)
RETURNS_SCHEMA = pa.schema(list(GROWTH_SCHEMA)[:-1])


def compound(returns: pa.Table) -> pa.Table:
    """Return the running product of 1 + return per strategy and pool.

    Parameters
    ----------
    returns : pyarrow.Table
        Columns of `RETURNS_SCHEMA`, in any order.

    Returns
    -------
    pyarrow.Table
        `GROWTH_SCHEMA`, sorted.

    Raises
    ------
    ValueError
        A missing column, a null or infinite value, a duplicate row.

    Notes
    -----
    DuckDB's running product does not multiply in a fixed order. Its last bits change
    when later rows are added.
    """
    key = RETURNS_SCHEMA.names[:3]
    returns = read_checked("returns", returns, RETURNS_SCHEMA, key)
    owners = np.array(
        list(zip(returns["strategy"].to_pylist(), returns["pool"].to_pylist(), strict=True)),
        dtype=object,
    ).reshape(-1, 2)
    factors = 1 + returns["benchmark_return"].to_numpy()
    begins = np.flatnonzero(np.any(owners[1:] != owners[:-1], axis=1)) + 1
    growths = [np.cumprod(own) for own in np.split(factors, begins)]
    return returns.append_column(
        GROWTH_SCHEMA.field("growth"), pa.array(np.concatenate(growths), pa.float64())
    )
