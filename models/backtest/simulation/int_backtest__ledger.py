from etf_rotation.backtest import ledger


def model(dbt, session):
    """Walk every pool through its sessions."""
    dbt.config(materialized="table")
    return ledger.run(
        bars=dbt.ref("int_backtest__bars").to_arrow_table(),
        targets=dbt.ref("target_weights")
        .project("pool, trade_date, symbol, as_of_date, target_weight, rank::bigint as rank, adv20")
        .to_arrow_table(),
        sessions=dbt.ref("int_backtest__sessions").to_arrow_table(),
        endings=dbt.ref("int_backtest__endings").to_arrow_table(),
        parameters=dbt.ref("int_backtest__parameters").to_arrow_table(),
    )
