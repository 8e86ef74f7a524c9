with

curve as (

    select * from {{ ref('int_capacity__curve') }}

),

metrics as (

    select
        metrics.pool,
        metrics.sessions >= {{ at_least_one('min_metrics_sessions') }} as is_long_enough
    from {{ ref('metrics') }} as metrics
    inner join {{ ref('int_live_strategies') }} as live
        on
            metrics.strategy = live.strategy
            and metrics.pool = live.pool

)

select
    curve.pool,
    curve.trade_date,
    curve.capital_cny,
    case when metrics.is_long_enough then curve.annual_return end as annual_return,
    case when metrics.is_long_enough then curve.net_annual_return end as net_annual_return,
    case when metrics.is_long_enough then curve.annual_impact_cost end as annual_impact_cost,
    curve.max_order_share,
    cast(curve.fills as integer) as fills,
    cast(curve.fills_without_estimate as integer) as fills_without_estimate
from curve
inner join metrics
    on curve.pool = metrics.pool
order by curve.pool, curve.capital_cny
