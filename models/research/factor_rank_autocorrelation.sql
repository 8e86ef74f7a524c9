with

ranked as (

    select * from {{ ref('int_research__factors') }}

),

paired as (

    select
        ranked.pool,
        ranked.factor_id,
        ranked.trade_date,
        ranked.doubled_rank,
        earlier.doubled_rank as earlier_doubled_rank
    from ranked
    inner join ranked as earlier
        on
            ranked.factor_id = earlier.factor_id
            and ranked.symbol = earlier.symbol
            and ranked.session_number = earlier.session_number + 1

),

summed as (

    select
        pool,
        factor_id,
        trade_date,
        count(*) as funds,
        {{ rank_sums('doubled_rank', 'earlier_doubled_rank') }}
    from paired
    group by pool, factor_id, trade_date

),

correlated as (

    select
        *,
        {{ rank_correlation() }} as rank_autocorrelation
    from summed

)

select
    pool,
    factor_id,
    trade_date,
    rank_autocorrelation,
    cast(funds as integer) as funds
from correlated
where rank_autocorrelation is not null
order by pool, factor_id, trade_date
