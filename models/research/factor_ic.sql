with

observations as (

    select * from {{ ref('int_research__observations') }}

),

summed as (

    select
        pool,
        factor_id,
        horizon_sessions,
        trade_date,
        count(*) as funds,
        {{ rank_sums('doubled_factor_rank', 'doubled_return_rank') }}
    from observations
    group by pool, factor_id, horizon_sessions, trade_date

),

correlated as (

    select
        *,
        {{ rank_correlation() }} as rank_ic
    from summed

)

select
    pool,
    factor_id,
    cast(horizon_sessions as integer) as horizon_sessions,
    trade_date,
    rank_ic,
    cast(funds as integer) as funds
from correlated
where rank_ic is not null
order by pool, factor_id, horizon_sessions, trade_date
