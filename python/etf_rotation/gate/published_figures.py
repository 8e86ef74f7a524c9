"""Figures, checks and findings of the last published build, for comparison."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from etf_rotation.bilingual import Bilingual

SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("pool", pa.string()),
        ("name", pa.string()),
        ("value", pa.float64()),
        ("status", pa.string()),
        ("source_file", pa.string()),
        ("symbol", pa.string()),
        ("trade_date", pa.date32()),
        ("detail", pa.string()),
        ("detail_zh", pa.string()),
    ]
)
FIGURE, CHECK, FINDING, FAULT = "figure", "check", "finding", "fault"

# One query per table: a bad block in the file then loses only that table.
TABLES = {
    "signals.factor_summary": f"""
        select
            '{FIGURE}' as kind, pool, 'coverage' as name,
            sum(coverage order by factor_id) / count(*) as value
        from signals.factor_summary
        group by pool
        order by pool""",
    "marts.pool_metrics_summary": f"""
        select '{FIGURE}' as kind, pool, unnest(['annual_return', 'max_drawdown']) as name,
            unnest([annual_return, max_drawdown]) as value
        from marts.pool_metrics_summary
        where is_live
        order by pool""",
    "gate.gate_checks": f"""
        select
            '{CHECK}' as kind, pool, check_name as name, value, status,
            message as detail, message_zh as detail_zh
        from gate.gate_checks
        order by pool, check_name""",
    "gate.gate_violations": f"""
        select
            '{FINDING}' as kind, pool, check_name as name, value, source_file, symbol, trade_date,
            detail, detail_zh
        from gate.gate_violations
        order by all""",
}


def read(path: str) -> pa.Table:
    """Return figures, checks and findings of the published build.

    Parameters
    ----------
    path : str
        The published database. If it is empty or names no file, no row is returned: the
        first build has no predecessor.

    Returns
    -------
    pyarrow.Table
        `SCHEMA`, with rows of `kind`

        - `figure` for each pool's mean coverage, annual return and deepest drawdown,
        - `check` for each row of gate_checks, with its status,
        - `finding` for each row of gate_violations,
        - `fault` for each of these tables that cannot be read, with the reason. `name` is
          the table, or null if the file cannot be opened. Readable tables are returned
          anyway.
    """
    if not path or not Path(path).exists():
        return SCHEMA.empty_table()
    tables, unread = [], dict(TABLES)
    while unread:
        name = None
        try:
            # Reconnect after an error: DuckDB may refuse to go on after a bad block.
            with duckdb.connect(path, read_only=True) as connection:
                for name in list(unread):
                    tables.append(_whole(connection.sql(unread.pop(name)).to_arrow_table()))
        except duckdb.Error as error:
            tables.append(_fault(path, name, error))
            if name is None:
                break
    return pa.concat_tables(tables)


def _whole(found: pa.Table) -> pa.Table:
    """Add the missing columns of `SCHEMA`."""
    columns = [
        found[field.name].cast(field.type)
        if field.name in found.column_names
        else pa.nulls(len(found), field.type)
        for field in SCHEMA
    ]
    return pa.table(columns, schema=SCHEMA)


def _fault(path: str, name: str | None, error: duckdb.Error) -> pa.Table:
    why = str(error).splitlines()[0]
    what = Bilingual(
        f"{path}: {name or 'the file'} cannot be read ({why})",
        f"{path}：{name or '该文件'} 无法读取（{_kind_zh(error)}）",
    )
    row = {"kind": FAULT, "name": name, "detail": what.en, "detail_zh": what.zh}
    return pa.Table.from_pylist([row], schema=SCHEMA)


def _kind_zh(error: duckdb.Error) -> str:
    # DuckDB explains its errors only in English.
    if isinstance(error, (duckdb.CatalogException, duckdb.BinderException)):
        return "没有该表，或缺少其中的列"
    if isinstance(error, duckdb.IOException):
        return "打不开，或不是数据库"
    return "内容已损坏"
