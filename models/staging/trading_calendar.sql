select
    trade_date,
    session_number,
    previous_trade_date,
    next_trade_date,
    is_official,
    -- The first session of a calendar month, or of an ISO week, since the session before it.
    coalesce(month(trade_date) <> month(previous_trade_date), true) as is_first_of_month,
    coalesce(
        date_trunc('week', trade_date) <> date_trunc('week', previous_trade_date), true
    ) as is_first_of_week
from {{ ref('exchange_sessions') }}
where is_in_calendar
order by trade_date
