-- The only model that shifts dates. Values known after the session as_of_date apply at
-- the open of the exchange's next session, trade_date, whether or not the fund trades
-- on it.

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
    -- Average daily amount of the last 20 bars, CNY; null before bar 20.
    windows.a_sum_20 / 20 as adv20
from windows
inner join calendar
    on windows.trade_date = calendar.trade_date
order by windows.bar_id
