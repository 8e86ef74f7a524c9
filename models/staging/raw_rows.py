from etf_rotation import raw


def model(dbt, session):
    """Read every raw row, with nothing repaired."""
    dbt.config(materialized="table")
    as_of = dbt.ref("run_settings").project("as_of").fetchall()[0][0]
    return raw.read_rows(session, dbt.ref("raw_files").to_arrow_table(), as_of)
