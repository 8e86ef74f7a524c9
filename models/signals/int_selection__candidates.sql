-- Every fund of the pool on every rebalance session, with what was known the evening before.

with

rebalances as (

    select * from {{ ref('int_rebalance_sessions') }}

),

funds as (

    select * from {{ ref('int_funds') }}

),

lagged as (

    select * from {{ ref('int_bars__lagged') }}

),

scores as (

    select * from {{ ref('scores') }}

),

pools as (

    select * from {{ ref('pool_constraints') }}

)

select
    rebalances.pool,
    rebalances.trade_date,
    funds.symbol,
    rebalances.as_of_date,
    lagged.symbol is not null as has_bar,
    scores.score,
    cast(scores.rank as bigint) as rank,
    lagged.adv20,
    funds.category,
    funds.is_broad,
    cast(pools.top_n as bigint) as top_n,
    cast(pools.max_single_weight as double) as max_single_weight,
    cast(pools.max_sector_weight as double) as max_sector_weight,
    cast(pools.max_broad_funds as bigint) as max_broad_funds
from rebalances
inner join funds
    on rebalances.pool = funds.pool
inner join pools
    on rebalances.pool = pools.pool
left join lagged
    on
        funds.symbol = lagged.symbol
        and rebalances.trade_date = lagged.trade_date
left join scores
    on
        funds.symbol = scores.symbol
        and rebalances.trade_date = scores.trade_date
