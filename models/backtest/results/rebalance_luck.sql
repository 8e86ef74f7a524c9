select
    strategy,
    pool,
    cast("offset" as integer) as "offset",
    cast(sessions as integer) as sessions,
    annual_return,
    sharpe,
    is_own
from {{ ref('int_rebalance_luck__offsets') }}
order by strategy, pool, "offset"
