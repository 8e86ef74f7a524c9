import pyarrow as pa
from etf_rotation import panel

ROWS_AT_A_TIME = 61_440


def model(dbt, session):
    """Coverage, variance and duplicates of every factor in every pool."""
    dbt.config(materialized="table")
    limit = dbt.ref("run_settings").project("duplicate_correlation").fetchall()[0][0]
    factors = dbt.ref("factor_catalog").project("factor_id, scale").fetchall()
    # Read by name in the queries below.
    panel_rows, bars = dbt.ref("factor_panel"), dbt.ref("int_bars__lagged")  # noqa: F841
    pools = session.sql("select distinct pool from panel_rows order by pool").fetchall()
    tables = []
    for (pool,) in pools:
        rows = session.sql(
            f"select {panel.score_form(factors, 'adj_close')} from panel_rows "
            "inner join bars using (symbol, trade_date) "
            f"where panel_rows.pool = '{pool}'"
        )
        batches = rows.to_arrow_reader(ROWS_AT_A_TIME)
        tables.append(panel.summarise(pool, [factor for factor, _ in factors], batches, limit))
    return pa.concat_tables(tables)
