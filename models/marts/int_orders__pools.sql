-- Each pool before the session to trade, the one after its last bar.

with

sessions as (

    select * from {{ ref('int_backtest__sessions') }}

),

calendar as (

    select * from {{ ref('trading_calendar') }}

),

rebalances as (

    select * from {{ ref('int_rebalance_sessions') }}

),

equity as (

    select * from {{ ref('equity_daily') }}

),

last_sessions as (

    select
        pool,
        max(trade_date) as as_of_date
    from sessions
    group by pool

),

next_sessions as (

    select
        last_sessions.pool,
        calendar.next_trade_date as trade_date,
        last_sessions.as_of_date
    from last_sessions
    inner join calendar
        on last_sessions.as_of_date = calendar.trade_date

),

eligible as (

    select * from {{ ref('int_selection__eligible') }}

),

rebalances_to_come as (

    select
        next_sessions.pool,
        min(calendar.trade_date) as next_rebalance_date
    from next_sessions
    inner join calendar
        on next_sessions.trade_date < calendar.trade_date
    where {{ is_rebalance_session('calendar') }}
    group by next_sessions.pool

)

select
    next_sessions.pool,
    next_sessions.trade_date,
    next_sessions.as_of_date,
    rebalances.trade_date is not null as is_rebalance,
    eligible.n_eligible,
    rebalances_to_come.next_rebalance_date,
    equity.cash
from next_sessions
left join rebalances
    on
        next_sessions.pool = rebalances.pool
        and next_sessions.trade_date = rebalances.trade_date
left join eligible
    on
        next_sessions.pool = eligible.pool
        and next_sessions.trade_date = eligible.trade_date
left join rebalances_to_come
    on next_sessions.pool = rebalances_to_come.pool
left join equity
    on
        next_sessions.pool = equity.pool
        and next_sessions.as_of_date = equity.trade_date
order by next_sessions.pool
