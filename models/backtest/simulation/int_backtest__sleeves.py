from etf_rotation.backtest import sleeves


def model(dbt, session):
    """Combine the pools of every strategy into a PORTFOLIO."""
    dbt.config(materialized="table")
    sessions = dbt.ref("int_backtest__pool_equity").project(
        "strategy, pool, trade_date, equity / previous_equity - 1 as daily_return, benchmark_return"
    )
    members = dbt.ref("int_portfolio_members").project(
        "portfolio, pool, strategy, target_capital, portfolio_weight"
    )
    return sleeves.run(sessions.to_arrow_table(), members.to_arrow_table())
