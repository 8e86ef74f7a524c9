with

calendar as (

    select
        *,
        lag(trade_date) over (order by trade_date) as date_before,
        lead(trade_date) over (order by trade_date) as date_after,
        lag(session_number) over (order by trade_date) as number_before
    from {{ ref('trading_calendar') }}

),

bars as (

    select * from {{ ref('stg_etf_daily') }}

)

select
    'a session out of order' as fault,
    trade_date,
    null as symbol
from calendar
where
    session_number <> number_before + 1
    or previous_trade_date <> date_before
    or next_trade_date <> date_after
    or next_trade_date is null
    or next_trade_date <= trade_date

union all

-- The calendar must reach beyond the data: a trader acts on the next session.
select
    'a bar without a session after it' as fault,
    bars.trade_date,
    bars.symbol
from bars
left join calendar
    on bars.trade_date = calendar.trade_date
where calendar.date_after is null
