with

sessions as (

    select * from {{ ref('int_backtest__ledger') }}
    where kind = 'session'

),

parameters as (

    select * from {{ ref('int_backtest__parameters') }}

),

previous as (

    select
        sessions.*,
        parameters.target_capital,
        coalesce(
            lag(sessions.equity) over (partition by sessions.pool order by sessions.trade_date),
            parameters.target_capital
        ) as previous_equity,
        -- The initial capital is the first peak.
        greatest(
            max(sessions.equity) over (
                partition by sessions.pool order by sessions.trade_date rows unbounded preceding
            ),
            parameters.target_capital
        ) as peak_equity
    from sessions
    inner join parameters
        on sessions.pool = parameters.pool

)

select
    pool,
    trade_date,
    equity,
    cash,
    holdings_value,
    equity / previous_equity - 1 as daily_return,
    equity / peak_equity - 1 as drawdown,
    price_pnl,
    corporate_action_value,
    commission,
    slippage
from previous
order by pool, trade_date
