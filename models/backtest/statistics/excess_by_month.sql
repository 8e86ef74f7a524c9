select
    strategy,
    pool,
    cast(date_trunc('month', trade_date) as date) as month,
    sum(excess_return order by trade_date) as excess_return,
    sum(cash order by trade_date) as cash,
    sum(costs order by trade_date) as costs,
    sum(selection order by trade_date) as selection,
    sum(weighting order by trade_date) as weighting
from {{ ref('excess_attribution') }}
group by strategy, pool, date_trunc('month', trade_date)
order by strategy, pool, month
