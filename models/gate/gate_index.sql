-- The checks that must exist per pool. BUILD is the whole build.

with

thresholds as (

    select * from {{ ref('gate_thresholds') }}

),

pools as (

    select * from {{ ref('int_gate_pools') }}

)

select
    pools.pool,
    thresholds.check_name
from thresholds
inner join pools
    on case thresholds.applies_to
        when 'pool' then pools.is_pool
        when 'strategy_pool' then pools.is_pool and pools.is_strategy
        when 'strategy' then pools.is_strategy
        when 'weighted' then pools.is_weighted
    end
union all
select
    'BUILD' as pool,
    check_name
from thresholds
where applies_to = 'build'
order by pool, check_name
