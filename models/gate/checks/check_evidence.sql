{{ config(materialized='ephemeral') }}

-- Compares each live strategy with equal_weight in the same pool.

with

pools as (

    select
        pools.pool,
        live.strategy
    from {{ ref('int_gate_pools') }} as pools
    left join {{ ref('int_live_strategies') }} as live
        on pools.pool = live.pool
    where pools.is_strategy

),

evidence as (

    select * from {{ ref('evidence') }}

),

periods as (

    select * from {{ ref('metrics_by_period') }}
    where period = 'all'

),

drawdowns as (

    select
        *,
        case
            when equal_weight_max_drawdown < 0 then max_drawdown / equal_weight_max_drawdown
            when max_drawdown = 0 then 0
            else 'infinity'
        end as ratio
    from periods
    where equal_weight_max_drawdown is not null

)

select
    pools.pool,
    'excess_t' as check_name,
    evidence.last_date as trade_date,
    case when pools.strategy = 'equal_weight' then 0 else evidence.excess_t end as value,
    case
        when evidence.pool is null then 'no session in common with equal_weight'
        when evidence.excess_t is null
            then format('{} common sessions are too few', evidence.sessions)
        else
            format(
                'is the last session, {:.1f}% a year over {} sessions from {}',
                100 * evidence.mean_excess, evidence.sessions, evidence.first_date
            )
    end as detail,
    case
        when evidence.pool is null then '与 equal_weight 没有共同的交易日'
        when evidence.excess_t is null
            then format('共同的交易日只有 {} 个，太少', evidence.sessions)
        else
            format(
                '为最后交易日，自 {2} 起 {1} 个交易日年化超额 {0:.1f}%',
                100 * evidence.mean_excess, evidence.sessions, evidence.first_date
            )
    end as detail_zh
from pools
left join evidence
    on
        pools.strategy = evidence.strategy
        and pools.pool = evidence.pool
union all
select
    pools.pool,
    'relative_drawdown' as check_name,
    drawdowns.last_date as trade_date,
    drawdowns.ratio as value,
    coalesce(
        format(
            'is the last session, {:.1f}% against {:.1f}%',
            100 * drawdowns.max_drawdown, 100 * drawdowns.equal_weight_max_drawdown
        ),
        'no session in common with equal_weight'
    ) as detail,
    coalesce(
        format(
            '为最后交易日，回撤 {:.1f}%，等权为 {:.1f}%',
            100 * drawdowns.max_drawdown, 100 * drawdowns.equal_weight_max_drawdown
        ),
        '与 equal_weight 没有共同的交易日'
    ) as detail_zh
from pools
left join drawdowns
    on
        pools.strategy = drawdowns.strategy
        and pools.pool = drawdowns.pool
