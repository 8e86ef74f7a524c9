select
    pool,
    trade_date,
    as_of_date,
    symbol,
    is_eligible,
    is_selected,
    reason,
    score,
    cast(rank as integer) as rank,
    adv20
from {{ ref('int_selection') }}
order by pool, trade_date, symbol
