"""Figures of the last published build, to compare a new one with."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from etf_rotation.errors import InputError

SCHEMA = pa.schema([("pool", pa.string()), ("name", pa.string()), ("value", pa.float64())])

QUERY = """
    select pool, 'coverage' as name, sum(coverage order by factor_id) / count(*) as value
    from signals.factor_summary group by pool
    union all
    select pool, 'annual_return', annual_return from backtest.metrics
    union all
    select pool, 'max_drawdown', max_drawdown from backtest.metrics
    order by all
"""


def read_figures(path: str) -> pa.Table:
    """Return mean coverage, annual return and drawdown by pool (`SCHEMA`).

    Parameters
    ----------
    path : str
        The published database; nothing is returned where it is empty or names no file, for
        there was no build before the first.

    Raises
    ------
    InputError
        If the file is there and cannot be read as a build.
    """
    if not path or not Path(path).exists():
        return SCHEMA.empty_table()
    try:
        with duckdb.connect(path, read_only=True) as connection:
            return connection.sql(QUERY).to_arrow_table().cast(SCHEMA)
    except duckdb.Error as error:
        raise InputError(
            f"{path}: not a published build ({str(error).splitlines()[0]}); correct or unset "
            "published_database (ETF_PUBLISHED_DATABASE)"
        ) from None
