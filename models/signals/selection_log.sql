with

decisions as (

    select * from {{ ref('int_selection') }}

),

candidates as (

    select * from {{ ref('int_selection__candidates') }}

),

rebalances as (

    select * from {{ ref('int_rebalance_sessions') }}

)

select
    decisions.strategy,
    decisions.pool,
    decisions.trade_date,
    cast(decisions.tranche as integer) as tranche,
    rebalances.as_of_date,
    decisions.symbol,
    decisions.is_eligible,
    decisions.is_selected,
    decisions.reason,
    candidates.score,
    cast(candidates.rank as integer) as rank,
    candidates.adv20
from decisions
inner join rebalances
    on
        decisions.strategy = rebalances.strategy
        and decisions.pool = rebalances.pool
        and decisions.tranche = rebalances.tranche
        and decisions.trade_date = rebalances.trade_date
inner join candidates
    on
        decisions.strategy = candidates.strategy
        and decisions.pool = candidates.pool
        and decisions.trade_date = candidates.trade_date
        and decisions.symbol = candidates.symbol
order by decisions.strategy, decisions.pool, decisions.trade_date, tranche, decisions.symbol
