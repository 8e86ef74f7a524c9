"""Values and databases as SQL names them."""

from __future__ import annotations

import duckdb


def sql_text(value: object) -> str:
    """Return a value as a text of SQL: in quotes, with every apostrophe doubled."""
    return "'" + str(value).replace("'", "''") + "'"


def attach(connection: duckdb.DuckDBPyConnection, database: object, name: str) -> None:
    """Attach a DuckDB file under a name, to be read only.

    Raises
    ------
    duckdb.Error
        If the file is no database, or is being written.
    """
    connection.execute(f"attach {sql_text(database)} as {name} (read_only)")
