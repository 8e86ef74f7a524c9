-- Every fund of the pool on every session on which a tranche of a strategy is
-- rebalanced.

with

rebalances as (

    select distinct
        strategy,
        pool,
        trade_date
    from {{ ref('int_rebalance_sessions') }}

),

funds as (

    select * from {{ ref('int_funds') }}

),

known as (

    select * from {{ ref('int_selection__funds') }}

)

select
    rebalances.strategy,
    rebalances.pool,
    rebalances.trade_date,
    funds.symbol,
    known.rank,
    case when known.symbol is null then 'no_bar' else known.ineligible end as ineligible,
    known.raw_value,
    funds.category,
    funds.is_broad,
    known.score,
    known.adv20
from rebalances
inner join funds
    on rebalances.pool = funds.pool
left join known
    on
        rebalances.strategy = known.strategy
        and rebalances.pool = known.pool
        and rebalances.trade_date = known.trade_date
        and funds.symbol = known.symbol
order by rebalances.strategy, rebalances.pool, rebalances.trade_date, funds.symbol
