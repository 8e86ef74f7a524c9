{{ config(materialized='ephemeral') }}

{# Prices are whole ticks, and the exchange rounds its limits to them. #}
{% set tick = 0.001 %}

with

pools as (

    select * from {{ ref('int_gate_pools') }}
    where is_pool

),

bars as (

    select
        *,
        greatest(abs(close - reference_close) - {{ tick }}, 0) / reference_close as move
    from {{ ref('int_gate_bars') }}
    where bar_number > 1

),

beyond_limit as (

    select * from bars
    where move > price_limit

),

largest as (

    select * from bars
    where follows_its_session
    qualify row_number() over (partition by symbol order by move desc, trade_date) = 1

)

select
    pools.pool,
    'move_beyond_limit' as check_name,
    beyond_limit.symbol,
    beyond_limit.trade_date,
    (beyond_limit.symbol is not null)::integer as value,
    format(
        'closes at {:.3f} after {:.3f}, limit {:.0f}%',
        beyond_limit.close, beyond_limit.reference_close, 100 * beyond_limit.price_limit
    ) as detail,
    format(
        '收于 {:.3f}，前收 {:.3f}，涨跌幅限制 {:.0f}%',
        beyond_limit.close, beyond_limit.reference_close, 100 * beyond_limit.price_limit
    ) as detail_zh
from pools
left join beyond_limit
    on pools.pool = beyond_limit.pool
union all
select
    pools.pool,
    'unexplained_move' as check_name,
    largest.symbol,
    largest.trade_date,
    largest.move as value,
    coalesce(
        format('closes at {:.3f} after {:.3f}', largest.close, largest.reference_close),
        'no fund with two bars in a row'
    ) as detail,
    coalesce(
        format('收于 {:.3f}，前收 {:.3f}', largest.close, largest.reference_close),
        '没有连续两根日线的基金'
    ) as detail_zh
from pools
left join largest
    on pools.pool = largest.pool
