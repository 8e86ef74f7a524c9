from etf_rotation.backtest import ledger


def model(dbt, session):
    """Simulate every strategy in every pool, session by session."""
    dbt.config(materialized="table")
    return ledger.run(
        bars=dbt.ref("int_backtest__bars").to_arrow_table(),
        endings=dbt.ref("int_backtest__endings").to_arrow_table(),
        sessions=dbt.ref("int_backtest__sessions").to_arrow_table(),
        rebalances=dbt.ref("int_selection__sessions").to_arrow_table(),
        targets=dbt.ref("int_backtest__targets").to_arrow_table(),
        parameters=dbt.ref("int_backtest__parameters").to_arrow_table(),
    )
