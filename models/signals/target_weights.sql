select
    pool,
    trade_date,
    as_of_date,
    symbol,
    target_weight,
    score,
    cast(rank as integer) as rank,
    adv20
from {{ ref('int_selection') }}
where is_selected
order by pool, trade_date, rank
