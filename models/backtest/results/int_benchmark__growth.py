from etf_rotation.backtest import growth


def model(dbt, session):
    """Compound the benchmark's returns, session by session."""
    dbt.config(materialized="table")
    returns = dbt.ref("equity_daily").project("strategy, pool, trade_date, benchmark_return")
    return growth.compound(returns.to_arrow_table())
