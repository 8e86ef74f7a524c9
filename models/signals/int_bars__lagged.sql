-- The one place where time moves. What was known after session as_of_date is what one trades on at
-- the open of the exchange's next session, trade_date, whether the fund trades on that day or not.

with

calendar as (

    select * from {{ ref('trading_calendar') }}

),

{{ rolling('windows', ref('int_bars'), [20], sum=['a']) }}

select
    windows.bar_id,
    windows.symbol,
    calendar.next_trade_date as trade_date,
    windows.trade_date as as_of_date,
    windows.pool,
    windows.c as adj_close,
    -- Average daily amount in CNY of the last 20 bars, null before there are 20.
    windows.a_sum_20 / 20 as adv20
from windows
inner join calendar
    on windows.trade_date = calendar.trade_date
order by windows.bar_id
