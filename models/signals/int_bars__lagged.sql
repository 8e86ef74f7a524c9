-- The one place where time moves. What was known after session as_of_date is what one trades on at
-- the open of the exchange's next session, trade_date, whether the fund trades on that day or not.

with

bars as (

    select
        symbol,
        trade_date,
        pool,
        bar_number,
        adj_close,
        amount
    from {{ ref('stg_etf_daily') }}
    order by symbol, bar_number

),

calendar as (

    select * from {{ ref('trading_calendar') }}

),

{{ rolling('windows', 'bars', [20], sum=['amount']) }}

select
    windows.symbol,
    calendar.next_trade_date as trade_date,
    windows.trade_date as as_of_date,
    windows.pool,
    windows.adj_close,
    -- Average daily amount in CNY of the last 20 bars, null before there are 20.
    windows.amount_sum_20 / 20 as adv20
from windows
inner join calendar
    on windows.trade_date = calendar.trade_date
order by windows.symbol, windows.trade_date
