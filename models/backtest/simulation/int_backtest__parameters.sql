with

strategies as (

    select * from {{ ref('int_strategies') }}

),

with_bars as (

    select distinct pool from {{ ref('int_backtest__bars') }}

)

select
    strategies.strategy,
    strategies.pool,
    strategies.target_capital,
    strategies.start_funds,
    strategies.tranches,
    strategies.weighting,
    strategies.redistribute,
    strategies.max_single_weight,
    strategies.max_sector_weight,
    strategies.max_adv_pct,
    {{ var('enforce_adv') }} as enforce_adv,
    {{ var('carry_over') }} as carry_over,
    strategies.min_weight_change,
    cast({{ var('slippage_bps') }} as double) as slippage_bps,
    cast({{ var('commission_bps') }} as double) as commission_bps,
    cast({{ var('min_commission_cny') }} as double) as min_commission_cny,
    cast({{ var('lot_size') }} as bigint) as lot_size
from strategies
inner join with_bars
    on strategies.pool = with_bars.pool
order by strategies.strategy, strategies.pool
