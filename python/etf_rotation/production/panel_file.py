"""Writes a panel of hundreds of columns to parquet while it reads the next rows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from etf_rotation.signals.factor_summary import KEYS

# Two groups are in memory: one is written, one is read. Each takes 34 MB with 275
# columns of doubles.
ROW_GROUP = 15_360


def write(
    connection: duckdb.DuckDBPyConnection, query: str, path: Path, metadata: dict[str, str]
) -> None:
    """Write the rows of a query into a parquet file, in the order of the query.

    Parameters
    ----------
    connection : DuckDBPyConnection
        The finished database. A second thread reads from it until this function
        returns.
    query : str
        The panel, `select … from signals.factor_panel`. Values are written unchanged.
    path : Path
        The new file. If writing fails, no file remains.
    metadata : dict of str to str
        Key-value metadata of the file.

    Raises
    ------
    OSError
        The file cannot be written, for example on a full disk.
    duckdb.Error
        The query fails.

    Notes
    -----
    DuckDB's own `copy` alternates between reading and writing, because it does not read
    positionally joined tables in parallel. PyArrow also needs half the CPU time to
    encode columns of doubles.
    """
    reader = connection.sql(query).to_arrow_reader(ROW_GROUP)
    names = reader.schema.names
    try:
        with pq.ParquetWriter(
            path,
            reader.schema,
            compression="lz4",
            # No dictionary for doubles: they rarely repeat, so it costs time and saves
            # nothing.
            use_dictionary=[name for name in ("symbol", "pool") if name in names],
            # Statistics for keys only: readers skip row groups by key, never by factor
            # value.
            write_statistics=[name for name in KEYS if name in names],
            store_schema=False,
        ) as writer:
            for batch in _read_ahead(reader):
                writer.write_batch(batch)
            writer.add_key_value_metadata(metadata)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _read_ahead(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Yield the reader's batches while a thread reads the next one."""
    batches = iter(reader)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield batch
