with

orders as (

    select * from {{ ref('int_orders__planned') }}

),

next_sessions as (

    select * from {{ ref('int_orders__pools') }}

),

funds as (

    select * from {{ ref('int_orders__funds') }}

),

pools as (

    select * from {{ ref('pool_constraints') }}

)

select
    orders.pool,
    cast(orders.sequence as integer) as sequence,
    orders.symbol,
    next_sessions.trade_date,
    next_sessions.as_of_date,
    orders.basis,
    pools.portfolio_weight = 0 as is_simulated_pool,
    orders.side,
    orders.shares,
    orders.target_weight,
    orders.target_shares,
    funds.last_close,
    funds.limit_up,
    funds.limit_down,
    orders.reason,
    orders.reason_zh
from orders
inner join next_sessions
    on orders.pool = next_sessions.pool
inner join pools
    on orders.pool = pools.pool
left join funds
    on
        orders.pool = funds.pool
        and orders.symbol = funds.symbol
order by orders.pool, orders.sequence
