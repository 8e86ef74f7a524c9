from etf_rotation.signals import decisions


def model(dbt, session):
    """Decide on every fund before every rebalance of every strategy and tranche."""
    dbt.config(materialized="table")
    return decisions.select_all(
        strategies=dbt.ref("int_strategies").to_arrow_table(),
        sessions=dbt.ref("int_rebalance_sessions").to_arrow_table(),
        candidates=dbt.ref("int_selection__candidates").to_arrow_table(),
    )
