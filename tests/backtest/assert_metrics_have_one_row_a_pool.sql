{{ after_the_gate() }}

with

equity as (

    select
        strategy,
        pool,
        count(*) as sessions
    from {{ ref('equity_daily') }}
    group by strategy, pool

),

metrics as (

    select * from {{ ref('metrics') }}

),

summary as (

    select * from {{ ref('pool_metrics_summary') }}

)

select
    equity.strategy,
    equity.pool,
    equity.sessions,
    metrics.sessions as sessions_of_metrics,
    summary.sessions as sessions_of_summary
from equity
full outer join metrics
    on
        equity.strategy = metrics.strategy
        and equity.pool = metrics.pool
full outer join summary
    on
        equity.strategy = summary.strategy
        and equity.pool = summary.pool
where
    equity.sessions is distinct from metrics.sessions
    or equity.sessions is distinct from summary.sessions
