from etf_rotation import panel


def model(dbt, session):
    """One row a fund, session and scored factor: its value in score form, where it has one."""
    dbt.config(materialized="table")
    catalogue = dbt.ref("factor_catalog").filter("score_direction is not null")
    scored = catalogue.project("factor_id, scale").fetchall()
    dbt.ref("factor_panel").create_view("scored_panel", replace=True)
    dbt.ref("int_bars__lagged").create_view("scored_bars", replace=True)
    return session.sql(
        "unpivot (select symbol, trade_date, scored_panel.as_of_date, scored_panel.pool, "
        f"{panel.score_form(scored, 'adj_close')} "
        "from scored_panel inner join scored_bars using (symbol, trade_date)) "
        f"on {', '.join(factor for factor, _ in scored)} into name factor_id value factor_value"
    )
