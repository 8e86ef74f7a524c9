-- The sessions at whose open a pool is rebalanced, up to the one after its last bar.

with

calendar as (

    select * from {{ ref('trading_calendar') }}

),

lagged as (

    select * from {{ ref('int_bars__lagged') }}

),

pools as (

    select * from {{ ref('pool_constraints') }}

),

spans as (

    select
        lagged.pool,
        min(lagged.trade_date) as first_trade_date,
        max(lagged.trade_date) as last_trade_date
    from lagged
    inner join pools
        on lagged.pool = pools.pool
    group by lagged.pool

)

select
    spans.pool,
    calendar.trade_date,
    calendar.previous_trade_date as as_of_date
from spans
inner join calendar
    on calendar.trade_date between spans.first_trade_date and spans.last_trade_date
where {{ is_rebalance_session('calendar') }}
order by spans.pool, calendar.trade_date
