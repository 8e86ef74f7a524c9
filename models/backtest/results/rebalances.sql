select
    strategy,
    pool,
    trade_date,
    cast(tranche as integer) as tranche,
    symbol,
    target_weight,
    equity,
    equity_as_of,
    price,
    target_shares
from {{ ref('int_backtest__ledger') }}
where kind = 'rebalance'
order by strategy, pool, sequence
