-- A view: the values are stored once, by family; no reader pays for a column that it does not read.
{{ config(materialized='view') }}

select
    symbol,
    trade_date,
    as_of_date,
    pool,
    {{ catalogue_order(ref('int_factors__lagged'), ref('factor_catalog')) | join(',\n    ') }}
from {{ ref('int_factors__lagged') }}
