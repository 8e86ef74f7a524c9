with

bars as (

    select * from {{ ref('int_backtest__bars') }}

)

-- A sum of scaled integers: exact in any order.
select
    pool,
    trade_date,
    cast(sum(cast(adj_return * 1e15 as hugeint)) as double)
    / 1e15
    / count(adj_return) as benchmark_return
from bars
where adj_return is not null
group by pool, trade_date
order by pool, trade_date
