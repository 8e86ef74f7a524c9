from etf_rotation.signals import factor_summary


def model(dbt, session):
    """Return one row per fund, session and scored factor with a value in score form."""
    dbt.config(materialized="table")
    catalog = dbt.ref("factor_catalog").project("factor_id, scale, score_direction").fetchall()
    lagged = dbt.ref("int_factors__lagged")
    factor_summary.check_catalog([factor for factor, *_ in catalog], lagged.columns)
    scored = [(factor, scale) for factor, scale, direction in catalog if direction is not None]
    return session.sql(
        "unpivot (select symbol, trade_date, as_of_date, pool, "
        f"{factor_summary.score_form(scored, factor_summary.CLOSE)} from lagged) "
        f"on {', '.join(factor for factor, _ in scored)} into name factor_id value factor_value"
    )
