{{ config(materialized='ephemeral') }}

{% set min_sessions = at_least_one('min_metrics_sessions') %}
{% set rules = ['annual_return', 'max_drawdown', 'sharpe', 'monthly_win_rate', 'annual_turnover'] %}

with

pools as (

    select * from {{ ref('int_gate_pools') }}
    where is_strategy

),

live as (

    select * from {{ ref('int_live_strategies') }}

),

metrics as (

    select * from {{ ref('metrics') }}
    semi join live using (strategy, pool)

),

months as (

    select * from {{ ref('monthly_returns') }}
    semi join live using (strategy, pool)

),

published as (

    select * from {{ ref('int_published_build') }}
    where kind = 'figure'

),

largest_months as (

    select
        pool,
        month,
        monthly_return,
        benchmark_return,
        -- A real rally lifts both. A data error or look-ahead lifts only the strategy.
        monthly_return - benchmark_return as excess
    from months
    qualify row_number() over (partition by pool order by excess desc, month) = 1

),

measured as (

    {% for rule in rules %}
    select
        pool,
        '{{ rule }}' as check_name,
        case when sessions >= {{ min_sessions }} then {{ rule }} end as value,
        last_date,
        sessions
    from metrics
    union all
    {% endfor %}
    select
        pool,
        'volatility_scaling' as check_name,
        -- least() ignores nulls, but an unknown volatility must stay null.
        case when annual_volatility is not null then least(1, {{ var('target_vol') }} / annual_volatility) end as value,
        last_date,
        sessions
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
    case
        when measured.pool is null then 'no backtest'
        when measured.sessions < {{ min_sessions }}
            then format('{} sessions of returns, {{ min_sessions }} are needed', measured.sessions)
        when measured.value is null then 'not defined for these returns'
        else 'is the last session'
    end as detail,
    case
        when measured.pool is null then '没有回测'
        when measured.sessions < {{ min_sessions }}
            then format('只有 {} 个交易日的收益，至少需要 {{ min_sessions }} 个', measured.sessions)
        when measured.value is null then '这些收益无法计算该指标'
        else '为最后交易日'
    end as detail_zh
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
    largest_months.excess as value,
    coalesce(
        format(
            'is the month, {:.1f}% against {:.1f}% of the benchmark',
            100 * largest_months.monthly_return, 100 * largest_months.benchmark_return
        ),
        'no backtest'
    ) as detail,
    coalesce(
        format(
            '当月收益 {:.1f}%，基准 {:.1f}%',
            100 * largest_months.monthly_return, 100 * largest_months.benchmark_return
        ),
        '没有回测'
    ) as detail_zh
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
    case
        when published.value is null then 'nothing published to compare with'
        when measured.value is null then 'too few sessions for {{ name }}, which was judged before'
        else format('{{ name }} {:.4f}, was {:.4f}', measured.value, published.value)
    end as detail,
    case
        when published.value is null then '没有可比较的已发布构建'
        when measured.value is null then '交易日太少，无法与上次的 {{ name }} 比较'
        else format('{{ name }} 为 {:.4f}，上次为 {:.4f}', measured.value, published.value)
    end as detail_zh
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
