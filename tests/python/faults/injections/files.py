"""Faults of a file or a seed, which stop the build before anything is computed."""

from __future__ import annotations

import csv
import shutil

import pyarrow as pa
import pyarrow.parquet as pq

from faults.workspace import FIRST, Workspace, write_csv


def truncated_file(w: Workspace) -> list[str]:
    path = w.path("510300.SH")
    path.write_bytes(path.read_bytes()[:-200])
    return [f"{path.name}: not a whole parquet file"]


def zero_byte_file(w: Workspace) -> list[str]:
    w.path("510500.SH").write_bytes(b"")
    return [f"{w.path('510500.SH').name}: the file has no bytes"]


def file_without_rows(w: Workspace) -> list[str]:
    w.write("159919.SZ", [])
    return [f"{w.path('159919.SZ').name}: the file has no rows"]


def missing_column(w: Workspace) -> list[str]:
    path = w.path("513100.SH")
    pq.write_table(pq.read_table(path).drop_columns(["amount"]), path)
    return [f"{path.name}: required column amount is missing"]


def column_of_another_type(w: Workspace) -> list[str]:
    rows = [row | {"close": True} for row in w.rows("511010.SH")]
    w.write("511010.SH", rows, close=pa.bool_())
    return [f"{w.path('511010.SH').name}: column close has type bool"]


def broken_page(w: Workspace) -> list[str]:
    path = w.path("510300.SH")
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)
    path.write_bytes(bytes(content))
    return [f"{path.name}: unreadable"]


def real_among_synthetic(w: Workspace) -> list[str]:
    path = w.path("510300.SH")
    pq.write_table(pq.read_table(path).replace_schema_metadata({}), path)
    return [path.name, "mixes the synthetic sample"]


def pool_with_no_file(w: Workspace) -> list[str]:
    for symbol in w.funds("QDII"):
        w.path(symbol).unlink()
    return ["pool QDII has no raw row of any of its 5 funds", "159920.SZ"]


def no_file_at_all(w: Workspace) -> list[str]:
    shutil.rmtree(w.raw / "ETF")
    return ["no raw data", "ETF_RAW_ROOT"]


def fund_in_two_pools(w: Workspace) -> list[str]:
    with (w.project / "seeds" / "etf_pools.csv").open("a", encoding="utf-8") as file:
        file.write("510300.SH,QDII,again,broad,equity,true\n")
    return ["510300.SH"]


def category_missing(w: Workspace) -> list[str]:
    path = w.project / "seeds" / "etf_pools.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = [
            row | ({"category": ""} if row["symbol"] == "512880.SH" else {})
            for row in csv.DictReader(file)
        ]
    write_csv(path, rows)
    return ["512880.SH"]


def unknown_pool_selected(_: Workspace) -> list[str]:
    return ["QDIII"]


def unreadable_dates_everywhere(w: Workspace) -> list[str]:
    for symbol in w.funds()[:-2]:
        w.write(symbol, [row | {"trade_date": row["trade_date"][:4]} for row in w.rows(symbol)])
    return ["raw_rows expect_column_values_to_not_be_null trade_date", w.path(FIRST).name]


def swapped_columns_everywhere(w: Workspace) -> list[str]:
    for symbol in w.funds():
        rows = w.rows(symbol)
        w.write(symbol, [row | {"high": row["low"], "low": row["high"]} for row in rows])
    return ["high, low", w.path(FIRST).name]


def unreadable_published_build(w: Workspace) -> list[str]:
    (w.folder / "published.duckdb").write_text("no database")
    return ["published.duckdb: the file cannot be read", "publish this run in its place"]
