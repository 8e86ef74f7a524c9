select
    strategy,
    pool,
    trade_date,
    cast(tranche as integer) as tranche,
    cast(sequence as integer) as sequence,
    symbol,
    side,
    shares,
    price,
    value,
    commission,
    slippage,
    is_carry_over,
    reason
from {{ ref('int_backtest__ledger') }}
where kind = 'trade'
order by strategy, pool, sequence
