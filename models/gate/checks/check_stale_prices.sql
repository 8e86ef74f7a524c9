{{ config(materialized='ephemeral') }}

with

pools as (

    select * from {{ ref('int_gate_pools') }}
    where is_pool

),

bars as (

    select
        *,
        -- The difference to this count is constant over bars with equal prices.
        bar_number - row_number() over (
            partition by symbol, open, high, low, close order by bar_number
        ) as run
    from {{ ref('stg_etf_daily') }}

),

runs as (

    select
        pool,
        symbol,
        min(trade_date) as first_date,
        max(trade_date) as last_date,
        count(*) as length,
        any_value(close) as price
    from bars
    group by pool, symbol, open, high, low, close, run

),

longest as (

    select * from runs
    qualify row_number() over (partition by symbol order by length desc, first_date) = 1

)

select
    pools.pool,
    'stale_prices' as check_name,
    longest.symbol,
    longest.first_date as trade_date,
    longest.length as value,
    coalesce(
        format('price unchanged at {:.3f} for {} bars until {}', longest.price, longest.length, longest.last_date),
        'the pool has no bar'
    ) as detail,
    coalesce(
        format('至 {2} 连续 {1} 根日线价格均为 {0:.3f}', longest.price, longest.length, longest.last_date),
        '该池没有日线'
    ) as detail_zh
from pools
left join longest
    on pools.pool = longest.pool
