-- Every session of the exchange from a pool's first bar to its last.

with

calendar as (

    select * from {{ ref('trading_calendar') }}

),

spans as (

    select
        pool,
        min(trade_date) as first_date,
        max(trade_date) as last_date
    from {{ ref('int_backtest__bars') }}
    group by pool

)

select
    spans.pool,
    calendar.trade_date
from spans
inner join calendar
    on calendar.trade_date between spans.first_date and spans.last_date
order by spans.pool, calendar.trade_date
