-- From the published tables alone, apart from the model that checks capacity. Without enforce_adv the
-- limit informs.

{{ after_the_gate() }}

with

rebalances as (

    select * from {{ ref('rebalances') }}
    where target_weight > 0

),

targets as (

    select * from {{ ref('target_weights') }}

),

pools as (

    select * from {{ ref('pool_constraints') }}

),

shares as (

    select
        rebalances.pool,
        rebalances.trade_date,
        rebalances.symbol,
        rebalances.target_weight * rebalances.equity_as_of / targets.adv20 as adv_share,
        pools.max_adv_pct
    from rebalances
    inner join pools
        on rebalances.pool = pools.pool
    left join targets
        on
            rebalances.pool = targets.pool
            and rebalances.trade_date = targets.trade_date
            and rebalances.symbol = targets.symbol

)

select *
from shares
where {{ var('enforce_adv') }} and coalesce(adv_share > max_adv_pct * (1 + 1e-9), true)
