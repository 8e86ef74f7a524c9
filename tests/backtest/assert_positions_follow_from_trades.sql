-- Shares at a close are the previous shares times the corporate action, plus trades.

{{ after_the_gate() }}

with

calendar as (

    select * from {{ ref('trading_calendar') }}

),

bars as (

    select
        symbol,
        trade_date,
        adj / lag(adj) over (partition by symbol order by trade_date) as ratio
    from {{ ref('stg_etf_daily') }}

),

positions as (

    select * from {{ ref('positions_daily') }}

),

last_sessions as (

    select
        strategy,
        pool,
        max(trade_date) as trade_date
    from {{ ref('equity_daily') }}
    group by strategy, pool

),

held as (

    select
        positions.strategy,
        positions.pool,
        calendar.next_trade_date as trade_date,
        positions.symbol,
        positions.shares
    from positions
    inner join calendar
        on positions.trade_date = calendar.trade_date
    inner join last_sessions
        on
            positions.strategy = last_sessions.strategy
            and positions.pool = last_sessions.pool
            and calendar.next_trade_date <= last_sessions.trade_date

),

trades as (

    select
        strategy,
        pool,
        trade_date,
        symbol,
        sum(case when side = 'buy' then shares else -shares end) as shares
    from {{ ref('trades') }}
    group by strategy, pool, trade_date, symbol

),

compared as (

    select
        strategy,
        pool,
        trade_date,
        symbol,
        coalesce(positions.shares, 0) as shares,
        coalesce(held.shares * coalesce(bars.ratio, 1), 0)
        + coalesce(trades.shares, 0) as expected_shares
    from positions
    full join held
        using (strategy, pool, trade_date, symbol)
    full join trades
        using (strategy, pool, trade_date, symbol)
    left join bars
        using (symbol, trade_date)

)

select * from compared
where not abs(shares - expected_shares) <= 1e-6
