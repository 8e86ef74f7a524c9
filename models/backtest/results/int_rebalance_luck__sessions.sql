-- The sessions of each pool, numbered from 0, with their numbers in month and week.

with

sessions as (

    select * from {{ ref('int_backtest__sessions') }}

),

calendar as (

    select * from {{ ref('trading_calendar') }}

)

select
    sessions.pool,
    row_number() over (partition by sessions.pool order by sessions.trade_date) - 1 as session,
    sessions.trade_date,
    cast(calendar.session_of_month as bigint) as session_of_month,
    cast(calendar.sessions_in_month as bigint) as sessions_in_month,
    cast(calendar.session_of_week as bigint) as session_of_week,
    cast(calendar.sessions_in_week as bigint) as sessions_in_week
from sessions
inner join calendar
    on sessions.trade_date = calendar.trade_date
order by sessions.pool, sessions.trade_date
