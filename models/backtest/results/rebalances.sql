select
    pool,
    trade_date,
    symbol,
    target_weight,
    equity,
    equity_as_of,
    price,
    target_shares
from {{ ref('int_backtest__ledger') }}
where kind = 'rebalance'
order by pool, sequence
