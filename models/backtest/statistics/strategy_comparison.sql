{% set min_sessions = at_least_one('min_metrics_sessions') %}
{% set year = var('sessions_per_year') %}

-- Sums in date order, variances in two passes, as in metrics.

with

sessions as (

    select * from {{ ref('common_growth') }}

),

live as (

    select * from {{ ref('int_live_strategies') }}

),

totals as (

    select
        strategy,
        pool,
        min(trade_date) as first_date,
        max(trade_date) as last_date,
        count(*) as n,
        arg_max(growth, trade_date) as growth,
        min(drawdown) as max_drawdown,
        sum(daily_return order by trade_date) / count(*) as mean_r,
        sum(daily_return - {{ var('risk_free_rate') }} / {{ year }} order by trade_date) / count(*) as mean_x,
        sum(equity order by trade_date) / count(*) as mean_equity,
        sum(traded_value order by trade_date) as traded_value,
        sum(costs order by trade_date) as costs
    from sessions
    group by strategy, pool

),

spreads as (

    select
        sessions.strategy,
        sessions.pool,
        sqrt(
            sum(pow(sessions.daily_return - totals.mean_r, 2) order by sessions.trade_date)
            / nullif(any_value(totals.n) - 1, 0)
        ) as sd_r
    from sessions
    inner join totals
        on
            sessions.strategy = totals.strategy
            and sessions.pool = totals.pool
    group by sessions.strategy, sessions.pool

)

select
    totals.strategy,
    totals.pool,
    live.pool is not null as is_live,
    totals.first_date,
    totals.last_date,
    cast(totals.n as integer) as sessions,
    totals.growth - 1 as total_return,
    case when totals.n >= {{ min_sessions }} then pow(totals.growth, {{ year }} / totals.n) - 1 end as annual_return,
    case when totals.n >= {{ min_sessions }} then sqrt({{ year }}) * spreads.sd_r end as annual_volatility,
    case when totals.n >= {{ min_sessions }} and spreads.sd_r > 1e-15 then sqrt({{ year }}) * totals.mean_x / spreads.sd_r end
    as sharpe,
    totals.max_drawdown,
    case when totals.n >= {{ min_sessions }} then totals.traded_value / 2 / totals.mean_equity / (totals.n / {{ year }}) end
    as annual_turnover,
    case when totals.traded_value > 0 then totals.costs / totals.traded_value end as cost_per_value
from totals
inner join spreads
    on
        totals.strategy = spreads.strategy
        and totals.pool = spreads.pool
left join live
    on
        totals.strategy = live.strategy
        and totals.pool = live.pool
order by totals.pool, is_live desc, totals.strategy
