select
    pool,
    trade_date,
    capital_cny,
    annual_return,
    net_annual_return,
    annual_impact_cost,
    max_order_share,
    cast(fills as integer) as fills,
    cast(fills_without_estimate as integer) as fills_without_estimate
from {{ ref('int_capacity__curve') }}
order by pool, capital_cny
