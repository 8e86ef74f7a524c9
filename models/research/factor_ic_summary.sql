with

factor_ic as (

    select * from {{ ref('factor_ic') }}

),

autocorrelation as (

    select * from {{ ref('factor_rank_autocorrelation') }}

),

catalogue as (

    select * from {{ ref('factor_catalog') }}

),

calendar as (

    select * from {{ ref('trading_calendar') }}

),

-- Forward returns of sessions closer together than the horizon overlap; every horizon-th session
-- of the exchange's count gives a sample whose returns do not.
numbered as (

    select
        factor_ic.*,
        calendar.session_number % factor_ic.horizon_sessions = 0 as is_apart
    from factor_ic
    inner join calendar
        on factor_ic.trade_date = calendar.trade_date

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
        count(*) filter (where rank_ic > 0) / count(*) as share_positive,
        count(*) filter (where is_apart) as sessions_apart,
        sum(rank_ic order by trade_date) filter (where is_apart)
        / count(*) filter (where is_apart) as mean_ic_apart
    from numbered
    group by pool, factor_id, horizon_sessions

),

spread as (

    select
        numbered.pool,
        numbered.factor_id,
        numbered.horizon_sessions,
        sum(pow(numbered.rank_ic - averaged.mean_ic, 2) order by numbered.trade_date) as squared_deviations,
        sum(pow(numbered.rank_ic - averaged.mean_ic_apart, 2) order by numbered.trade_date)
        filter (where numbered.is_apart) as squared_deviations_apart
    from numbered
    inner join averaged
        on
            numbered.pool = averaged.pool
            and numbered.factor_id = averaged.factor_id
            and numbered.horizon_sessions = averaged.horizon_sessions
    group by numbered.pool, numbered.factor_id, numbered.horizon_sessions

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
        catalogue.score_direction,
        persistence.mean_rank_autocorrelation,
        case
            when averaged.sessions > 1 then sqrt(spread.squared_deviations / (averaged.sessions - 1))
        end as ic_standard_deviation,
        case
            when averaged.sessions_apart > 1
                then sqrt(spread.squared_deviations_apart / (averaged.sessions_apart - 1))
        end as ic_standard_deviation_apart
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
    left join catalogue
        on averaged.factor_id = catalogue.factor_id

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
    mean_ic_apart / nullif(ic_standard_deviation_apart, 0) * sqrt(sessions_apart) as t_value_apart,
    share_positive,
    mean_rank_autocorrelation,
    case
        when mean_rank_autocorrelation > 0 and mean_rank_autocorrelation < 1
            then ln(0.5) / ln(mean_rank_autocorrelation)
    end as half_life_sessions
from measured
order by pool, factor_id, horizon_sessions
