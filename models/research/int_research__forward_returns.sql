-- What a fund earns from the open of trade_date, the first price at which one can act on that row's
-- factors, to the open some sessions later. These rows look ahead: nothing but the report reads them.

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

horizons as (

    select unnest({{ var('research_horizons') }}) as horizon_sessions

)

select
    bars.pool,
    bars.symbol,
    bars.trade_date,
    horizons.horizon_sessions,
    later.adj_open / bars.adj_open - 1 as forward_return
from bars
cross join horizons
inner join bars as later
    on
        bars.symbol = later.symbol
        and bars.session_number + horizons.horizon_sessions = later.session_number
order by bars.pool, horizons.horizon_sessions, bars.symbol, bars.trade_date
