{{ config(materialized='ephemeral') }}

{% set rules = ['annual_return', 'max_drawdown', 'sharpe', 'monthly_win_rate', 'annual_turnover'] %}

with

pools as (

    select * from {{ ref('int_gate_pools') }}
    where is_strategy

),

metrics as (

    select * from {{ ref('metrics') }}

),

months as (

    select * from {{ ref('monthly_returns') }}

),

published as (

    select * from {{ ref('int_published_build') }}

),

largest_months as (

    select
        pool,
        month,
        monthly_return
    from months
    qualify row_number() over (partition by pool order by monthly_return desc, month) = 1

),

measured as (

    {% for rule in rules %}
    select
        pool,
        '{{ rule }}' as check_name,
        {{ rule }} as value,
        last_date
    from metrics
    union all
    {% endfor %}
    select
        pool,
        'volatility_scaling' as check_name,
        -- least() passes over a null, which is a volatility that nobody knows.
        case when annual_volatility is not null then least(1, {{ var('target_vol') }} / annual_volatility) end as value,
        last_date
    from metrics

),

names as (

    select unnest({{ rules + ['volatility_scaling'] }}) as check_name

)

select
    pools.pool,
    names.check_name,
    measured.last_date as trade_date,
    measured.value,
    case when measured.pool is null then 'no backtest' else 'is the last session' end as detail,
    case when measured.pool is null then '没有回测' else '为最后交易日' end as detail_zh
from pools
cross join names
left join measured
    on
        pools.pool = measured.pool
        and names.check_name = measured.check_name
where pools.is_weighted or names.check_name <> 'annual_return'
union all by name
select
    pools.pool,
    'largest_month' as check_name,
    largest_months.month as trade_date,
    largest_months.monthly_return as value,
    case when largest_months.pool is null then 'no backtest' else 'is the month' end as detail,
    case when largest_months.pool is null then '没有回测' else '为该月' end as detail_zh
from pools
left join largest_months
    on pools.pool = largest_months.pool
union all by name
{% for name in ['annual_return', 'max_drawdown'] %}
select
    pools.pool,
    'metrics_change' as check_name,
    case
        when published.value is null then 0
        else round(abs(measured.value - published.value), 12)
    end as value,
    coalesce(
        format('{{ name }} {:.4f}, was {:.4f}', measured.value, published.value), 'no published build'
    ) as detail,
    coalesce(
        format('{{ name }} 为 {:.4f}，上次为 {:.4f}', measured.value, published.value), '尚无已发布的构建'
    ) as detail_zh
from pools
left join measured
    on
        pools.pool = measured.pool
        and measured.check_name = '{{ name }}'
left join published
    on
        pools.pool = published.pool
        and published.name = '{{ name }}'
{{ 'union all by name' if not loop.last }}
{% endfor %}
