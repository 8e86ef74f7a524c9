-- Every pool has orders for its next session, or one row with the reason for none. An
-- order can be sent unchanged: whole lots, at most the holding, a price within the
-- limits.

{{ after_the_gate() }}

with

orders as (

    select * from {{ ref('next_session_orders') }}

),

live as (

    select * from {{ ref('int_live_strategies') }}

),

parameters as (

    select * from {{ ref('int_backtest__parameters') }}
    semi join live using (strategy, pool)

),

bars as (

    select * from {{ ref('int_backtest__bars') }}

),

calendar as (

    select * from {{ ref('trading_calendar') }}

),

positions as (

    select * from {{ ref('positions_daily') }}
    semi join live using (strategy, pool)

),

next_sessions as (

    select
        last_bars.pool,
        calendar.next_trade_date as trade_date
    from (
        select
            pool,
            max(trade_date) as trade_date
        from bars
        group by pool
    ) as last_bars
    inner join calendar
        on last_bars.trade_date = calendar.trade_date

)

select
    parameters.pool,
    orders.symbol,
    case
        when orders.pool is null then 'no row'
        when orders.trade_date <> next_sessions.trade_date then 'another session'
        when
            orders.symbol is null
            and (
                orders.sequence <> 0
                or orders.shares is not null
                or orders.reason not like 'no order: %'
                or count(*) over (partition by parameters.pool) > 1
            )
            then 'neither an order nor none'
        when orders.symbol is null then null
        when orders.side not in ('buy', 'sell') or not coalesce(orders.shares > 0, false) then 'nothing to send'
        when orders.side = 'buy' and orders.shares % parameters.lot_size <> 0 then 'no whole lots'
        when
            orders.side = 'sell'
            and orders.basis = 'simulated'
            and orders.shares > coalesce(positions.shares, 0)
            then 'more than is held'
        when not coalesce(orders.last_close between orders.limit_down and orders.limit_up, false)
            then 'no price within the limits'
    end as fault
from parameters
left join orders
    on parameters.pool = orders.pool
left join next_sessions
    on parameters.pool = next_sessions.pool
left join positions
    on
        orders.pool = positions.pool
        and orders.as_of_date = positions.trade_date
        and orders.symbol = positions.symbol
qualify fault is not null
