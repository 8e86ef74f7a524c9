-- Turnover and costs over the whole period and by calendar year.

with

sessions as (

    select
        strategy,
        pool,
        trade_date,
        equity,
        traded_value,
        commission,
        slippage,
        unnest(['all', 'year_' || year(trade_date)]) as period
    from {{ ref('equity_daily') }}

),

totals as (

    select
        strategy,
        pool,
        period,
        min(trade_date) as first_date,
        max(trade_date) as last_date,
        count(*) as n,
        sum(equity order by trade_date) / count(*) as mean_equity,
        sum(traded_value order by trade_date) as traded_value,
        sum(commission order by trade_date) as commission,
        sum(slippage order by trade_date) as slippage
    from sessions
    group by strategy, pool, period

)

select
    strategy,
    pool,
    period,
    first_date,
    last_date,
    cast(n as integer) as sessions,
    mean_equity,
    traded_value,
    commission,
    slippage,
    traded_value / 2 / mean_equity as turnover,
    (commission + slippage) / mean_equity as cost_ratio,
    case when traded_value > 0 then (commission + slippage) / traded_value end as cost_per_value
from totals
order by strategy, pool, period
