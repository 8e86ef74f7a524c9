with

growths as (

    select
        *,
        coalesce(
            lag(growth) over (partition by strategy, pool order by trade_date), 1
        ) as previous_growth
    from {{ ref('int_benchmark__growth') }}

)

select
    strategy,
    pool,
    trade_date,
    benchmark_return,
    previous_growth,
    growth,
    growth / max(greatest(growth, previous_growth)) over (
        partition by strategy, pool order by trade_date rows unbounded preceding
    ) - 1 as drawdown
from growths
order by strategy, pool, trade_date
