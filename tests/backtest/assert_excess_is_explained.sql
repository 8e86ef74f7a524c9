-- The four parts of each session add up to its excess: the return beyond the benchmark.

{{ after_the_gate() }}

with

attribution as (

    select * from {{ ref('excess_attribution') }}

),

equity as (

    select * from {{ ref('equity_daily') }}
    where pool <> 'PORTFOLIO'

)

select
    strategy,
    pool,
    trade_date,
    attribution.excess_return,
    equity.daily_return - equity.benchmark_return as expected_return
from equity
full join attribution
    using (strategy, pool, trade_date)
where
    not coalesce(
        abs(attribution.excess_return - (equity.daily_return - equity.benchmark_return)) <= 1e-12
        and abs(
            attribution.excess_return
            - attribution.cash
            - attribution.costs
            - attribution.selection
            - attribution.weighting
        ) <= 1e-12
        and abs(
            attribution.costs + (equity.commission + equity.slippage) / equity.previous_equity
        ) <= 1e-12,
        false
    )
