"""The one-session lag, checked by value and independently of the models."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from etf_rotation.signals.factor_summary import KEYS

SCHEMA = pa.schema(
    [
        ("column_name", pa.string()),
        ("symbol", pa.string()),
        ("trade_date", pa.date32()),
        ("n_rows", pa.int64()),
    ]
)

Relation = duckdb.DuckDBPyRelation


def differences(
    connection: duckdb.DuckDBPyConnection,
    *,
    panel: Relation,
    families: list[Relation],
    bars: Relation,
    calendar: Relation,
) -> pa.Table:
    """Compare every value of the panel with its family's value one session earlier.

    Parameters
    ----------
    connection : DuckDBPyConnection
        The connection of all these relations.
    panel : DuckDBPyRelation
        factor_panel.
    families : list of DuckDBPyRelation
        The factor tables, each keyed by `bar_id`: the number of a bar by symbol and
        date.
    bars : DuckDBPyRelation
        stg_etf_daily: `symbol, trade_date, pool`.
    calendar : DuckDBPyRelation
        trading_calendar: `trade_date, session_number`.

    Returns
    -------
    pa.Table
        `SCHEMA`: each column that differs, its first differing row and the number of
        such rows, or null if no family has the column. `row keys` stands for rows that
        only one side has. Empty if the lag is right.
    """
    found = _row_keys(connection, panel, bars, calendar)
    connection.sql(
        "create or replace temp table numbered_bars as select symbol, trade_date, "
        "row_number() over (order by symbol, trade_date) as bar_id, "
        "hash(symbol, trade_date) as key_hash from bars"
    )
    published = connection.sql("select *, hash(symbol, as_of_date) as key_hash from panel")
    factors = [name for name in panel.columns if name not in KEYS]
    published_sums = _sums(published, factors)
    for family in families:
        columns = [name for name in family.columns if name in factors]
        factors = [name for name in factors if name not in columns]
        own = connection.sql("from family inner join numbered_bars using (bar_id)")
        sums = _sums(own, columns)
        suspicious = [name for name in columns if sums[name] != published_sums[name]]
        found += _unlike_rows(connection, panel, own, suspicious)
    found += [(name, None, None, None) for name in factors]
    connection.execute("drop table numbered_bars")
    rows = [dict(zip(SCHEMA.names, row, strict=True)) for row in found]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _row_keys(
    connection: duckdb.DuckDBPyConnection, panel: Relation, bars: Relation, calendar: Relation
) -> list[tuple]:
    expected = connection.sql("""
        select bars.symbol, following.trade_date, bars.trade_date as as_of_date, bars.pool
        from bars
        inner join calendar as own on bars.trade_date = own.trade_date
        inner join calendar as following on own.session_number + 1 = following.session_number
    """)
    found = panel.project("symbol, trade_date, as_of_date, pool")
    sums = "count(*), sum(hash(symbol, trade_date, as_of_date, pool))"
    if expected.aggregate(sums).fetchall() == found.aggregate(sums).fetchall():
        return []
    return connection.sql("""
        select 'row keys', arg_min(symbol, (trade_date, symbol)), min(trade_date), count(*)
        from (
            (from found except all from expected)
            union all
            (from expected except all from found)
        )
    """).fetchall()


def _sums(rows: Relation, columns: list[str]) -> dict[str, int]:
    """Return, per column, a sum of hashes of key and value.

    Both sides have the same sums if they have the same values on the same bars. A sum
    takes one pass and keeps no row in memory. An exclusive or would be faster, but
    DuckDB combines two hashes by one, so that values could swap their bars unnoticed.
    """
    if not columns:
        return {}
    sums = ", ".join(f"sum(hash(key_hash, {name}))" for name in columns)
    return dict(zip(columns, rows.aggregate(sums).fetchall()[0], strict=True))


def _unlike_rows(
    connection: duckdb.DuckDBPyConnection, panel: Relation, own: Relation, columns: list[str]
) -> list[tuple]:
    """Return each column with its first differing row and the number of such rows."""
    if not columns:
        return []
    differs = "filter (panel.{0} is distinct from own.{0})"
    figures = f"min((panel.trade_date, panel.symbol)) {differs}, count(*) {differs}"
    # A wrong as_of_date shows as a difference of the row keys.
    (values,) = connection.sql(f"""
        select {", ".join(figures.format(name) for name in columns)}
        from panel
        left join own on panel.symbol = own.symbol and panel.as_of_date = own.trade_date
    """).fetchall()
    triples = zip(columns, values[::2], values[1::2], strict=True)
    return [(name, first[1], first[0], n) for name, first, n in triples if n]
