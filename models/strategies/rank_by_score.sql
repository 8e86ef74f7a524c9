-- The score of the scored factors: the best funds first.

select
    pool,
    trade_date,
    symbol,
    score
from {{ ref('scores') }}
