with

panel as (

    select
        symbol,
        trade_date,
        as_of_date,
        pool
    from {{ ref('int_bars__lagged') }}

),

factor_values as (

    select * from {{ ref('int_scored_factors') }}
    where pool in (select pool from {{ ref('pool_constraints') }})

),

catalog as (

    select * from {{ ref('factor_catalog') }}
    where score_direction is not null

),

pools as (

    select * from {{ ref('pool_constraints') }}

),

ranked as (

    {{ percentile_ranks('factor_values', 'catalog') }}

),

averaged as (

    select
        pool,
        trade_date,
        symbol,
        count(*) as factors_available,
        round(sum(percentile_rank order by factor_id) / count(*), 12) as mean_rank
    from ranked
    group by pool, trade_date, symbol

),

scored as (

    select
        panel.pool,
        panel.trade_date,
        panel.as_of_date,
        panel.symbol,
        coalesce(averaged.factors_available, 0) as factors_available,
        case
            when averaged.factors_available >= {{ var('min_scored_share') }} * (select count(*) from catalog)
                then averaged.mean_rank
        end as score
    from panel
    inner join pools
        on panel.pool = pools.pool
    left join averaged
        on
            panel.pool = averaged.pool
            and panel.trade_date = averaged.trade_date
            and panel.symbol = averaged.symbol

)

select
    pool,
    trade_date,
    as_of_date,
    symbol,
    score,
    cast(
        case
            when score is not null
                then row_number() over (
                    partition by pool, trade_date order by score desc nulls last, symbol asc
                )
        end as integer
    ) as rank,
    cast(factors_available as integer) as factors_available
from scored
order by pool, trade_date, symbol
