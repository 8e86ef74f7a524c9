-- The strategies of the pools in this build, each with its rules and the limits of its
-- pool.

with

strategies as (

    select * from {{ ref('strategies') }}

),

pools as (

    select * from {{ ref('pool_constraints') }}

),

in_build as (

    select distinct pool from {{ ref('int_funds') }}

),

live as (

    select
        pool,
        top_n
    from strategies
    where is_live

)

select
    strategies.strategy,
    strategies.pool,
    strategies.is_live,
    strategies.ranking,
    cast(strategies.top_n as bigint) as top_n,
    strategies.keep_rank,
    strategies.weighting,
    cast(strategies.volatility_window as integer) as volatility_window,
    strategies.redistribute,
    strategies.rebalance,
    cast(strategies.rebalance_offset as integer) as rebalance_offset,
    cast(strategies.tranches as bigint) as tranches,
    strategies.min_weight_change,
    -- A strategy that holds every fund starts when its pool's live strategy could
    -- start.
    cast(coalesce(strategies.top_n, live.top_n, 2) as bigint) as start_funds,
    pools.target_capital,
    pools.portfolio_weight,
    pools.max_single_weight,
    pools.max_sector_weight,
    cast(pools.max_broad_funds as bigint) as max_broad_funds,
    pools.max_adv_pct
from strategies
inner join in_build
    on strategies.pool = in_build.pool
inner join pools
    on strategies.pool = pools.pool
inner join live
    on strategies.pool = live.pool
order by strategies.strategy, strategies.pool
