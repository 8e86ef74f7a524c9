with

bars as (

    select * from {{ ref('int_backtest__bars') }}

)

select
    pool,
    trade_date,
    {{ exact_mean('adj_return') }} as benchmark_return
from bars
where adj_return is not null
group by pool, trade_date
order by pool, trade_date
