with

ledger as (

    select * from {{ ref('int_backtest__ledger') }}

),

sessions as (

    select
        strategy,
        pool,
        trade_date,
        equity
    from ledger
    where kind = 'session'

)

select
    ledger.strategy,
    ledger.pool,
    ledger.trade_date,
    ledger.symbol,
    ledger.shares,
    ledger.close,
    ledger.market_value,
    ledger.market_value / sessions.equity as weight
from ledger
inner join sessions
    on
        ledger.strategy = sessions.strategy
        and ledger.pool = sessions.pool
        and ledger.trade_date = sessions.trade_date
where ledger.kind = 'position'
order by ledger.strategy, ledger.pool, ledger.trade_date, ledger.symbol
