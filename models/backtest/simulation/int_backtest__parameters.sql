with

pools as (

    select * from {{ ref('pool_constraints') }}

),

in_build as (

    select distinct pool from {{ ref('int_backtest__bars') }}

)

select
    pools.pool,
    cast(pools.target_capital as double) as target_capital,
    cast(pools.top_n as bigint) as top_n,
    cast(pools.max_adv_pct as double) as max_adv_pct,
    {{ var('enforce_adv') }} as enforce_adv,
    {{ var('carry_over') }} as carry_over,
    cast({{ var('min_weight_change') }} as double) as min_weight_change,
    cast({{ var('slippage_bps') }} as double) as slippage_bps,
    cast({{ var('commission_bps') }} as double) as commission_bps,
    cast({{ var('min_commission_cny') }} as double) as min_commission_cny,
    cast({{ var('lot_size') }} as bigint) as lot_size
from pools
inner join in_build
    on pools.pool = in_build.pool
order by pools.pool
