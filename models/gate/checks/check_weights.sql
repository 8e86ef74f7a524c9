{{ config(materialized='ephemeral') }}

-- Weights as a fraction of the pool's limits.

{% set names = {
    'single_weight': 'single_weight',
    'sector_weight': 'sector_weight',
    'broad_funds': 'broad_funds',
    'adv_share': 'adv_pct',
} %}

with

pools as (

    select * from {{ ref('int_gate_pools') }}
    where is_pool and is_strategy

),

measured as (

    select
        pool,
        trade_date,
        kind,
        check_name,
        case when regexp_full_match(subject, '[0-9]{6}[.].*') then subject end as symbol,
        -- A missing ADV20 is a violation, never a default.
        case
            when value is null and is_violation then 'infinity'
            when value = 0 then 0
            else value / limit_value
        end as share_of_limit,
        concat_ws(
            ' ',
            case when not regexp_full_match(subject, '[0-9]{6}[.].*') then subject end,
            coalesce(format('{:.6g}, limit {:.6g}', value, limit_value), 'no ADV20')
        ) as detail,
        concat_ws(
            ' ',
            case when not regexp_full_match(subject, '[0-9]{6}[.].*') then subject end,
            coalesce(format('{:.6g}，上限 {:.6g}', value, limit_value), '无 ADV20')
        ) as detail_zh
    from {{ ref('capacity_checks') }}

),

targets as (

    select * from measured
    where kind = 'binding'
    qualify
        row_number() over (
            partition by pool, check_name order by share_of_limit desc, trade_date, symbol, detail
        ) = 1

),

rebalanced as (

    select distinct pool from measured
    where kind = 'binding'

),

held as (

    select * from measured
    where kind = 'informative' and check_name in ('single_weight', 'sector_weight')

),

bars as (

    select
        stg_etf_daily.symbol,
        max(calendar.session_number) as last_session_number,
        max(stg_etf_daily.trade_date) as last_date
    from {{ ref('stg_etf_daily') }} as stg_etf_daily
    inner join {{ ref('trading_calendar') }} as calendar
        on stg_etf_daily.trade_date = calendar.trade_date
    group by stg_etf_daily.symbol

),

without_bar as (

    select
        held.pool,
        held.symbol,
        bars.last_date,
        calendar.session_number - bars.last_session_number as sessions
    from held
    inner join bars
        on held.symbol = bars.symbol
    inner join {{ ref('trading_calendar') }} as calendar
        on held.trade_date = calendar.trade_date
    where held.check_name = 'single_weight'

)

{% for check, name in names.items() %}
select
    pools.pool,
    '{{ check }}' as check_name,
    targets.symbol,
    targets.trade_date,
    -- Weights exist but none of this kind: the value is 0 and not null.
    case when rebalanced.pool is not null then coalesce(targets.share_of_limit, 0) end as value,
    -- Without enforce_adv the limit warns and never fails.
    {{ "'warn'" if check == 'adv_share' and not var('enforce_adv') else 'cast(null as varchar)' }} as max_status,
    case when rebalanced.pool is null then 'no rebalance yet' else targets.detail end as detail,
    case when rebalanced.pool is null then '尚未调仓' else targets.detail_zh end as detail_zh
from pools
left join rebalanced
    on pools.pool = rebalanced.pool
left join targets
    on
        pools.pool = targets.pool
        and targets.check_name = '{{ name }}'
union all by name
{% endfor %}
select
    pools.pool,
    'realised_weight' as check_name,
    held.symbol,
    held.trade_date,
    coalesce(held.share_of_limit, 0) as value,
    held.detail,
    held.detail_zh
from pools
left join held
    on pools.pool = held.pool
union all by name
select
    pools.pool,
    'holding_without_bar' as check_name,
    without_bar.symbol,
    without_bar.last_date as trade_date,
    coalesce(without_bar.sessions, 0) as value,
    format('was the last bar, {} sessions ago', without_bar.sessions) as detail,
    format('为最后一根日线，距今 {} 个交易日', without_bar.sessions) as detail_zh
from pools
left join without_bar
    on pools.pool = without_bar.pool
