with

weights as (

    select * from {{ ref('int_capacity__weights') }}

),

-- The largest capital at which this fund stays within its limit; unknown without an
-- ADV20.
holdings as (

    select
        *,
        max_adv_pct * adv20 / weight as fund_capacity_cny
    from weights
    where kind = 'informative'

),

-- An unknown capacity ranks first: it binds.
ranked as (

    select
        *,
        row_number() over pool_by_capacity as capacity_rank,
        count(*) over (partition by pool) as holdings
    from holdings
    window pool_by_capacity as (partition by pool order by fund_capacity_cny nulls first, symbol)

)

select
    pool,
    trade_date,
    fund_capacity_cny as capacity_cny,
    symbol as binding_symbol,
    weight as binding_weight,
    adv20 as binding_adv20,
    max_adv_pct,
    cast(holdings as integer) as holdings,
    equity,
    target_capital
from ranked
where capacity_rank = 1
order by pool
