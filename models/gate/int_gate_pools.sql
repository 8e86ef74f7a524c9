-- The pools of the build, and PORTFOLIO if the build has every pool with a weight.

with

pools as (

    select distinct pool from {{ ref('int_funds') }}

),

constraints as (

    select * from {{ ref('pool_constraints') }}

)

select
    pools.pool,
    true as is_pool,
    constraints.pool is not null as is_strategy,
    coalesce(constraints.portfolio_weight > 0, false) as is_weighted
from pools
left join constraints
    on pools.pool = constraints.pool
union all
select
    'PORTFOLIO' as pool,
    false as is_pool,
    true as is_strategy,
    true as is_weighted
where
    exists (select 1 from constraints where portfolio_weight > 0)
    and not exists (
        select 1 from constraints
        anti join pools
            on constraints.pool = pools.pool
        where constraints.portfolio_weight > 0
    )
