with

compounded as (

    select
        pool,
        product(1 + monthly_return) - 1 as total_return
    from {{ ref('monthly_returns') }}
    group by pool

),

metrics as (

    select * from {{ ref('metrics') }}

)

select *
from compounded
full outer join metrics
    on compounded.pool = metrics.pool
where coalesce(abs(compounded.total_return - metrics.total_return), 1) > 1e-9
