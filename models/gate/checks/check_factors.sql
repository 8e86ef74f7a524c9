{{ config(materialized='ephemeral') }}

with

pools as (

    select * from {{ ref('int_gate_pools') }}
    where is_pool

),

summary as (

    select * from {{ ref('factor_summary') }}

),

published as (

    select * from {{ ref('int_published_build') }}
    where kind = 'figure'

),

by_pool as (

    select
        pool,
        sum(coverage order by factor_id) / count(*) as coverage,
        count(*) filter (where is_production) as production_factors
    from summary
    group by pool

),

constant as (

    select * from summary
    where zero_variance

),

panel as (

    select
        symbol,
        trade_date,
        as_of_date,
        pool,
        lag(symbol) over () as previous_symbol,
        lag(trade_date) over () as previous_trade_date
    from {{ ref('factor_panel') }}

),

calendar as (

    select * from {{ ref('trading_calendar') }}

),

-- Each key exceeds the previous one, which proves order and uniqueness in one pass.
bad_keys as (

    select
        panel.pool,
        panel.symbol,
        panel.trade_date,
        case
            when panel.symbol is null or panel.trade_date is null or panel.as_of_date is null
                then 'null in the key'
            when calendar.trade_date is null then 'not on a session'
            when
                panel.symbol = panel.previous_symbol and panel.trade_date = panel.previous_trade_date
                then 'key twice'
            else 'not sorted by symbol and trade_date'
        end as detail,
        case
            when panel.symbol is null or panel.trade_date is null or panel.as_of_date is null
                then '主键为空'
            when calendar.trade_date is null then '不是交易日'
            when
                panel.symbol = panel.previous_symbol and panel.trade_date = panel.previous_trade_date
                then '主键重复'
            else '未按代码和日期排序'
        end as detail_zh
    from panel
    left join calendar
        on panel.trade_date = calendar.trade_date
    where
        panel.symbol is null
        or panel.trade_date is null
        or panel.as_of_date is null
        or calendar.trade_date is null
        or panel.symbol < panel.previous_symbol
        or (panel.symbol = panel.previous_symbol and panel.trade_date <= panel.previous_trade_date)

)

select
    pools.pool,
    'factor_coverage' as check_name,
    -- A pool without panel rows has coverage 0.
    coalesce(by_pool.coverage, 0) as value,
    'mean over the pool''s factors' as detail,
    '池内因子平均' as detail_zh
from pools
left join by_pool
    on pools.pool = by_pool.pool
union all by name
select
    pools.pool,
    'factor_coverage_drop' as check_name,
    case when published.value is null then 0 else round(published.value - coalesce(by_pool.coverage, 0), 12) end as value,
    coalesce(format('{:.4f} in the published build', published.value), 'nothing published to compare with') as detail,
    coalesce(format('上次发布为 {:.4f}', published.value), '没有可比较的已发布构建') as detail_zh
from pools
left join by_pool
    on pools.pool = by_pool.pool
left join published
    on
        pools.pool = published.pool
        and published.name = 'coverage'
union all by name
select
    pools.pool,
    'production_factors' as check_name,
    coalesce(by_pool.production_factors, 0) as value,
    'in factor_summary' as detail,
    '见 factor_summary' as detail_zh
from pools
left join by_pool
    on pools.pool = by_pool.pool
union all by name
select
    pools.pool,
    'zero_variance_factors' as check_name,
    case when by_pool.pool is not null then (constant.factor_id is not null)::integer end as value,
    constant.factor_id as detail,
    constant.factor_id as detail_zh
from pools
left join by_pool
    on pools.pool = by_pool.pool
left join constant
    on pools.pool = constant.pool
union all by name
select
    coalesce(pools.pool, bad_keys.pool, 'BUILD') as pool,
    'panel_index' as check_name,
    bad_keys.symbol,
    bad_keys.trade_date,
    (bad_keys.detail is not null)::integer as value,
    bad_keys.detail,
    bad_keys.detail_zh
from pools
full join bad_keys
    on pools.pool = bad_keys.pool
