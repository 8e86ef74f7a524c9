{% set min_sessions = at_least_one('min_metrics_sessions') %}

-- Sums in date order, moments in two passes, as in metrics.

with

equity as (

    select * from {{ ref('equity_daily') }}

),

monthly as (

    select * from {{ ref('monthly_returns') }}

),

sessions as (

    select
        strategy,
        pool,
        trade_date,
        'strategy' as curve,
        daily_return as r
    from equity
    union all
    select
        strategy,
        pool,
        trade_date,
        'benchmark' as curve,
        benchmark_return as r
    from equity

),

months as (

    select
        strategy,
        pool,
        month,
        'strategy' as curve,
        monthly_return as r
    from monthly
    union all
    select
        strategy,
        pool,
        month,
        'benchmark' as curve,
        benchmark_return as r
    from monthly

),

days as (

    select
        strategy,
        pool,
        curve,
        count(*) as n,
        sum(r order by trade_date) / count(*) as mean_r,
        max(r) as best_day,
        min(r) as worst_day,
        quantile_cont(r, 0.05) as quantile_5,
        count(*) filter (where r > 0) / count(*) as positive_days
    from sessions
    group by strategy, pool, curve

),

moments as (

    select
        days.strategy,
        days.pool,
        days.curve,
        min(sessions.trade_date) filter (where sessions.r = days.best_day) as best_day_date,
        min(sessions.trade_date) filter (where sessions.r = days.worst_day) as worst_day_date,
        sum(pow(sessions.r - days.mean_r, 2) order by sessions.trade_date) / any_value(days.n) as m2,
        sum(pow(sessions.r - days.mean_r, 3) order by sessions.trade_date) / any_value(days.n) as m3,
        sum(pow(sessions.r - days.mean_r, 4) order by sessions.trade_date) / any_value(days.n) as m4,
        sum(sessions.r order by sessions.trade_date) filter (where sessions.r <= days.quantile_5)
        / count(*) filter (where sessions.r <= days.quantile_5) as tail_mean
    from sessions
    inner join days
        on
            sessions.strategy = days.strategy
            and sessions.pool = days.pool
            and sessions.curve = days.curve
    group by days.strategy, days.pool, days.curve

),

by_month as (

    select
        strategy,
        pool,
        curve,
        max(r) as best_month_return,
        arg_max(month, r order by month) as best_month,
        min(r) as worst_month_return,
        arg_min(month, r order by month) as worst_month
    from months
    group by strategy, pool, curve

)

select
    days.strategy,
    days.pool,
    days.curve,
    cast(days.n as integer) as sessions,
    days.best_day,
    moments.best_day_date,
    days.worst_day,
    moments.worst_day_date,
    by_month.best_month_return,
    by_month.best_month,
    by_month.worst_month_return,
    by_month.worst_month,
    days.positive_days,
    case when days.n >= {{ min_sessions }} then days.quantile_5 end as value_at_risk,
    case when days.n >= {{ min_sessions }} then moments.tail_mean end as conditional_value_at_risk,
    case when days.n >= {{ min_sessions }} and moments.m2 > 1e-30 then moments.m3 / pow(moments.m2, 1.5) end
    as skewness,
    case when days.n >= {{ min_sessions }} and moments.m2 > 1e-30 then moments.m4 / pow(moments.m2, 2) - 3 end
    as excess_kurtosis
from days
inner join moments
    on
        days.strategy = moments.strategy
        and days.pool = moments.pool
        and days.curve = moments.curve
inner join by_month
    on
        days.strategy = by_month.strategy
        and days.pool = by_month.pool
        and days.curve = by_month.curve
order by days.strategy, days.pool, days.curve desc
