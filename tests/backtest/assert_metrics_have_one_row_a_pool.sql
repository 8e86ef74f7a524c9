{{ after_the_gate() }}

with

equity as (

    select
        pool,
        count(*) as sessions
    from {{ ref('equity_daily') }}
    group by pool

),

metrics as (

    select * from {{ ref('metrics') }}

),

summary as (

    select * from {{ ref('pool_metrics_summary') }}

)

select
    equity.pool,
    equity.sessions,
    metrics.sessions as sessions_of_metrics,
    summary.sessions as sessions_of_summary
from equity
full outer join metrics
    on equity.pool = metrics.pool
full outer join summary
    on equity.pool = summary.pool
where
    equity.sessions is distinct from metrics.sessions
    or equity.sessions is distinct from summary.sessions
