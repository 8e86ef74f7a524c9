-- With two tranches, one session may have a closing sale and an opening purchase. The
-- sale belongs to the earlier trip.

with

changes as (

    select * from {{ ref('int_position_changes') }}

),

funds as (

    select * from {{ ref('int_funds') }}

),

calendar as (

    select * from {{ ref('trading_calendar') }}

),

last_sessions as (

    select
        strategy,
        pool,
        max(trade_date) as trade_date
    from {{ ref('equity_daily') }}
    group by strategy, pool

),

open_positions as (

    select
        positions.strategy,
        positions.pool,
        positions.symbol,
        positions.market_value
    from {{ ref('positions_daily') }} as positions
    semi join last_sessions
        on
            positions.strategy = last_sessions.strategy
            and positions.pool = last_sessions.pool
            and positions.trade_date = last_sessions.trade_date

),

flows as (

    select
        strategy,
        pool,
        symbol,
        trade_date,
        trip,
        bought_value,
        0 as sold_value,
        case when sold_value = 0 then commission else commission * bought_value / (bought_value + sold_value) end
        as commission,
        is_entry as is_first,
        false as is_last
    from changes
    where bought_value > 0
    union all
    select
        strategy,
        pool,
        symbol,
        trade_date,
        trip - cast(is_entry as integer) as trip,
        0 as bought_value,
        sold_value,
        case when bought_value = 0 then commission else commission * sold_value / (bought_value + sold_value) end
        as commission,
        false as is_first,
        kept_part = 0 as is_last
    from changes
    where sold_value > 0

),

trips as (

    select
        strategy,
        pool,
        symbol,
        trip,
        min(trade_date) as entry_date,
        max(trade_date) filter (where is_last) as exit_date,
        sum(bought_value order by trade_date) as bought_value,
        sum(sold_value order by trade_date) as sold_value,
        sum(commission order by trade_date) as commission
    from flows
    group by strategy, pool, symbol, trip

),

valued as (

    select
        trips.*,
        case when trips.exit_date is null then open_positions.market_value else 0 end as market_value
    from trips
    left join open_positions
        on
            trips.strategy = open_positions.strategy
            and trips.pool = open_positions.pool
            and trips.symbol = open_positions.symbol

),

judged as (

    select
        *,
        sold_value + market_value - bought_value - commission as profit
    from valued

)

select
    judged.strategy,
    judged.pool,
    judged.symbol,
    cast(judged.trip as integer) as trip,
    funds.name,
    judged.entry_date,
    judged.exit_date,
    cast(until.session_number - since.session_number as integer) as sessions,
    judged.bought_value,
    judged.sold_value,
    judged.commission,
    judged.market_value,
    judged.profit,
    judged.profit / judged.bought_value as trip_return
from judged
inner join last_sessions
    on
        judged.strategy = last_sessions.strategy
        and judged.pool = last_sessions.pool
inner join calendar as since
    on judged.entry_date = since.trade_date
inner join calendar as until
    on coalesce(judged.exit_date, last_sessions.trade_date) = until.trade_date
left join funds
    on judged.symbol = funds.symbol
order by judged.strategy, judged.pool, judged.symbol, judged.trip
