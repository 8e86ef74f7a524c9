-- Promise 2: shares are valued at the close, or at the last close without a bar.

{{ after_the_gate() }}

with

bars as (

    select * from {{ ref('stg_etf_daily') }}

),

pools as (

    select * from {{ ref('pool_constraints') }}

),

positions as (

    select * from {{ ref('positions_daily') }}

),

equity as (

    select equity_daily.*
    from {{ ref('equity_daily') }} as equity_daily
    inner join pools
        on equity_daily.pool = pools.pool

),

valued as (

    select
        positions.strategy,
        positions.pool,
        positions.trade_date,
        sum(positions.shares * bars.close) as market_value
    from positions
    asof left join bars
        on
            positions.symbol = bars.symbol
            and positions.trade_date >= bars.trade_date
    group by positions.strategy, positions.pool, positions.trade_date
    -- A session with a position without any bar must not pass: its value is unknown.
    having count(bars.close) = count(*)

),

held as (

    select distinct
        strategy,
        pool,
        trade_date
    from positions

)

select
    strategy,
    pool,
    trade_date,
    equity.equity,
    equity.cash,
    equity.holdings_value,
    valued.market_value
from equity
full join held
    using (strategy, pool, trade_date)
left join valued
    using (strategy, pool, trade_date)
where
    equity.equity is null
    or (held.pool is not null and valued.market_value is null)
    or not abs(equity.equity - equity.cash - coalesce(valued.market_value, 0)) <= 0.01
    or not abs(equity.holdings_value - coalesce(valued.market_value, 0)) <= 0.01
