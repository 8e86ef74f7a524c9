with

ranked as (

    select * from {{ ref('int_research__factors') }}

),

paired as (

    select
        ranked.pool,
        ranked.factor_id,
        others.factor_id as other_factor_id,
        ranked.trade_date,
        ranked.doubled_rank,
        others.doubled_rank as other_doubled_rank
    from ranked
    inner join ranked as others
        on
            ranked.symbol = others.symbol
            and ranked.trade_date = others.trade_date
            and ranked.factor_id < others.factor_id

),

summed as (

    select
        pool,
        factor_id,
        other_factor_id,
        trade_date,
        count(*) as funds,
        {{ rank_sums('doubled_rank', 'other_doubled_rank') }}
    from paired
    group by pool, factor_id, other_factor_id, trade_date

),

correlated as (

    select
        *,
        {{ rank_correlation() }} as rank_correlation
    from summed

),

averaged as (

    select
        pool,
        factor_id,
        other_factor_id,
        sum(rank_correlation order by trade_date) / count(rank_correlation) as mean_rank_correlation,
        count(rank_correlation) as sessions
    from correlated
    group by pool, factor_id, other_factor_id

),

-- Both triangles, so that a reader can look up a pair in either order.
mirrored as (

    select
        pool,
        factor_id,
        other_factor_id,
        mean_rank_correlation,
        sessions
    from averaged
    union all
    select
        pool,
        other_factor_id as factor_id,
        factor_id as other_factor_id,
        mean_rank_correlation,
        sessions
    from averaged

)

select
    pool,
    factor_id,
    other_factor_id,
    mean_rank_correlation,
    cast(sessions as integer) as sessions
from mirrored
order by pool, factor_id, other_factor_id
