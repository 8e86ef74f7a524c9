from pathlib import Path

from etf_rotation.gate import expectations


def model(dbt, session):
    """Check the raw rows against their expectations before anything is computed."""
    dbt.config(materialized="table", tags=["expectations"])
    docs = dbt.ref("run_settings").project("data_docs").fetchall()[0][0]
    tables = {"raw_files": dbt.ref("raw_files").filter("is_read"), "raw_rows": dbt.ref("raw_rows")}
    return expectations.run_suites("raw", expectations.raw_suites(), tables, Path(docs))
