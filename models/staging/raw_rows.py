from etf_rotation import pools, raw


def model(dbt, session):
    """Read every raw row, with nothing repaired."""
    dbt.config(materialized="table")
    as_of, selected_pools = dbt.ref("run_settings").project("as_of, selected_pools").fetchall()[0]
    funds = dbt.ref("etf_pools").project("symbol, pool").fetchall()
    rows = raw.read_rows(session, dbt.ref("raw_files").to_arrow_table(), as_of)
    pools.check_every_pool_has_rows(
        funds,
        set(rows["raw_symbol"].unique().to_pylist()),
        selected_pools.split(",") if selected_pools else (),
    )
    return rows
