from etf_rotation.signals import selection


def model(dbt, session):
    """Decide about every fund of every pool on every rebalance session."""
    dbt.config(materialized="table")
    min_adv_cny = dbt.ref("run_settings").project("min_adv_cny").fetchall()[0][0]
    candidates = dbt.ref("int_selection__candidates").to_arrow_table()
    return selection.select_all(candidates, min_adv_cny=min_adv_cny)
