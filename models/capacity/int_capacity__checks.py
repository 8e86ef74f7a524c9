from etf_rotation.capacity import limits


def model(dbt, session):
    """Check every rebalance and the holdings against the pools' limits."""
    dbt.config(materialized="table")
    return limits.check_all(dbt.ref("int_capacity__weights").to_arrow_table())
