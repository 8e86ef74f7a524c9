-- Each fund with a bar before the session to trade: last price, limits, holding, target, open order,
-- and whether it has ended.

with

next_sessions as (

    select * from {{ ref('int_orders__pools') }}

),

bars as (

    select * from {{ ref('int_backtest__bars') }}

),

limits as (

    select * from {{ ref('int_price_limits') }}

),

positions as (

    select * from {{ ref('positions_daily') }}

),

targets as (

    select * from {{ ref('target_weights') }}

),

-- An order without any fill is a row of every session on which it was tried.
open_orders as (

    select * from {{ ref('rejected_orders') }}

),

calendar as (

    select * from {{ ref('trading_calendar') }}

),

last_rows as (

    select
        gaps.symbol,
        calendar.session_number
    from {{ ref('int_fund_gaps') }} as gaps
    inner join calendar
        on gaps.last_row_date = calendar.trade_date
    where gaps.next_row_date is null

),

last_rebalances as (

    select *
    from {{ ref('rebalances') }}
    qualify trade_date = max(trade_date) over (partition by pool)

),

last_bars as (

    select
        pool,
        symbol,
        max(trade_date) as last_bar_date,
        max_by(close, trade_date) as last_close
    from bars
    group by pool, symbol

),

referenced as (

    select
        next_sessions.pool,
        next_sessions.trade_date,
        next_sessions.as_of_date,
        calendar.session_number - last_rows.session_number as sessions_without_row,
        last_bars.symbol,
        last_bars.last_bar_date,
        last_bars.last_close,
        limits.price_limit
    from next_sessions
    inner join last_bars
        on next_sessions.pool = last_bars.pool
    inner join calendar
        on next_sessions.as_of_date = calendar.trade_date
    inner join last_rows
        on last_bars.symbol = last_rows.symbol
    asof left join limits
        on
            last_bars.symbol = limits.symbol
            and next_sessions.trade_date >= limits.valid_from

)

select
    referenced.pool,
    referenced.symbol,
    referenced.last_bar_date,
    referenced.last_close,
    referenced.sessions_without_row >= {{ var('max_no_row_sessions') }} as has_ended,
    referenced.sessions_without_row + 1 = {{ var('max_no_row_sessions') }} as ends_next,
    -- No corporate action of the session to come is known; where there is one, the limits start from
    -- the ex-rights close instead.
    {{ limit_price('referenced.last_close', 'referenced.price_limit', '+') }} as limit_up,
    {{ limit_price('referenced.last_close', 'referenced.price_limit', '-') }} as limit_down,
    coalesce(positions.shares, 0) as shares,
    targets.target_weight,
    cast(targets.rank as bigint) as rank,
    targets.adv20,
    cast(open_orders.sequence as bigint) as open_sequence,
    open_orders.side as open_side,
    open_orders.shares as open_shares,
    last_rebalances.target_weight as open_weight,
    open_orders.reason as open_reason
from referenced
left join positions
    on
        referenced.pool = positions.pool
        and referenced.as_of_date = positions.trade_date
        and referenced.symbol = positions.symbol
left join targets
    on
        referenced.pool = targets.pool
        and referenced.trade_date = targets.trade_date
        and referenced.symbol = targets.symbol
left join open_orders
    on
        referenced.pool = open_orders.pool
        and referenced.as_of_date = open_orders.trade_date
        and referenced.symbol = open_orders.symbol
left join last_rebalances
    on
        referenced.pool = last_rebalances.pool
        and referenced.symbol = last_rebalances.symbol
order by referenced.pool, referenced.symbol
