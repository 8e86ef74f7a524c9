from etf_rotation.backtest import sleeves


def model(dbt, session):
    """Combine the pools to PORTFOLIO."""
    dbt.config(materialized="table")
    sessions = dbt.ref("int_backtest__pool_equity").project(
        "pool, trade_date, equity / previous_equity - 1 as daily_return, benchmark_return"
    )
    shares = dbt.ref("pool_constraints").project("pool, target_capital, portfolio_weight")
    return sleeves.run(sessions.to_arrow_table(), shares.to_arrow_table())
