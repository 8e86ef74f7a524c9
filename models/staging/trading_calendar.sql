select
    trade_date,
    session_number,
    previous_trade_date,
    next_trade_date,
    is_official,
    session_of_month = 0 as is_first_of_month,
    session_of_week = 0 as is_first_of_week,
    session_of_month,
    sessions_in_month,
    session_of_week,
    sessions_in_week
from {{ ref('exchange_sessions') }}
where is_in_calendar
order by trade_date
