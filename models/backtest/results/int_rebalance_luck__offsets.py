from etf_rotation.backtest import luck


def model(dbt, session):
    """Simulate every monthly or weekly strategy at each offset of its rebalances."""
    dbt.config(materialized="table")
    settings = dbt.ref("run_settings").project(
        "sessions_per_year, risk_free_rate, min_metrics_sessions"
    )
    return luck.run(
        bars=dbt.ref("int_backtest__bars").to_arrow_table(),
        endings=dbt.ref("int_backtest__endings").to_arrow_table(),
        dates=dbt.ref("int_backtest__sessions").to_arrow_table(),
        sessions=dbt.ref("int_rebalance_luck__sessions").to_arrow_table(),
        funds=dbt.ref("int_rebalance_luck__funds").to_arrow_table(),
        strategies=dbt.ref("int_strategies").to_arrow_table(),
        parameters=dbt.ref("int_backtest__parameters").to_arrow_table(),
        settings=luck.Settings(*settings.fetchall()[0]),
    )
