-- A view, because computing it for each family costs less than storing it.
{{ config(materialized='view') }}

-- The input of every factor in the catalog's notation. The families stream, so the rows
-- must be ordered by fund and session. stg_etf_daily is stored in this order, and a
-- test checks it.

with

bars as (

    select
        row_number() over () as bar_id,
        symbol,
        trade_date,
        pool,
        bar_number,
        adj_open as o,
        adj_high as h,
        adj_low as l,
        adj_close as c,
        cast(adj_volume as double) as v,
        adj_volume,
        amount as a
    from {{ ref('stg_etf_daily') }}

),

with_previous as (

    select
        *,
        {{ lag_bars('c', 1) }} as previous_c,
        {{ lag_bars('h', 1) }} as previous_h,
        {{ lag_bars('l', 1) }} as previous_l
    from bars

),

with_signed_volume as (

    select
        *,
        -- Whole shares, because their running sum is exact even across funds.
        case
            when bar_number = 1 or c > previous_c then adj_volume
            when c < previous_c then -adj_volume
            else 0
        end as signed_volume,
        case when bar_number = 1 then row_number() over () end as first_row
    from with_previous

),

summed as (

    select
        *,
        {{ running('sum(signed_volume)') }} as running_volume
    from with_signed_volume

)

select
    bar_id,
    symbol,
    trade_date,
    pool,
    bar_number,
    o,
    h,
    l,
    c,
    v,
    a,
    previous_c,
    previous_h,
    previous_l,
    c / previous_c - 1 as r,
    case when bar_number > 1 then greatest(h - l, abs(h - previous_c), abs(l - previous_c)) end as tr,
    cast(
        running_volume
        - {{ running('arg_max(running_volume - signed_volume, first_row)') }}
        as double
    ) as obv
from summed
