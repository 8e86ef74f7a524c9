with

live as (

    select * from {{ ref('int_live_strategies') }}

),

positions as (

    select *
    from {{ ref('positions_daily') }}
    qualify trade_date = max(trade_date) over (partition by strategy, pool)

),

last_sessions as (

    select
        equity.strategy,
        equity.pool,
        max(equity.trade_date) as trade_date
    from {{ ref('equity_daily') }} as equity
    semi join live
        on
            equity.strategy = live.strategy
            and equity.pool = live.pool
    group by equity.strategy, equity.pool

),

-- The remaining cost of purchases: each sale removes its part of all earlier purchases.
costs as (

    select
        strategy,
        pool,
        symbol,
        trip,
        trade_date,
        bought_value * coalesce(product(kept_part) over (
            partition by strategy, pool, symbol, trip
            order by trade_date
            rows between 1 following and unbounded following
        ), 1) as cost
    from {{ ref('int_position_changes') }}

),

entries as (

    select
        strategy,
        pool,
        symbol,
        min(trade_date) as entry_date,
        sum(cost order by trade_date) as cost
    from costs
    group by strategy, pool, symbol, trip
    qualify trip = max(trip) over (partition by strategy, pool, symbol)

),

funds as (

    select * from {{ ref('int_funds') }}

),

pools as (

    select * from {{ ref('pool_constraints') }}

)

select
    positions.pool,
    positions.symbol,
    funds.name,
    positions.strategy,
    pools.portfolio_weight = 0 as is_simulated_pool,
    positions.trade_date as as_of_date,
    positions.shares,
    positions.close as last_close,
    positions.market_value,
    positions.weight,
    entries.entry_date,
    entries.cost,
    positions.market_value / entries.cost - 1 as unrealized_return
from positions
inner join last_sessions
    on
        positions.strategy = last_sessions.strategy
        and positions.pool = last_sessions.pool
        and positions.trade_date = last_sessions.trade_date
inner join pools
    on positions.pool = pools.pool
left join entries
    on
        positions.strategy = entries.strategy
        and positions.pool = entries.pool
        and positions.symbol = entries.symbol
left join funds
    on positions.symbol = funds.symbol
order by positions.pool, positions.weight desc, positions.symbol
