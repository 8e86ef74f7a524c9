-- The return of a fund from the open of trade_date to the open some sessions later.
-- That open is the first price at which one can trade on the row's factors. These rows
-- look ahead: only the report reads them.

with

bars as (

    select
        bars.symbol,
        bars.pool,
        bars.trade_date,
        calendar.session_number,
        bars.adj_open
    from {{ ref('stg_etf_daily') }} as bars
    inner join {{ ref('trading_calendar') }} as calendar
        on bars.trade_date = calendar.trade_date

),

-- Unnested and not joined, because a join would first pair all sessions of a fund.
starts as (

    select
        *,
        unnest({{ var('research_horizons') }}) as horizon_sessions
    from bars

)

select
    starts.pool,
    starts.symbol,
    starts.trade_date,
    starts.horizon_sessions,
    later.adj_open / starts.adj_open - 1 as forward_return
from starts
inner join bars as later
    on
        starts.symbol = later.symbol
        and starts.session_number + starts.horizon_sessions = later.session_number
order by starts.pool, starts.horizon_sessions, starts.symbol, starts.trade_date
