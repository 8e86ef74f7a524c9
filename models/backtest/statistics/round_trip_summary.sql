with

trips as (

    select * from {{ ref('round_trips') }}

)

select
    strategy,
    pool,
    cast(count(*) filter (where exit_date is not null) as integer) as closed_trips,
    cast(count(*) filter (where exit_date is null) as integer) as open_trips,
    count(*) filter (where exit_date is not null and profit > 0)
    / nullif(count(*) filter (where exit_date is not null), 0) as winning_share,
    median(sessions) filter (where exit_date is not null) as median_sessions,
    sum(profit order by entry_date, symbol) filter (where profit > 0) as gains,
    sum(profit order by entry_date, symbol) filter (where profit < 0) as losses,
    -sum(profit order by entry_date, symbol) filter (where profit > 0)
    / sum(profit order by entry_date, symbol) filter (where profit < 0) as profit_factor
from trips
group by strategy, pool
order by strategy, pool
