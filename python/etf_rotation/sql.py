"""Values and databases written as SQL."""

from __future__ import annotations

import duckdb


def sql_text(value: object) -> str:
    """Return a value as an SQL string literal, with every apostrophe doubled."""
    return "'" + str(value).replace("'", "''") + "'"


def attach(connection: duckdb.DuckDBPyConnection, database: object, name: str) -> None:
    """Attach a DuckDB file under a name, read-only.

    Raises
    ------
    duckdb.Error
        If the file is no database, or another process is writing it.
    """
    connection.execute(f"attach {sql_text(database)} as {name} (read_only)")
