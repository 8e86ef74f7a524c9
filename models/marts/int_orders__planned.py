from etf_rotation.marts import holdings, next_session


def model(dbt, session):
    """Plan every pool's next session; own holdings replace the simulated ones."""
    dbt.config(materialized="table")
    path = dbt.ref("run_settings").project("holdings_file").fetchall()[0][0]
    tranches = dbt.ref("int_orders__tranches").to_arrow_table()
    funds = dbt.ref("int_orders__funds")
    live = dbt.ref("int_strategies").filter("is_live").project("strategy, pool")
    parameters = dbt.ref("int_backtest__parameters").join(live, "strategy, pool", "semi")
    own = {}
    if path:
        own = holdings.read(
            path,
            pool_of=dict(dbt.ref("etf_pools").project("symbol, pool").fetchall()),
            pools={pool for (pool,) in parameters.project("pool").fetchall()},
            priced={symbol for (symbol,) in funds.project("symbol").distinct().fetchall()},
        )
    return next_session.next_orders_of_all(
        tranches=tranches,
        funds=funds.to_arrow_table(),
        parameters=parameters.to_arrow_table(),
        holdings=own,
    )
