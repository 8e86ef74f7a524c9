with

luck as (

    select
        *,
        row_number() over (partition by strategy, pool order by annual_return desc, "offset") as place
    from {{ ref('rebalance_luck') }}

)

select
    strategy,
    pool,
    cast(any_value(sessions) as integer) as sessions,
    cast(count(*) as integer) as offsets,
    min(annual_return) as lowest_return,
    median(annual_return) as median_return,
    max(annual_return) as highest_return,
    any_value(annual_return) filter (where is_own) as own_return,
    case when count(annual_return) > 0 then cast(any_value(place) filter (where is_own) as integer) end as own_place
from luck
group by strategy, pool
order by strategy, pool
