with

metrics as (

    select * from {{ ref('metrics') }}

),

live as (

    select * from {{ ref('int_live_strategies') }}

)

select
    metrics.*,
    live.pool is not null as is_live
from metrics
left join live
    on
        metrics.strategy = live.strategy
        and metrics.pool = live.pool
order by is_live desc, metrics.strategy, metrics.pool = 'PORTFOLIO', metrics.pool
