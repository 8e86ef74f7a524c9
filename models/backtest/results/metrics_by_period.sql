{% set holdout_start = holdout_start() %}
{% set min_sessions = at_least_one('min_metrics_sessions') %}

-- Returns, drawdown and Sharpe ratio of a strategy, its pool's benchmark and
-- equal_weight, by calendar period. Sums in date order, variances in two passes, as in
-- metrics.

with

equity as (

    select * from {{ ref('equity_daily') }}

),

spans as (

    select
        strategy,
        pool,
        min(trade_date) as first_date,
        max(trade_date) as last_date
    from equity
    group by strategy, pool

),

fixed_periods as (

    select
        strategy,
        pool,
        unnest([
            { period: 'all', begins_on: first_date, ends_on: last_date },
            { period: 'last_session', begins_on: last_date, ends_on: last_date },
            { period: 'month_to_date', begins_on: date_trunc('month', last_date), ends_on: last_date },
            { period: 'quarter_to_date', begins_on: date_trunc('quarter', last_date), ends_on: last_date },
            { period: 'year_to_date', begins_on: date_trunc('year', last_date), ends_on: last_date },
            {% for years in [1, 3, 5] %}
            {
                period: 'last_{{ years }}_year{{ 's' if years > 1 }}',
                begins_on: case
                    when last_date - interval {{ years }} year >= first_date
                        then last_date - interval {{ years }} year + interval 1 day
                end,
                ends_on: last_date
            },
            {% endfor %}
            {% if holdout_start %}
            { period: 'before_holdout', begins_on: first_date, ends_on: date '{{ holdout_start }}' - 1 },
            { period: 'since_holdout', begins_on: date '{{ holdout_start }}', ends_on: last_date },
            {% endif %}
        ], recursive := true)
    from spans

),

years as (

    select
        strategy,
        pool,
        'year_' || year as period,
        make_date(year, 1, 1) as begins_on,
        make_date(year, 12, 31) as ends_on
    from (
        select
            strategy,
            pool,
            unnest(range(year(first_date), year(last_date) + 1)) as year
        from spans
    )

),

periods as (

    select * from fixed_periods
    where begins_on is not null
    union all
    select * from years

),

sessions as (

    select
        periods.strategy,
        periods.pool,
        periods.period,
        own.trade_date,
        own.daily_return,
        own.equity,
        own.previous_equity,
        benchmark.benchmark_return,
        benchmark.growth,
        benchmark.previous_growth,
        rival.daily_return as rival_return,
        rival.equity as rival_equity,
        rival.previous_equity as previous_rival_equity
    from periods
    inner join equity as own
        on
            periods.strategy = own.strategy
            and periods.pool = own.pool
            and own.trade_date between periods.begins_on and periods.ends_on
    inner join {{ ref('benchmark_daily') }} as benchmark
        on
            own.strategy = benchmark.strategy
            and own.pool = benchmark.pool
            and own.trade_date = benchmark.trade_date
    left join equity as rival
        on
            own.pool = rival.pool
            and own.trade_date = rival.trade_date
            and rival.strategy = 'equal_weight'

),

-- One row per session and curve: strategy, benchmark and equal_weight.
curves as (

    select
        strategy,
        pool,
        period,
        trade_date,
        unnest([ -- noqa: AL03
            { curve: 'own', r: daily_return, level: equity, previous_level: previous_equity },
            { curve: 'benchmark', r: benchmark_return, level: growth, previous_level: previous_growth },
            {
                curve: 'equal_weight',
                r: rival_return,
                level: rival_equity,
                previous_level: previous_rival_equity
            }
        ], recursive := true)
    from sessions

),

fallen as (

    select
        *,
        -- The level before the period is the first peak.
        level / max(greatest(level, previous_level)) over (
            partition by strategy, pool, period, curve order by trade_date rows unbounded preceding
        ) - 1 as drawdown
    from curves

),

totals as (

    select
        strategy,
        pool,
        period,
        curve,
        min(trade_date) as first_date,
        max(trade_date) as last_date,
        count(*) as n,
        -- A curve that lacks a session of the period cannot be compared over it.
        count(*) = count(r) as is_whole,
        arg_max(level, trade_date) / arg_min(previous_level, trade_date) - 1 as total_return,
        min(drawdown) as max_drawdown,
        sum(r order by trade_date) / count(*) as mean_r,
        sum(r - {{ var('risk_free_rate') }} / {{ var('sessions_per_year') }} order by trade_date)
        / count(*) as mean_x
    from fallen
    group by strategy, pool, period, curve

),

spreads as (

    select
        totals.strategy,
        totals.pool,
        totals.period,
        totals.curve,
        sqrt(sum(pow(fallen.r - totals.mean_r, 2) order by fallen.trade_date) / nullif(totals.n - 1, 0)) as sd_r
    from fallen
    inner join totals
        on
            fallen.strategy = totals.strategy
            and fallen.pool = totals.pool
            and fallen.period = totals.period
            and fallen.curve = totals.curve
    group by totals.strategy, totals.pool, totals.period, totals.curve, totals.n

),

figures as (

    select
        totals.*,
        case
            when totals.n >= {{ min_sessions }}
                then pow(1 + totals.total_return, {{ var('sessions_per_year') }} / totals.n) - 1
        end as annual_return,
        case
            when totals.n >= {{ min_sessions }} and spreads.sd_r > 1e-15
                then sqrt({{ var('sessions_per_year') }}) * totals.mean_x / spreads.sd_r
        end as sharpe
    from totals
    inner join spreads
        on
            totals.strategy = spreads.strategy
            and totals.pool = spreads.pool
            and totals.period = spreads.period
            and totals.curve = spreads.curve

)

select
    strategy,
    pool,
    period,
    min(first_date) as first_date,
    max(last_date) as last_date,
    cast(max(n) as integer) as sessions,
    {% for curve, prefix in [('own', ''), ('benchmark', 'benchmark_'), ('equal_weight', 'equal_weight_')] %}
    {% for figure in ['total_return', 'annual_return', 'max_drawdown', 'sharpe'] %}
    any_value({{ figure }}) filter (where curve = '{{ curve }}' and is_whole) as {{ prefix }}{{ figure }}{{ ',' if not loop.last }}
    {% endfor %}
    {{- ',' if not loop.last }}
    {% endfor %}
from figures
group by strategy, pool, period
order by strategy, pool, period
