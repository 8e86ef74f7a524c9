{{ after_the_gate() }}

with

trades as (

    select
        *,
        case when side = 'buy' then 1 else -1 end as sign
    from {{ ref('trades') }}
    -- Not payouts: assert_ended_funds_are_paid_out checks them.
    where reason <> 'ended'

),

bars as (

    select * from {{ ref('int_backtest__bars') }}

)

select
    trades.strategy,
    trades.pool,
    trades.trade_date,
    trades.symbol,
    trades.side,
    trades.shares,
    trades.price,
    trades.value,
    trades.commission,
    trades.slippage,
    bars.open,
    bars.limit_up,
    bars.limit_down
from trades
left join bars
    on
        trades.symbol = bars.symbol
        and trades.trade_date = bars.trade_date
where
    bars.symbol is null
    or (trades.side = 'buy' and round(bars.open, 3) >= bars.limit_up)
    or (trades.side = 'sell' and round(bars.open, 3) <= bars.limit_down)
    or not abs(trades.price / (bars.open * (1 + trades.sign * {{ var('slippage_bps') }} / 1e4)) - 1) <= 1e-12
    or not abs(trades.value - trades.shares * trades.price) <= 0.01
    or not abs(trades.slippage - trades.shares * abs(trades.price - bars.open)) <= 0.01
    or not abs(
        trades.commission
        - greatest({{ var('min_commission_cny') }}, trades.value * {{ var('commission_bps') }} / 1e4)
    ) <= 0.01
