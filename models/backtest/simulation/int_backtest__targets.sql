-- The funds selected for each rebalance, with the inputs of their weights.

with

selected as (

    select * from {{ ref('int_selection') }}
    where is_selected

),

weights as (

    select * from {{ ref('target_weights') }}

),

funds as (

    select * from {{ ref('int_funds') }}

)

select
    weights.strategy,
    weights.pool,
    selected.tranche,
    weights.trade_date,
    weights.symbol,
    weights.as_of_date,
    weights.target_weight,
    cast(weights.rank as bigint) as rank,
    weights.adv20,
    selected.raw_value,
    case when not funds.is_broad then funds.category end as sector
from weights
inner join selected
    on
        weights.strategy = selected.strategy
        and weights.pool = selected.pool
        and weights.tranche = selected.tranche
        and weights.trade_date = selected.trade_date
        and weights.symbol = selected.symbol
inner join funds
    on weights.symbol = funds.symbol
