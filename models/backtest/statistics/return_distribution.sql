-- Histograms of returns: daily in steps of 0.5%, monthly in steps of 2%. The outermost
-- steps contain all returns beyond 5% per day and 20% per month.

with

returns as (

    select
        strategy,
        pool,
        'day' as frequency,
        0.005 as width,
        10 as most,
        daily_return as own,
        benchmark_return as benchmark
    from {{ ref('equity_daily') }}
    union all
    select
        strategy,
        pool,
        'month' as frequency,
        0.02 as width,
        10 as most,
        monthly_return as own,
        benchmark_return as benchmark
    from {{ ref('monthly_returns') }}

),

curves as (

    select
        strategy,
        pool,
        frequency,
        width,
        most,
        'own' as curve,
        own as r
    from returns
    union all
    select
        strategy,
        pool,
        frequency,
        width,
        most,
        'benchmark' as curve,
        benchmark as r
    from returns

),

steps as (

    select
        strategy,
        pool,
        frequency,
        width,
        curve,
        -- Rounded first: 0.015 is 2.9999999999999996 steps of 0.005.
        cast(greatest(-most, least(most - 1, floor(round(r / width, 9)))) as integer) as step
    from curves

)

select
    strategy,
    pool,
    frequency,
    step,
    cast(any_value(step * width) as double) as lower_return,
    cast(any_value((step + 1) * width) as double) as upper_return,
    cast(count(*) filter (where curve = 'own') as integer) as periods,
    cast(count(*) filter (where curve = 'benchmark') as integer) as benchmark_periods
from steps
group by strategy, pool, frequency, step
order by strategy, pool, frequency, step
