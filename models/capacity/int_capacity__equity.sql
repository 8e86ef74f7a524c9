-- The equity of the strategy that each pool trades.

with

live as (

    select * from {{ ref('int_strategies') }}
    where is_live

)

select
    equity.pool,
    equity.trade_date,
    equity.equity
from {{ ref('equity_daily') }} as equity
inner join live
    on
        equity.strategy = live.strategy
        and equity.pool = live.pool
order by equity.pool, equity.trade_date
