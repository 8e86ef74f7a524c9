with

pool_equity as (

    select * from {{ ref('int_backtest__pool_equity') }}

),

equity as (

    select * from pool_equity

)

select
    pool,
    trade_date,
    previous_equity,
    equity,
    cash,
    holdings_value,
    equity / previous_equity - 1 as daily_return,
    -- The initial capital is the first peak.
    equity
    / max(greatest(equity, previous_equity)) over (
        partition by pool order by trade_date rows unbounded preceding
    )
    - 1 as drawdown,
    benchmark_return,
    price_pnl,
    corporate_action_value,
    commission,
    slippage,
    traded_value
from equity
order by pool, trade_date
