-- Every rebalance of a tranche, with its number of eligible funds.

with

rebalances as (

    select * from {{ ref('int_rebalance_sessions') }}

),

eligible as (

    select
        strategy,
        pool,
        trade_date,
        count(*) filter (where ineligible is null) as n_eligible
    from {{ ref('int_selection__candidates') }}
    group by strategy, pool, trade_date

)

select
    rebalances.strategy,
    rebalances.pool,
    rebalances.tranche,
    rebalances.trade_date,
    rebalances.as_of_date,
    eligible.n_eligible
from rebalances
inner join eligible
    on
        rebalances.strategy = eligible.strategy
        and rebalances.pool = eligible.pool
        and rebalances.trade_date = eligible.trade_date
order by rebalances.strategy, rebalances.pool, rebalances.tranche, rebalances.trade_date
