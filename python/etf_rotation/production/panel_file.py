"""Writes a panel of hundreds of columns to parquet while it reads the next rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from threading import Lock

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from etf_rotation.dbt_project import engine_options
from etf_rotation.errors import InputError
from etf_rotation.signals import families
from etf_rotation.signals.factor_summary import KEYS

# A group takes 34 MB with 275 columns of doubles. One is written, and the threads are up
# to `AHEAD` groups ahead.
ROW_GROUP = 15_360
AHEAD = 4
# What writing takes, as a part of the time of all queries of `write_computed`.
WRITING = 0.4


def write(
    connection: duckdb.DuckDBPyConnection, query: str, path: Path, metadata: dict[str, str]
) -> None:
    """Write the rows of a query into a parquet file, in the order of the query.

    Parameters
    ----------
    connection : DuckDBPyConnection
        The finished database. Another thread reads from it until this function returns.
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
    with (
        _read(connection, [("panel", query)], threads=2) as (schemas, steps),
        _writer(path, schemas["panel"], metadata, compression="lz4") as writer,
    ):
        for step in steps:
            writer.write_batch(step["panel"])


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
        The database is missing, or lacks one of the tables; or DuckDB's memory limit is
        too small.
    OSError
        The file cannot be written.
    """
    if not database.is_file():
        raise InputError(f"no database {database}")
    options = engine_options()
    # One, because each thread below executes its own queries. With more, DuckDB's threads
    # would execute ahead of them, and take a fifth more of CPU time.
    with duckdb.connect(
        str(database), read_only=True, config=options | {"threads": 1}
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
        try:
            write_computed(connection, part, label, threads=options["threads"])
        except duckdb.OutOfMemoryException:
            raise InputError(
                f"{options['memory_limit']} of memory do not suffice for the panel of {database}; "
                "set ETF_MEMORY_LIMIT to more, such as 4GB"
            ) from None
    part.replace(path)


def write_computed(
    connection: duckdb.DuckDBPyConnection, path: Path, metadata: dict[str, str], *, threads: int
) -> None:
    """Compute the whole panel and write it into a parquet file.

    The file has the rows, columns and values of `signals.factor_panel`. No family needs
    to be built: their models are queried side by side, and nothing is stored between
    computing and writing. Memory stays within DuckDB's limit and a few groups.

    Parameters
    ----------
    connection : DuckDBPyConnection
        A database with the staging's bars and calendar. Other threads read from it
        until this function returns.
    path : Path
        The new file. If writing fails, no file remains.
    metadata : dict of str to str
        Key-value metadata of the file.
    threads : int
        How many threads execute the queries; one of them also writes.

    Raises
    ------
    OSError
        The file cannot be written, for example on a full disk.
    duckdb.Error
        A query fails.
    ValueError
        A family is out of step with the bars, or lacks a factor of the catalog.
    """
    with _read(connection, families.queries(), threads) as (schemas, steps):
        places = {
            field.name: (query, field) for query, schema in schemas.items() for field in schema
        }
        names = [*KEYS, *families.catalog()]
        missing = [name for name in names if name not in places]
        if missing:
            raise ValueError(f"no model in models/factors computes {', '.join(missing)}")
        schema = pa.schema([places[name][1] for name in names])
        # Uncompressed: lz4 takes twice the time and saves 5% of the bytes.
        with _writer(path, schema, metadata, compression="none") as writer:
            for step in map(_checked, steps):
                columns = [step[places[name][0]][name] for name in names]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _checked(step: dict[str, pa.RecordBatch | None]) -> dict[str, pa.RecordBatch]:
    """Return the step; raise where a query has other rows than the bars."""
    bars = step[families.BARS]
    for name, batch in step.items():
        if batch is None or bars is None or not batch["bar_id"].equals(bars["bar_id"]):
            raise ValueError(f"{name} is out of step with {families.BARS}")
    return step


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


@contextmanager
def _read(
    connection: duckdb.DuckDBPyConnection, queries: Iterable[tuple[str, str]], threads: int
) -> Iterator[tuple[dict[str, pa.Schema], Iterator[dict[str, pa.RecordBatch | None]]]]:
    """Start the queries; give their schemas, and the steps: a batch of each, by name.

    A query that ends before the others gives None. The queries are dealt to threads, of
    which the caller's is one: it reads its share when it asks for the next step.
    """
    # Sorting happens while a query is opened. Two sorts at once can need more memory than
    # DuckDB may use.
    sorting = Lock()

    def opened(query: tuple[str, str]) -> tuple[str, int, pa.RecordBatchReader]:
        name, sql = query
        with sorting if "order by" in sql else nullcontext():
            # A cursor each: a connection streams one result at a time.
            return name, len(sql), connection.cursor().sql(sql).to_arrow_reader(ROW_GROUP)

    # Each is planned while the next ones are rendered.
    with ThreadPoolExecutor(threads) as pool:
        started = list(pool.map(opened, queries))
    readers = {name: reader for name, _, reader in started}
    shares = _deal({name: length for name, length, _ in started}, threads)
    own, *others = [{name: readers[name] for name in share} for share in shares]
    with ExitStack() as stack:
        # The threads end with this block, before the connection is closed.
        streams = [
            _read_ahead(share, stack.enter_context(ThreadPoolExecutor(1))) for share in others
        ]

        def steps() -> Iterator[dict[str, pa.RecordBatch | None]]:
            while True:
                step = _next(own)
                for stream in streams:
                    step |= next(stream)
                if all(batch is None for batch in step.values()):
                    return
                yield step

        yield {name: reader.schema for name, reader in readers.items()}, steps()


def _read_ahead(
    readers: dict[str, pa.RecordBatchReader], thread: ThreadPoolExecutor
) -> Iterator[dict[str, pa.RecordBatch | None]]:
    """Start to read in a thread; return the readers' batches, which never end."""
    # Not within the generator, which would start with its first batch only.
    coming = deque(thread.submit(_next, readers) for _ in range(AHEAD))

    def batches() -> Iterator[dict[str, pa.RecordBatch | None]]:
        while True:
            batch = coming.popleft().result()
            coming.append(thread.submit(_next, readers))
            yield batch

    return batches()


def _deal(lengths: dict[str, int], threads: int) -> list[list[str]]:
    """Deal queries to threads which then end together; the first one also writes.

    A query's length is a good guess of its time.
    """
    shares: list[list[str]] = [[] for _ in range(threads)]
    loads = [WRITING * sum(lengths.values()), *[0.0] * (threads - 1)]
    for name in sorted(lengths, key=lengths.__getitem__, reverse=True):
        lightest = loads.index(min(loads))
        shares[lightest].append(name)
        loads[lightest] += lengths[name]
    return shares


def _next(readers: dict[str, pa.RecordBatchReader]) -> dict[str, pa.RecordBatch | None]:
    return {name: next(reader, None) for name, reader in readers.items()}
