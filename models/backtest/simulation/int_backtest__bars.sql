-- Inputs of fills: unadjusted prices, the adjustment factor, the limit prices. Input of
-- benchmarks: the adjusted return since the fund's previous bar.

with

bars as (

    select
        *,
        lag(close) over fund as previous_close,
        lag(adj) over fund as previous_adj,
        lag(adj_close) over fund as previous_adj_close
    from {{ ref('stg_etf_daily') }}
    window fund as (partition by symbol order by bar_number)

),

pools as (

    select * from {{ ref('pool_constraints') }}

),

limits as (

    select * from {{ ref('int_price_limits') }}

),

referenced as (

    select
        bars.pool,
        bars.trade_date,
        bars.symbol,
        bars.open,
        bars.close,
        bars.adj,
        bars.adj_close / bars.previous_adj_close - 1 as adj_return,
        -- Without the vendor's ex-rights close, subtract the distribution here.
        coalesce(bars.pre_close, bars.previous_close / (bars.adj / bars.previous_adj)) as reference_close,
        limits.price_limit
    from bars
    inner join pools
        on bars.pool = pools.pool
    asof left join limits
        on
            bars.symbol = limits.symbol
            and bars.trade_date >= limits.valid_from

)

select
    pool,
    trade_date,
    symbol,
    open,
    close,
    adj,
    adj_return,
    {{ limit_price('reference_close', 'price_limit', '+') }} as limit_up,
    {{ limit_price('reference_close', 'price_limit', '-') }} as limit_down
from referenced
order by pool, trade_date, symbol
