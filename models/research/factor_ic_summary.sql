with

factor_ic as (

    select * from {{ ref('factor_ic') }}

),

autocorrelation as (

    select * from {{ ref('factor_rank_autocorrelation') }}

),

catalog as (

    select * from {{ ref('factor_catalog') }}

),

calendar as (

    select * from {{ ref('trading_calendar') }}

),

averaged as (

    select
        pool,
        factor_id,
        horizon_sessions,
        min(trade_date) as first_date,
        max(trade_date) as last_date,
        count(*) as sessions,
        sum(rank_ic order by trade_date) / count(*) as mean_ic,
        count(*) filter (where rank_ic > 0) / count(*) as share_positive
    from factor_ic
    group by pool, factor_id, horizon_sessions

),

deviations as (

    select
        factor_ic.pool,
        factor_ic.factor_id,
        factor_ic.horizon_sessions,
        calendar.session_number,
        factor_ic.rank_ic - averaged.mean_ic as deviation
    from factor_ic
    inner join averaged
        on
            factor_ic.pool = averaged.pool
            and factor_ic.factor_id = averaged.factor_id
            and factor_ic.horizon_sessions = averaged.horizon_sessions
    inner join calendar
        on factor_ic.trade_date = calendar.trade_date

),

-- Forward returns overlap if the horizon exceeds their distance, so rank ICs are
-- correlated. Newey and West (1987) account for that. The Bartlett weights use twice as
-- many lags as overlap, because with equal lags they would miss a third of the
-- correlation.
lags as (

    select
        horizon_sessions,
        unnest(range(2 * horizon_sessions - 1)) as lag_sessions,
        1 - lag_sessions / (2 * horizon_sessions - 1) as weight
    from (select distinct horizon_sessions from averaged)

),

spread as (

    select
        deviations.pool,
        deviations.factor_id,
        deviations.horizon_sessions,
        {{ exact_sum('deviations.deviation * earlier.deviation', where='lags.lag_sessions = 0') }}
            as squared_deviations,
        {{ exact_sum(
            'if(lags.lag_sessions = 0, 1, 2) * lags.weight * deviations.deviation * earlier.deviation'
        ) }} as long_run_squared_deviations
    from deviations
    inner join lags
        on deviations.horizon_sessions = lags.horizon_sessions
    inner join deviations as earlier
        on
            deviations.pool = earlier.pool
            and deviations.factor_id = earlier.factor_id
            and deviations.horizon_sessions = earlier.horizon_sessions
            and deviations.session_number - lags.lag_sessions = earlier.session_number
    group by deviations.pool, deviations.factor_id, deviations.horizon_sessions

),

persistence as (

    select
        pool,
        factor_id,
        sum(rank_autocorrelation order by trade_date) / count(*) as mean_rank_autocorrelation
    from autocorrelation
    group by pool, factor_id

),

measured as (

    select
        averaged.*,
        catalog.score_direction,
        persistence.mean_rank_autocorrelation,
        case
            when averaged.sessions > 1 then sqrt(spread.squared_deviations / (averaged.sessions - 1))
        end as ic_standard_deviation,
        case
            when averaged.sessions > 1 and spread.long_run_squared_deviations > 0
                then sqrt(spread.long_run_squared_deviations / (averaged.sessions - 1))
        end as long_run_deviation
    from averaged
    inner join spread
        on
            averaged.pool = spread.pool
            and averaged.factor_id = spread.factor_id
            and averaged.horizon_sessions = spread.horizon_sessions
    left join persistence
        on
            averaged.pool = persistence.pool
            and averaged.factor_id = persistence.factor_id
    left join catalog
        on averaged.factor_id = catalog.factor_id

)

select
    pool,
    factor_id,
    horizon_sessions,
    cast(case when factor_id = 'score' then 1 else score_direction end as integer) as score_direction,
    first_date,
    last_date,
    cast(sessions as integer) as sessions,
    mean_ic,
    ic_standard_deviation,
    mean_ic / nullif(ic_standard_deviation, 0) as icir,
    mean_ic / nullif(ic_standard_deviation, 0) * sqrt(sessions) as t_value,
    mean_ic / long_run_deviation * sqrt(sessions) as t_value_newey_west,
    share_positive,
    mean_rank_autocorrelation,
    case
        when mean_rank_autocorrelation > 0 and mean_rank_autocorrelation < 1
            then ln(0.5) / ln(mean_rank_autocorrelation)
    end as half_life_sessions
from measured
order by pool, factor_id, horizon_sessions
