select
    pool,
    trade_date,
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
order by pool, sequence
