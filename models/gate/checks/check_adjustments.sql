{{ config(materialized='ephemeral') }}

with

pools as (

    select * from {{ ref('int_gate_pools') }}
    where is_pool

),

bars as (

    select * from {{ ref('int_gate_bars') }}

),

lost_rows as (

    select
        symbol,
        trade_date
    from {{ ref('suspensions') }}
    where kind = 'no_row'
    union all
    select
        symbol,
        trade_date
    from {{ ref('quarantine') }}
    where reason <> 'exact_duplicate'

),

adjusted as (

    select
        *,
        abs(ratio - 1) as distance,
        format('ratio {:.4f}, from {}', ratio, adjustment_source) as detail,
        format('复权比例 {:.4f}，来自 {}', ratio, adjustment_source) as detail_zh
    from bars
    where bar_number > 1 and abs(ratio - 1) > 1e-9 and not is_in_seed

),

after_gap as (

    select * from adjusted
    where exists (
        select 1 from lost_rows
        where
            lost_rows.symbol = adjusted.symbol
            and lost_rows.trade_date > adjusted.previous_trade_date
            and lost_rows.trade_date < adjusted.trade_date
    )

),

without_pre_close as (

    select
        pool,
        symbol,
        min(trade_date) as trade_date,
        count(*) as bars,
        max(trade_date) as last_date
    from bars
    where
        bar_number > 1
        and adjustment_source = 'pre_close'
        and pre_close is null
        and not is_in_seed
    group by pool, symbol

)

select
    pools.pool,
    'adjustment_after_gap' as check_name,
    after_gap.symbol,
    after_gap.trade_date,
    coalesce(after_gap.distance, 0) as value,
    after_gap.detail,
    after_gap.detail_zh
from pools
left join after_gap
    on pools.pool = after_gap.pool
union all
select
    pools.pool,
    'large_adjustment' as check_name,
    adjusted.symbol,
    adjusted.trade_date,
    coalesce(adjusted.distance, 0) as value,
    adjusted.detail,
    adjusted.detail_zh
from pools
left join adjusted
    on pools.pool = adjusted.pool
union all
select
    pools.pool,
    'pre_close_missing' as check_name,
    without_pre_close.symbol,
    without_pre_close.trade_date,
    coalesce(without_pre_close.bars, 0) as value,
    format('{} bars to {}', without_pre_close.bars, without_pre_close.last_date) as detail,
    format('{} 根日线，至 {}', without_pre_close.bars, without_pre_close.last_date) as detail_zh
from pools
left join without_pre_close
    on pools.pool = without_pre_close.pool
