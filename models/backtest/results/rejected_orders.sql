select
    strategy,
    pool,
    trade_date,
    cast(tranche as integer) as tranche,
    cast(sequence as integer) as sequence,
    symbol,
    side,
    shares,
    reason,
    is_carry_over
from {{ ref('int_backtest__ledger') }}
where kind = 'rejected'
order by strategy, pool, sequence
