-- The gains of a strategy's positions add up to the gain of its account.

{{ after_the_gate() }}

with

trips as (

    select
        strategy,
        pool,
        sum(profit) as profit
    from {{ ref('round_trips') }}
    group by strategy, pool

),

accounts as (

    select
        strategy,
        pool,
        arg_min(previous_equity, trade_date) as start_equity,
        arg_max(equity, trade_date) as end_equity
    from {{ ref('equity_daily') }}
    where pool <> 'PORTFOLIO'
    group by strategy, pool

)

select
    accounts.strategy,
    accounts.pool,
    coalesce(trips.profit, 0) as profit,
    accounts.end_equity - accounts.start_equity as gain
from accounts
left join trips
    on
        accounts.strategy = trips.strategy
        and accounts.pool = trips.pool
where abs(coalesce(trips.profit, 0) - (accounts.end_equity - accounts.start_equity)) > 1e-9 * accounts.start_equity
