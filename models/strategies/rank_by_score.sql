-- Ranks by score, the highest first.

select
    pool,
    trade_date,
    symbol,
    score
from {{ ref('scores') }}
