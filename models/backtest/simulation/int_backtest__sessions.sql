with

bars as (

    select * from {{ ref('int_backtest__bars') }}

),

calendar as (

    select * from {{ ref('trading_calendar') }}

),

rebalances as (

    select * from {{ ref('int_rebalance_sessions') }}

),

eligible as (

    select * from {{ ref('int_selection__eligible') }}

),

spans as (

    select
        pool,
        min(trade_date) as first_date,
        max(trade_date) as last_date
    from bars
    group by pool

)

select
    spans.pool,
    calendar.trade_date,
    rebalances.trade_date is not null as is_rebalance,
    eligible.n_eligible
from spans
inner join calendar
    on calendar.trade_date between spans.first_date and spans.last_date
left join rebalances
    on
        spans.pool = rebalances.pool
        and calendar.trade_date = rebalances.trade_date
left join eligible
    on
        spans.pool = eligible.pool
        and calendar.trade_date = eligible.trade_date
order by spans.pool, calendar.trade_date
