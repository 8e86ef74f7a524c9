-- The mean amount of the last 20 bars: the funds that are easiest to trade first.

select
    pool,
    trade_date,
    symbol,
    adv20 as score
from {{ ref('int_bars__lagged') }}
