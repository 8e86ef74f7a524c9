-- At capacity_cny, every holding is within max_adv_pct of its ADV20, and the binding
-- one is at the limit. A pool with holdings has a capacity.

{{ after_the_gate() }}

with

capacity as (

    select * from {{ ref('pool_capacity') }}

),

live as (

    select * from {{ ref('int_live_strategies') }}

),

positions as (

    select *
    from {{ ref('positions_daily') }}
    semi join live using (strategy, pool)
    qualify trade_date = max(trade_date) over (partition by pool)

),

last_sessions as (

    select
        pool,
        max(trade_date) as trade_date
    from {{ ref('equity_daily') }}
    semi join live using (strategy, pool)
    group by pool

),

lagged as (

    select * from {{ ref('int_bars__lagged') }}

),

shares as (

    select
        positions.pool,
        positions.symbol,
        capacity.binding_symbol,
        capacity.max_adv_pct,
        capacity.capacity_cny,
        capacity.capacity_cny * positions.weight / lagged.adv20 as adv_share,
        lagged.adv20
    from positions
    inner join last_sessions
        on
            positions.pool = last_sessions.pool
            and positions.trade_date = last_sessions.trade_date
    asof left join lagged
        on
            positions.symbol = lagged.symbol
            and positions.trade_date >= lagged.as_of_date
    left join capacity
        on
            positions.pool = capacity.pool
            and positions.trade_date = capacity.trade_date

)

select *
from shares
where
    adv_share > max_adv_pct * (1 + 1e-12)
    or (symbol = binding_symbol and abs(adv_share / max_adv_pct - 1) > 1e-12)
    or binding_symbol is null
    -- The capacity is unknown only if an ADV20 is unknown.
    or (symbol = binding_symbol and capacity_cny is null and adv20 is not null)
