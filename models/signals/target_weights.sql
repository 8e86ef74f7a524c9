with

selected as (

    select * from {{ ref('int_selection') }}
    where is_selected

),

logged as (

    select * from {{ ref('selection_log') }}

),

funds as (

    select * from {{ ref('int_funds') }}

)

select
    selected.strategy,
    selected.pool,
    selected.trade_date,
    logged.tranche,
    logged.as_of_date,
    selected.symbol,
    selected.target_weight,
    selected.raw_weight,
    funds.category,
    logged.score,
    logged.rank,
    logged.adv20
from selected
inner join logged
    on
        selected.strategy = logged.strategy
        and selected.pool = logged.pool
        and selected.trade_date = logged.trade_date
        and selected.tranche = logged.tranche
        and selected.symbol = logged.symbol
inner join funds
    on selected.symbol = funds.symbol
order by selected.strategy, selected.pool, selected.trade_date, logged.tranche, logged.rank
