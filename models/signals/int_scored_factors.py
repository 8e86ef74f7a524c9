from etf_rotation import panel


def model(dbt, session):
    """One row a fund, session and scored factor: its value in score form, where it has one."""
    dbt.config(materialized="table")
    catalogue = dbt.ref("factor_catalog").filter("score_direction is not null")
    scored = catalogue.project("factor_id, scale").fetchall()
    # Read by name in the query below.
    panel_rows, bars = dbt.ref("factor_panel"), dbt.ref("int_bars__lagged")  # noqa: F841
    return session.sql(
        "unpivot (select symbol, trade_date, panel_rows.as_of_date, panel_rows.pool, "
        f"{panel.score_form(scored, 'adj_close')} "
        "from panel_rows inner join bars using (symbol, trade_date)) "
        f"on {', '.join(factor for factor, _ in scored)} into name factor_id value factor_value"
    )
