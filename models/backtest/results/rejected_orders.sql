select
    pool,
    trade_date,
    cast(sequence as integer) as sequence,
    symbol,
    side,
    shares,
    reason,
    is_carry_over
from {{ ref('int_backtest__ledger') }}
where kind = 'rejected'
order by pool, sequence
