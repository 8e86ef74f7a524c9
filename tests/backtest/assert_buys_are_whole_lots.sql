{{ after_the_gate() }}

select
    strategy,
    pool,
    trade_date,
    symbol,
    side,
    shares
from {{ ref('trades') }}
where
    not shares > 0
    or (side = 'buy' and shares % {{ var('lot_size') }} <> 0)
