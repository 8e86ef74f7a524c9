"""Writes a panel of hundreds of columns to parquet while it reads the next rows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from etf_rotation.dbt_project import memory_limit
from etf_rotation.errors import InputError
from etf_rotation.signals import families
from etf_rotation.signals.factor_summary import KEYS

# Two groups are in memory: one is written, one is read. Each takes 34 MB with 275
# columns of doubles.
ROW_GROUP = 15_360
READERS = 4  # threads


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
    with _writer(path, reader.schema, metadata, compression="lz4") as writer:
        for (batch,) in _read_ahead([reader]):
            writer.write_batch(batch)


def export(database: Path, path: Path) -> None:
    """Compute the panel of a build's bars into a parquet file.

    Parameters
    ----------
    database : Path
        A build of at least `stg_etf_daily` and `trading_calendar`.
    path : Path
        The file to write. It is written beside and renamed.

    Raises
    ------
    InputError
        The database is missing, or lacks one of the two tables.
    OSError
        The file cannot be written.
    """
    if not database.is_file():
        raise InputError(f"no database {database}")
    with duckdb.connect(
        str(database), read_only=True, config={"memory_limit": memory_limit()}
    ) as connection:
        found = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'staging'"
        )
        missing = {*families.TABLES, "raw_files"} - {name for (name,) in found.fetchall()}
        if missing:
            raise InputError(
                f"{database} has no table {', '.join(sorted(missing))}; build them with "
                "'dbt build --select +stg_etf_daily +trading_calendar'"
            )
        synthetic = connection.execute("select bool_or(is_synthetic) from staging.raw_files")
        label = {"etf_rotation.synthetic": str(synthetic.fetchall()[0][0]).lower()}
        part = path.with_name(f".{path.name}.part")
        write_computed(connection, part, label)
    part.replace(path)


def write_computed(
    connection: duckdb.DuckDBPyConnection, path: Path, metadata: dict[str, str]
) -> None:
    """Compute the whole panel and write it into a parquet file.

    The file has the rows, columns and values of `signals.factor_panel`. No family needs
    to be built: their models are queried side by side, and nothing is stored between
    computing and writing. Memory does not grow with the number of rows.

    Parameters
    ----------
    connection : DuckDBPyConnection
        A database with the staging's bars and calendar. Other threads read from it
        until this function returns.
    path : Path
        The new file. If writing fails, no file remains.
    metadata : dict of str to str
        Key-value metadata of the file.

    Raises
    ------
    OSError
        The file cannot be written, for example on a full disk.
    duckdb.Error
        A query fails.
    ValueError
        A family is out of step with the bars, or lacks a factor of the catalog.
    """
    readers = _open(connection, families.queries())
    places = {
        field.name: (place, field)
        for place, reader in enumerate(readers.values())
        for field in reader.schema
    }
    names = [*KEYS, *families.catalog()]
    missing = [name for name in names if name not in places]
    if missing:
        raise ValueError(f"no model in models/factors computes {', '.join(missing)}")
    schema = pa.schema([places[name][1] for name in names])
    # Uncompressed: lz4 takes twice the time and saves 5% of the bytes.
    with _writer(path, schema, metadata, compression="none") as writer:
        for batches in _read_ahead(list(readers.values())):
            _check_steps(dict(zip(readers, batches, strict=True)))
            columns = [batches[places[name][0]][name] for name in names]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _open(
    connection: duckdb.DuckDBPyConnection, queries: dict[str, str]
) -> dict[str, pa.RecordBatchReader]:
    """Start each query on a cursor of its own; planning takes as long as reading a batch."""
    cursors = {name: connection.cursor() for name in queries}
    with ThreadPoolExecutor(READERS) as threads:
        readers = threads.map(
            lambda name: cursors[name].sql(queries[name]).to_arrow_reader(ROW_GROUP), queries
        )
        return dict(zip(queries, readers, strict=True))


def _check_steps(batches: dict) -> None:
    bars = batches[families.BARS]
    for name, batch in batches.items():
        if batch is None or bars is None or not batch["bar_id"].equals(bars["bar_id"]):
            raise ValueError(f"{name} is out of step with {families.BARS}")


@contextmanager
def _writer(
    path: Path, schema: pa.Schema, metadata: dict[str, str], *, compression: str
) -> Iterator[pq.ParquetWriter]:
    try:
        with pq.ParquetWriter(
            path,
            schema,
            compression=compression,
            # No dictionary for doubles: they rarely repeat, so it costs time and saves
            # nothing.
            use_dictionary=[name for name in ("symbol", "pool") if name in schema.names],
            # Statistics for keys only: readers skip row groups by key, never by factor
            # value.
            write_statistics=[name for name in KEYS if name in schema.names],
            store_schema=False,
        ) as writer:
            yield writer
            writer.add_key_value_metadata(metadata)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _read_ahead(readers: list[pa.RecordBatchReader]) -> Iterator[list]:
    """Yield lists of the readers' batches, one of each, while threads read the next ones.

    A reader that ends before the others gives None.
    """
    streams = [iter(reader) for reader in readers]
    with ThreadPoolExecutor(min(len(streams), READERS)) as threads:
        coming = [threads.submit(next, stream, None) for stream in streams]
        while any(batches := [future.result() for future in coming]):
            coming = [threads.submit(next, stream, None) for stream in streams]
            yield batches
