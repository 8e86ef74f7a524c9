{% set min_sessions = at_least_one('min_metrics_sessions') %}

-- Sums in date order, variances in two passes: no bit depends on threads or on another
-- pool.

with

equity as (

    select * from {{ ref('equity_daily') }}

),

months as (

    select * from {{ ref('monthly_returns') }}

),

worst_drawdown as (

    select * from {{ ref('drawdowns') }}
    where rank = 1

),

returns as (

    select
        *,
        daily_return as r,
        benchmark_return as b,
        daily_return - {{ var('risk_free_rate') }} / {{ var('sessions_per_year') }} as x
    from equity

),

totals as (

    select
        strategy,
        pool,
        min(trade_date) as first_date,
        max(trade_date) as last_date,
        count(*) as n,
        arg_min(previous_equity, trade_date) as start_equity,
        arg_max(equity, trade_date) as end_equity,
        product(1 + b order by trade_date) as benchmark_growth,
        sum(r order by trade_date) / count(*) as mean_r,
        sum(b order by trade_date) / count(*) as mean_b,
        sum(x order by trade_date) / count(*) as mean_x,
        sum(r - b order by trade_date) / count(*) as mean_active,
        sqrt(sum(pow(least(x, 0), 2) order by trade_date) / count(*)) as downside_deviation,
        min(drawdown) as max_drawdown,
        sum(equity order by trade_date) / count(*) as mean_equity,
        sum(holdings_value / equity order by trade_date) / count(*) as average_invested,
        sum(traded_value order by trade_date) as traded_value,
        sum(commission + slippage order by trade_date) as total_costs
    from returns
    group by strategy, pool

),

spreads as (

    select
        totals.strategy,
        totals.pool,
        sqrt(
            sum(pow(returns.r - totals.mean_r, 2) order by returns.trade_date)
            / nullif(totals.n - 1, 0)
        ) as sd_r,
        sqrt(
            sum(pow(returns.b - totals.mean_b, 2) order by returns.trade_date)
            / nullif(totals.n - 1, 0)
        ) as sd_b,
        sqrt(
            sum(pow(returns.r - returns.b - totals.mean_active, 2) order by returns.trade_date)
            / nullif(totals.n - 1, 0)
        ) as sd_active,
        sum(
            (returns.r - totals.mean_r) * (returns.b - totals.mean_b)
            order by returns.trade_date
        )
        / nullif(totals.n - 1, 0) as covariance
    from returns
    inner join totals
        on
            returns.strategy = totals.strategy
            and returns.pool = totals.pool
    group by totals.strategy, totals.pool, totals.n

),

win_rates as (

    select
        strategy,
        pool,
        count(*) filter (where monthly_return > 0) / count(*) as monthly_win_rate
    from months
    group by strategy, pool

),

yearly as (

    select
        totals.*,
        totals.n >= {{ min_sessions }} as is_long_enough,
        -- Null for a short life. Every figure that uses one of these two is then null
        -- as well.
        case when is_long_enough then {{ var('sessions_per_year') }} / totals.n end as per_year,
        case when is_long_enough then sqrt({{ var('sessions_per_year') }}) end as root_year,
        -- A smaller deviation is the rounding error of constant returns.
        case when spreads.sd_r <= 1e-15 then 0.0 else spreads.sd_r end as sd_r,
        case when spreads.sd_b <= 1e-15 then 0.0 else spreads.sd_b end as sd_b,
        case when spreads.sd_active <= 1e-15 then 0.0 else spreads.sd_active end as sd_active,
        spreads.covariance,
        case when is_long_enough then win_rates.monthly_win_rate end as monthly_win_rate
    from totals
    inner join spreads
        on
            totals.strategy = spreads.strategy
            and totals.pool = spreads.pool
    inner join win_rates
        on
            totals.strategy = win_rates.strategy
            and totals.pool = win_rates.pool

),

annualized as (

    select
        *,
        pow(end_equity / start_equity, per_year) - 1 as annual_return,
        pow(benchmark_growth, per_year) - 1 as annual_benchmark_return,
        case when is_long_enough then covariance / nullif(pow(sd_b, 2), 0) end as beta
    from yearly

)

select
    annualized.strategy,
    annualized.pool,
    annualized.first_date,
    annualized.last_date,
    cast(annualized.n as integer) as sessions,
    annualized.end_equity / annualized.start_equity - 1 as total_return,
    annualized.annual_return,
    annualized.root_year * annualized.sd_r as annual_volatility,
    annualized.root_year * annualized.mean_x / nullif(annualized.sd_r, 0) as sharpe,
    annualized.root_year * annualized.mean_x / nullif(annualized.downside_deviation, 0) as sortino,
    annualized.max_drawdown,
    worst_drawdown.peak_date as max_drawdown_peak_date,
    worst_drawdown.trough_date as max_drawdown_trough_date,
    worst_drawdown.recovery_date as max_drawdown_recovery_date,
    annualized.annual_return / nullif(abs(annualized.max_drawdown), 0) as calmar,
    annualized.monthly_win_rate,
    annualized.traded_value / 2 / annualized.mean_equity * annualized.per_year as annual_turnover,
    annualized.total_costs,
    annualized.average_invested,
    annualized.annual_benchmark_return as benchmark_return,
    annualized.annual_return - annualized.annual_benchmark_return as excess_return,
    annualized.beta,
    annualized.root_year * annualized.sd_active as tracking_error,
    annualized.root_year * annualized.mean_active / nullif(annualized.sd_active, 0) as information_ratio
from annualized
left join worst_drawdown
    on
        annualized.strategy = worst_drawdown.strategy
        and annualized.pool = worst_drawdown.pool
order by annualized.strategy, annualized.pool
