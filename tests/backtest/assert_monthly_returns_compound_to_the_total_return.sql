{{ after_the_gate() }}

with

compounded as (

    select
        strategy,
        pool,
        product(1 + monthly_return) - 1 as total_return
    from {{ ref('monthly_returns') }}
    group by strategy, pool

),

metrics as (

    select * from {{ ref('metrics') }}

)

select
    metrics.strategy,
    metrics.pool,
    metrics.total_return,
    compounded.total_return as compounded_return
from compounded
full outer join metrics
    on
        compounded.strategy = metrics.strategy
        and compounded.pool = metrics.pool
where coalesce(abs(compounded.total_return - metrics.total_return), 1) > 1e-9
