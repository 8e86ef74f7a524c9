-- Sessions on which a fund counts as ended. A holding is then paid out.

with

gaps as (

    select * from {{ ref('int_fund_gaps') }}
    where ended_date is not null

),

sessions as (

    select * from {{ ref('int_backtest__sessions') }}

)

select
    gaps.pool,
    gaps.ended_date as trade_date,
    gaps.symbol
from gaps
inner join sessions
    on
        gaps.pool = sessions.pool
        and gaps.ended_date = sessions.trade_date
order by gaps.pool, gaps.ended_date, gaps.symbol
