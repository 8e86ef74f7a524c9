-- What every factor starts from, in the notation of the catalogue. Sorted: the families stream.

with

bars as (

    select
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
        amount as a,
        lag(adj_close) over fund as previous_c,
        lag(adj_high) over fund as previous_h,
        lag(adj_low) over fund as previous_l
    from {{ ref('stg_etf_daily') }}
    window fund as (partition by symbol order by bar_number)

)

select
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
    -- Whole shares: the running sum is exact.
    cast(
        sum(
            case
                when bar_number = 1 or c > previous_c then adj_volume
                when c < previous_c then -adj_volume
                else 0
            end
        ) over (partition by symbol order by bar_number rows unbounded preceding)
        as double
    ) as obv
from bars
order by symbol, bar_number
