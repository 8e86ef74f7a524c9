from dbt.flags import get_flags
from etf_rotation.signals import factor_summary

ROWS_AT_A_TIME = 8_192


def model(dbt, session):
    """Compute coverage, variance and duplicates of every factor in every pool."""
    dbt.config(materialized="table")
    limit = dbt.ref("run_settings").project("duplicate_correlation").fetchall()[0][0]
    factors = dbt.ref("factor_catalog").project("factor_id, scale").fetchall()
    names = [factor for factor, _ in factors]
    lagged = dbt.ref("int_factors__lagged")
    published = dbt.ref("factor_panel")
    factor_summary.check_catalog(names, lagged.columns)
    factor_summary.check_published(names, published.columns)
    rows = lagged.project(f"pool, {factor_summary.score_form(factors, factor_summary.CLOSE)}")
    batches = rows.to_arrow_reader(ROWS_AT_A_TIME)
    return factor_summary.summarize(names, batches, limit, may_be_empty=get_flags().EMPTY)
