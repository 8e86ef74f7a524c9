with

orders as (

    select * from {{ ref('int_orders__planned') }}

),

next_sessions as (

    select distinct
        strategy,
        pool,
        trade_date,
        as_of_date
    from {{ ref('int_orders__tranches') }}

),

-- Tranche 0 stands for all: prices are equal.
prices as (

    select * from {{ ref('int_orders__funds') }}
    where tranche = 0

),

ranked as (

    select * from {{ ref('int_selection__funds') }}

),

funds as (

    select * from {{ ref('int_funds') }}

),

pools as (

    select * from {{ ref('pool_constraints') }}

)

select
    orders.pool,
    next_sessions.strategy,
    cast(orders.sequence as integer) as sequence,
    orders.symbol,
    funds.name,
    next_sessions.trade_date,
    next_sessions.as_of_date,
    orders.basis,
    pools.portfolio_weight = 0 as is_simulated_pool,
    orders.side,
    orders.shares,
    orders.shares * prices.last_close as estimated_value,
    orders.target_weight,
    orders.target_shares,
    cast(ranked.rank as integer) as rank,
    ranked.score,
    prices.last_close,
    prices.limit_up,
    prices.limit_down,
    orders.reason,
    orders.reason_zh
from orders
inner join next_sessions
    on orders.pool = next_sessions.pool
inner join pools
    on orders.pool = pools.pool
left join funds
    on orders.symbol = funds.symbol
left join prices
    on
        orders.pool = prices.pool
        and orders.symbol = prices.symbol
left join ranked
    on
        next_sessions.strategy = ranked.strategy
        and next_sessions.pool = ranked.pool
        and next_sessions.trade_date = ranked.trade_date
        and orders.symbol = ranked.symbol
order by orders.pool, orders.sequence
