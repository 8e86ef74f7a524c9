{{ config(materialized='ephemeral') }}

with

pools as (

    select * from {{ ref('int_gate_pools') }}
    where is_pool

),

bars as (

    select
        *,
        -- An amount of 0 would make the inverse infinite.
        greatest(amount / (volume * close), 1e-9) as unit_ratio,
        row_number() over (partition by symbol order by bar_number desc) <= 250 as is_recent
    from {{ ref('stg_etf_daily') }}

),

medians as (

    select
        pool,
        symbol,
        max(trade_date) as last_date,
        median(unit_ratio) as over_all,
        median(unit_ratio) filter (where is_recent) as over_250
    from bars
    group by pool, symbol

)

select
    pools.pool,
    'unit_sanity' as check_name,
    medians.symbol,
    medians.last_date as trade_date,
    greatest(
        medians.over_all, 1 / medians.over_all, medians.over_250, 1 / medians.over_250
    ) as value,
    coalesce(
        format(
            'amount / (volume x close) is {:.4g} over 250 bars, {:.4g} over all',
            medians.over_250, medians.over_all
        ),
        'the pool has no bar'
    ) as detail,
    coalesce(
        format(
            '成交额 /（成交量 × 收盘价）近 250 根为 {:.4g}，全部为 {:.4g}',
            medians.over_250, medians.over_all
        ),
        '该池没有日线'
    ) as detail_zh
from pools
left join medians
    on pools.pool = medians.pool
