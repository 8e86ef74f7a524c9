-- Uses published tables only, independently of the model that checks capacity. Without
-- enforce_adv the limit does not apply.

{{ after_the_gate() }}

with

rebalances as (

    select * from {{ ref('rebalances') }}
    where target_weight > 0

),

targets as (

    select * from {{ ref('target_weights') }}

),

strategies as (

    select * from {{ ref('int_strategies') }}

),

shares as (

    select
        rebalances.strategy,
        rebalances.pool,
        rebalances.trade_date,
        rebalances.symbol,
        -- Each tranche may use its part of the limit.
        strategies.tranches * rebalances.target_weight * rebalances.equity_as_of / targets.adv20 as adv_share,
        strategies.max_adv_pct
    from rebalances
    inner join strategies
        on
            rebalances.strategy = strategies.strategy
            and rebalances.pool = strategies.pool
    left join targets
        on
            rebalances.strategy = targets.strategy
            and rebalances.pool = targets.pool
            and rebalances.tranche = targets.tranche
            and rebalances.trade_date = targets.trade_date
            and rebalances.symbol = targets.symbol

)

select *
from shares
where {{ var('enforce_adv') }} and coalesce(adv_share > max_adv_pct * (1 + 1e-9), true)
