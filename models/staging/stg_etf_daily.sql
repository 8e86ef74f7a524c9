with

bars as (

    select * from {{ ref('int_bars__adjusted') }}

)

select
    symbol,
    trade_date,
    pool,
    cast(bar_number as integer) as bar_number,

    ---------- unadjusted, CNY per share
    open,
    high,
    low,
    close,
    pre_close,

    ---------- traded
    cast(volume as bigint) as volume,
    amount,

    ---------- backward-adjusted
    adj,
    adjustment_source,
    round(open * adj, 8) as adj_open,
    round(high * adj, 8) as adj_high,
    round(low * adj, 8) as adj_low,
    round(close * adj, 8) as adj_close,
    cast(round(volume / adj) as bigint) as adj_volume
from bars
order by symbol, trade_date
