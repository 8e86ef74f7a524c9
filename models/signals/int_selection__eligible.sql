-- A view: how many funds were eligible in each pool on each rebalance session.
{{ config(materialized='view') }}

select
    pool,
    trade_date,
    count(*) filter (where is_eligible) as n_eligible
from {{ ref('int_selection') }}
group by pool, trade_date
