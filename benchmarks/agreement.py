"""Compare a peer's panel with ours, column by column, on the bar that both start from."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

COLUMNS_AT_ONCE = 55
KEYS = ("symbol", "trade_date")


def differences(panel: Path, parquet: Path) -> dict[str, tuple[float, int]]:
    """Return each column's worst difference and its number of nulls in only one of the two.

    Parameters
    ----------
    panel : Path
        Our file, sorted by symbol and date.
    parquet : Path
        The peer's file. Columns `symbol`, `trade_date` (YYYYMMDD, the bar's own) and factors by
        their ids, sorted by both; NaN is null.

    Returns
    -------
    dict
        Factor to (difference relative to the factor's largest |value| for the fund, rows).

    Raises
    ------
    ValueError
        If the two do not have the same bars.
    """
    ours, theirs = pq.ParquetFile(panel), pq.ParquetFile(parquet)
    factors = [name for name in theirs.schema_arrow.names if name not in KEYS]
    keys, other = ours.read(["symbol", "as_of_date"]), theirs.read(list(KEYS))
    dates = pc.cast(pc.strftime(keys["as_of_date"], "%Y%m%d"), "int64")
    if (
        keys["symbol"].to_pylist() != other["symbol"].to_pylist()
        or dates.to_pylist() != other["trade_date"].to_pylist()
    ):
        raise ValueError(f"{parquet.name} and the panel do not have the same bars")
    symbols = np.array(keys["symbol"].to_pylist())
    starts = np.flatnonzero(np.r_[True, symbols[1:] != symbols[:-1]])
    found = {}
    for i in range(0, len(factors), COLUMNS_AT_ONCE):
        names = factors[i : i + COLUMNS_AT_ONCE]
        a, b = ours.read(names), theirs.read(names)
        for name in names:
            x, y = (t[name].to_numpy(zero_copy_only=False) for t in (a, b))
            found[name] = difference(x.astype(float), y.astype(float), starts)
    return found


def difference(x: np.ndarray, y: np.ndarray, starts: np.ndarray) -> tuple[float, int]:
    """Compare two columns, float (rows,), whose funds begin at the rows `starts`."""
    largest = np.maximum.reduceat(np.nan_to_num(np.abs(x)), starts)
    apart = np.maximum.reduceat(np.nan_to_num(np.abs(x - y)), starts)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(apart > 0, apart / largest, 0.0)
    return float(relative.max()), int((np.isnan(x) != np.isnan(y)).sum())


def main() -> None:
    """Print one line of JSON: how many columns agree, and how well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("panel", type=Path)
    parser.add_argument("parquet", type=Path)
    given = parser.parse_args()
    found = differences(given.panel, given.parquet)
    worst = max(found, key=lambda name: found[name][0])
    print(
        json.dumps(
            {
                "columns": len(found),
                "within_1e_9": sum(apart <= 1e-9 for apart, _ in found.values()),
                "within_1e_6": sum(apart <= 1e-6 for apart, _ in found.values()),
                "worst_column": worst,
                "worst": found[worst][0],
                "columns_with_other_nulls": sum(nulls > 0 for _, nulls in found.values()),
                "most_other_nulls": max(nulls for _, nulls in found.values()),
            }
        )
    )


if __name__ == "__main__":
    main()
