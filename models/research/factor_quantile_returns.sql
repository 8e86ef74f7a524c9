-- Sums are of scaled integers: exact in any order, and nothing has to be sorted for them.

with

observations as (

    select * from {{ ref('int_research__observations') }}
    where factor_quantile is not null

),

session_means as (

    select
        pool,
        factor_id,
        horizon_sessions,
        trade_date,
        cast(sum(cast(forward_return * 1e15 as hugeint)) as double) / 1e15 / count(*) as mean_return
    from observations
    group by pool, factor_id, horizon_sessions, trade_date

),

demeaned as (

    select
        observations.*,
        observations.forward_return - session_means.mean_return as excess_return
    from observations
    inner join session_means
        on
            observations.pool = session_means.pool
            and observations.factor_id = session_means.factor_id
            and observations.horizon_sessions = session_means.horizon_sessions
            and observations.trade_date = session_means.trade_date

),

averaged as (

    select
        pool,
        factor_id,
        horizon_sessions,
        factor_quantile,
        cast(sum(cast(forward_return * 1e15 as hugeint)) as double) / 1e15 / count(*) as mean_return,
        cast(sum(cast(excess_return * 1e15 as hugeint)) as double) / 1e15 / count(*) as mean_excess_return,
        count(*) as observations
    from demeaned
    group by pool, factor_id, horizon_sessions, factor_quantile

),

spread as (

    select
        demeaned.pool,
        demeaned.factor_id,
        demeaned.horizon_sessions,
        demeaned.factor_quantile,
        cast(
            sum(cast(pow(demeaned.excess_return - averaged.mean_excess_return, 2) * 1e18 as hugeint)) as double
        ) / 1e18 as squared_deviations
    from demeaned
    inner join averaged
        on
            demeaned.pool = averaged.pool
            and demeaned.factor_id = averaged.factor_id
            and demeaned.horizon_sessions = averaged.horizon_sessions
            and demeaned.factor_quantile = averaged.factor_quantile
    group by demeaned.pool, demeaned.factor_id, demeaned.horizon_sessions, demeaned.factor_quantile

)

select
    averaged.pool,
    averaged.factor_id,
    cast(averaged.horizon_sessions as integer) as horizon_sessions,
    averaged.factor_quantile,
    averaged.mean_return,
    averaged.mean_excess_return,
    case
        when averaged.observations > 1
            then sqrt(spread.squared_deviations / (averaged.observations - 1)) / sqrt(averaged.observations)
    end as standard_error,
    cast(averaged.observations as integer) as observations
from averaged
inner join spread
    on
        averaged.pool = spread.pool
        and averaged.factor_id = spread.factor_id
        and averaged.horizon_sessions = spread.horizon_sessions
        and averaged.factor_quantile = spread.factor_quantile
order by averaged.pool, averaged.factor_id, averaged.horizon_sessions, averaged.factor_quantile
