-- The members of each PORTFOLIO. There is one PORTFOLIO per strategy that every pool
-- with a weight has, and one of the live strategies, named `live` if they differ by
-- pool.

with

strategies as (

    select * from {{ ref('int_strategies') }}
    where portfolio_weight > 0

),

-- All weighted pools: in a build without some of them PORTFOLIO would be incomplete.
weighted as (

    select pool from {{ ref('pool_constraints') }}
    where portfolio_weight > 0

),

same_in_all as (

    select strategy
    from strategies
    group by strategy
    having count(*) = (select count(*) from weighted)

),

live as (

    select
        pool,
        strategy
    from strategies
    where is_live

),

members as (

    select
        strategies.strategy as portfolio,
        strategies.pool,
        strategies.strategy
    from strategies
    semi join same_in_all
        on strategies.strategy = same_in_all.strategy
    union all
    select
        'live' as portfolio,
        pool,
        strategy
    from live
    where (select count(distinct strategy) > 1 from live) and (select count(*) from live) = (select count(*) from weighted)

)

select
    members.portfolio,
    members.pool,
    members.strategy,
    strategies.portfolio_weight,
    strategies.target_capital,
    members.portfolio = 'live' or (strategies.is_live and (select count(distinct strategy) = 1 from live)) as is_live
from members
inner join strategies
    on
        members.strategy = strategies.strategy
        and members.pool = strategies.pool
order by members.portfolio, members.pool
