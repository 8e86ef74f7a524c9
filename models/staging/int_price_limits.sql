-- A view of about fifty rows: the daily price limit of every fund and its first date.
-- Read it with an asof join.
{{ config(materialized='view') }}

with

funds as (

    select * from {{ ref('int_funds') }}

),

exceptions as (

    select * from {{ ref('price_limits') }}

),

limits as (

    select
        symbol,
        valid_from,
        price_limit
    from exceptions
    union all
    select
        symbol,
        -- Earlier than every session of the exchange.
        date '1990-01-01' as valid_from,
        {{ var('default_price_limit') }} as price_limit
    from funds

)

select
    symbol,
    valid_from,
    -- The type that limit_price() computes with.
    cast(price_limit as decimal(6, 4)) as price_limit
from limits
