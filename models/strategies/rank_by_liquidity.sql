-- Ranks by the mean amount of the last 20 bars: the most liquid funds first.

select
    pool,
    trade_date,
    symbol,
    adv20 as score
from {{ ref('int_bars__lagged') }}
