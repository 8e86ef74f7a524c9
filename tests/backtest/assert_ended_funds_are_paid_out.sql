-- A held fund without a row for max_no_row_sessions sessions is paid out on that
-- session: in full, at its last close, without costs. There is no other payout. This
-- test counts the rows itself, independently of int_backtest__endings.

{{ after_the_gate() }}

with

calendar as (

    select * from {{ ref('trading_calendar') }}

),

fund_rows as (

    select
        symbol,
        trade_date
    from {{ ref('stg_etf_daily') }}
    union all
    select
        symbol,
        trade_date
    from {{ ref('suspensions') }}
    where kind <> 'no_row'
    union all
    select
        symbol,
        trade_date
    from {{ ref('quarantine') }}

),

numbered_rows as (

    select
        fund_rows.symbol,
        calendar.trade_date,
        calendar.session_number
    from fund_rows
    inner join calendar
        on fund_rows.trade_date = calendar.trade_date

),

last_sessions as (

    select
        strategy,
        pool,
        max(trade_date) as trade_date
    from {{ ref('equity_daily') }}
    group by strategy, pool

),

-- Holdings before each session, the number of sessions without a row at its close, and
-- the price of a payout.
held as (

    select
        positions.strategy,
        positions.pool,
        calendar.trade_date,
        positions.symbol,
        positions.shares,
        positions.close,
        calendar.session_number - numbered_rows.session_number as sessions_without_row
    from {{ ref('positions_daily') }} as positions
    inner join last_sessions
        on
            positions.strategy = last_sessions.strategy
            and positions.pool = last_sessions.pool
            and positions.trade_date < last_sessions.trade_date
    inner join calendar
        on positions.trade_date = calendar.previous_trade_date
    asof left join numbered_rows
        on
            positions.symbol = numbered_rows.symbol
            and calendar.trade_date >= numbered_rows.trade_date

),

due as (

    select * from held
    where not coalesce(sessions_without_row < {{ var('max_no_row_sessions') }}, false)

),

-- The tranches of a strategy are paid out together.
payouts as (

    select
        strategy,
        pool,
        trade_date,
        symbol,
        min(side) as side,
        sum(shares order by tranche) as shares,
        min(price) as price,
        max(price) as highest_price,
        sum(value order by tranche) as value,
        sum(commission) as commission,
        sum(slippage) as slippage
    from {{ ref('trades') }}
    where reason = 'ended'
    group by strategy, pool, trade_date, symbol

)

select
    strategy,
    pool,
    trade_date,
    symbol,
    due.shares as shares_due,
    due.close as price_due,
    payouts.shares,
    payouts.price
from due
full join payouts
    using (strategy, pool, trade_date, symbol)
where
    due.shares is null
    or payouts.shares is null
    or due.sessions_without_row <> {{ var('max_no_row_sessions') }}
    or payouts.side <> 'sell'
    or not abs(payouts.shares - due.shares) <= 1e-6
    or payouts.price <> due.close
    or payouts.highest_price <> due.close
    or payouts.commission <> 0
    or payouts.slippage <> 0
    or not abs(payouts.value - payouts.shares * payouts.price) <= 0.01
