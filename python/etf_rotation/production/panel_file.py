"""One parquet file with a panel of hundreds of columns, written while the next rows are read."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from etf_rotation.signals.factor_summary import KEYS

# Two groups are in memory: one is written, one is read. With 275 columns of doubles, each takes
# 34 MB.
ROW_GROUP = 15_360


def write(
    connection: duckdb.DuckDBPyConnection, query: str, path: Path, metadata: dict[str, str]
) -> None:
    """Write the rows of a query into a parquet file, in the order of the query.

    Parameters
    ----------
    connection : DuckDBPyConnection
        The finished database. It reads in a thread of its own until this function returns.
    query : str
        The panel, `select … from signals.factor_panel`. Its values are written as they are.
    path : Path
        The new file. Where writing fails, no file is left.
    metadata : dict of str to str
        Key-value metadata of the file.

    Raises
    ------
    OSError
        If the file cannot be written, as on a full disk.
    duckdb.Error
        If the query cannot be evaluated.

    Notes
    -----
    DuckDB's own `copy` reads and writes in turn, because it does not read tables in parallel that
    lie side by side. PyArrow also encodes columns of doubles in half the CPU time.
    """
    reader = connection.sql(query).to_arrow_reader(ROW_GROUP)
    names = reader.schema.names
    try:
        with pq.ParquetWriter(
            path,
            reader.schema,
            compression="lz4",
            # Doubles hardly ever repeat: a dictionary of them costs time and saves nothing.
            use_dictionary=[name for name in ("symbol", "pool") if name in names],
            # Readers skip row groups by keys, never by factor values: only keys need statistics.
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
    """Yield the reader's batches; a thread reads the next one meanwhile."""
    batches = iter(reader)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield batch
