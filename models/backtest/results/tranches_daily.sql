select
    strategy,
    pool,
    trade_date,
    cast(tranche as integer) as tranche,
    equity,
    cash,
    holdings_value
from {{ ref('int_backtest__ledger') }}
where kind = 'tranche'
order by strategy, pool, trade_date, tranche
