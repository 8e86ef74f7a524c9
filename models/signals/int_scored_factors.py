from etf_rotation import panel


def model(dbt, session):
    """One row a fund, session and scored factor: its value in score form, where it has one."""
    dbt.config(materialized="table")
    catalogue = dbt.ref("factor_catalog").filter("score_direction is not null")
    scored = catalogue.project("factor_id, scale").fetchall()
    lagged = dbt.ref("int_factors__lagged")  # noqa: F841 (read by name in the query)
    return session.sql(
        "unpivot (select symbol, trade_date, as_of_date, pool, "
        f"{panel.score_form(scored, 'adj_close')} from lagged) "
        f"on {', '.join(factor for factor, _ in scored)} into name factor_id value factor_value"
    )
