{{ after_the_gate() }}

with

rejected as (

    select * from {{ ref('rejected_orders') }}

),

bars as (

    select * from {{ ref('int_backtest__bars') }}

)

select
    rejected.*,
    bars.open,
    bars.limit_up,
    bars.limit_down
from rejected
left join bars
    on
        rejected.symbol = bars.symbol
        and rejected.trade_date = bars.trade_date
where
    not rejected.shares > 0
    or rejected.reason is distinct from case
        when bars.symbol is null then 'suspended'
        when rejected.side = 'buy' and round(bars.open, 3) >= bars.limit_up then 'limit_up'
        when rejected.side = 'sell' and round(bars.open, 3) <= bars.limit_down then 'limit_down'
        else 'cash'
    end
