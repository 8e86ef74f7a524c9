with

observations as (

    select * from {{ ref('int_research__observations') }}
    where factor_quantile is not null

),

summed as (

    select
        pool,
        factor_id,
        horizon_sessions,
        trade_date,
        factor_quantile,
        sum({{ scaled('forward_return') }}) as return_sum,
        count(*) as funds
    from observations
    group by pool, factor_id, horizon_sessions, trade_date, factor_quantile

),

-- Every session has equal weight, whatever the number of funds per quantile.
session_means as (

    select
        pool,
        factor_id,
        horizon_sessions,
        factor_quantile,
        funds,
        {{ unscaled('return_sum') }} / funds as mean_return,
        mean_return - {{ unscaled('sum(return_sum) over cross_section') }} / sum(funds) over cross_section
            as excess_return
    from summed
    window cross_section as (partition by pool, factor_id, horizon_sessions, trade_date)

),

averaged as (

    select
        pool,
        factor_id,
        horizon_sessions,
        factor_quantile,
        {{ exact_mean('mean_return') }} as mean_return,
        {{ exact_mean('excess_return') }} as mean_excess_return,
        count(*) as sessions,
        sum(funds) as observations
    from session_means
    group by pool, factor_id, horizon_sessions, factor_quantile

),

spread as (

    select
        session_means.pool,
        session_means.factor_id,
        session_means.horizon_sessions,
        session_means.factor_quantile,
        {{ exact_sum(
            'pow(session_means.excess_return - averaged.mean_excess_return, 2)', scale='1e18'
        ) }} as squared_deviations
    from session_means
    inner join averaged
        on
            session_means.pool = averaged.pool
            and session_means.factor_id = averaged.factor_id
            and session_means.horizon_sessions = averaged.horizon_sessions
            and session_means.factor_quantile = averaged.factor_quantile
    group by
        session_means.pool,
        session_means.factor_id,
        session_means.horizon_sessions,
        session_means.factor_quantile

)

select
    averaged.pool,
    averaged.factor_id,
    cast(averaged.horizon_sessions as integer) as horizon_sessions,
    averaged.factor_quantile,
    averaged.mean_return,
    averaged.mean_excess_return,
    case
        when averaged.sessions > 1
            then sqrt(spread.squared_deviations / (averaged.sessions - 1)) / sqrt(averaged.sessions)
    end as standard_error,
    cast(averaged.sessions as integer) as sessions,
    cast(averaged.observations as integer) as observations
from averaged
inner join spread
    on
        averaged.pool = spread.pool
        and averaged.factor_id = spread.factor_id
        and averaged.horizon_sessions = spread.horizon_sessions
        and averaged.factor_quantile = spread.factor_quantile
order by averaged.pool, averaged.factor_id, averaged.horizon_sessions, averaged.factor_quantile
