with

equity as (

    select
        *,
        cast(date_trunc('month', trade_date) as date) as month
    from {{ ref('equity_daily') }}

)

select
    strategy,
    pool,
    month,
    min(trade_date) as first_date,
    max(trade_date) as last_date,
    cast(count(*) as integer) as sessions,
    arg_min(previous_equity, trade_date) as start_equity,
    arg_max(equity, trade_date) as end_equity,
    arg_max(equity, trade_date) / arg_min(previous_equity, trade_date) - 1 as monthly_return,
    product(1 + benchmark_return order by trade_date) - 1 as benchmark_return,
    sum(holdings_value / equity order by trade_date) / count(*) as average_invested,
    sum(commission order by trade_date) as commission,
    sum(slippage order by trade_date) as slippage
from equity
group by strategy, pool, month
order by strategy, pool, month
