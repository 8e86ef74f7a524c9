-- The scored factors and the score in score form, for pools with a strategy. Ranks are
-- doubled: equal values share a mean rank, which may be a half, and sums of integers
-- are exact.
with

scored as (

    select * from {{ ref('int_scored_factors') }}

),

scores as (

    select * from {{ ref('scores') }}

),

pools as (

    select * from {{ ref('pool_constraints') }}

),

calendar as (

    select * from {{ ref('trading_calendar') }}

),

unioned as (

    select
        pool,
        factor_id,
        symbol,
        trade_date,
        factor_value
    from scored
    union all
    select
        pool,
        'score' as factor_id,
        symbol,
        trade_date,
        score as factor_value
    from scores
    where score is not null

)

select
    unioned.pool,
    unioned.factor_id,
    unioned.symbol,
    unioned.trade_date,
    calendar.session_number,
    unioned.factor_value,
    rank() over by_factor + count(*) over by_factor as doubled_rank
from unioned
inner join pools
    on unioned.pool = pools.pool
inner join calendar
    on unioned.trade_date = calendar.trade_date
window
    by_factor as (
        partition by unioned.pool, unioned.factor_id, unioned.trade_date
        order by unioned.factor_value
    )
