-- Promise 2 for every tranche; a strategy is the sum of its tranches.

{{ after_the_gate() }}

with

tranches as (

    select
        strategy,
        pool,
        trade_date,
        sum(equity) as equity,
        sum(cash) as cash,
        sum(holdings_value) as holdings_value,
        max(abs(equity - cash - holdings_value)) as largest_gap,
        min(cash) as least_cash,
        count(*) as tranche_count
    from {{ ref('tranches_daily') }}
    group by strategy, pool, trade_date

),

strategies as (

    select * from {{ ref('int_strategies') }}

),

equity as (

    select * from {{ ref('equity_daily') }}
    where pool <> 'PORTFOLIO'

)

select
    strategy,
    pool,
    trade_date,
    equity.equity,
    tranches.equity as equity_of_tranches
from equity
full join tranches
    using (strategy, pool, trade_date)
left join strategies
    using (strategy, pool)
where
    not coalesce(
        abs(equity.equity - tranches.equity) <= 0.01
        and abs(equity.cash - tranches.cash) <= 0.01
        and abs(equity.holdings_value - tranches.holdings_value) <= 0.01
        and tranches.largest_gap <= 0.01
        and tranches.least_cash >= 0
        and tranches.tranche_count = strategies.tranches,
        false
    )
