-- The tranches of each pool's live strategy before the session to trade, which follows
-- the pool's last bar.

with

live as (

    select
        *,
        unnest(range(tranches)) as tranche
    from {{ ref('int_strategies') }}
    where is_live

),

calendar as (

    select * from {{ ref('trading_calendar') }}

),

rebalances as (

    select * from {{ ref('int_selection__sessions') }}

),

begun as (

    select distinct
        strategy,
        pool,
        tranche
    from {{ ref('rebalances') }}

),

closes as (

    select * from {{ ref('tranches_daily') }}

),

last_sessions as (

    select
        pool,
        max(trade_date) as as_of_date
    from {{ ref('int_backtest__sessions') }}
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

rebalances_to_come as (

    select
        live.pool,
        live.tranche,
        min(calendar.trade_date) as next_rebalance_date
    from live
    inner join next_sessions
        on live.pool = next_sessions.pool
    inner join calendar
        on next_sessions.trade_date < calendar.trade_date
    where {{ is_rebalance_session('calendar', 'live') }}
    group by live.pool, live.tranche

)

select
    next_sessions.pool,
    live.strategy,
    live.tranche,
    next_sessions.trade_date,
    next_sessions.as_of_date,
    rebalances.trade_date is not null as is_rebalance,
    rebalances.n_eligible,
    rebalances_to_come.next_rebalance_date,
    begun.tranche is not null or (live.tranche = 0 and closes.cash is not null) as has_begun,
    coalesce(closes.cash, live.target_capital / live.tranches) as cash
from next_sessions
inner join live
    on next_sessions.pool = live.pool
left join rebalances
    on
        live.strategy = rebalances.strategy
        and live.pool = rebalances.pool
        and live.tranche = rebalances.tranche
        and next_sessions.trade_date = rebalances.trade_date
left join rebalances_to_come
    on
        live.pool = rebalances_to_come.pool
        and live.tranche = rebalances_to_come.tranche
left join begun
    on
        live.strategy = begun.strategy
        and live.pool = begun.pool
        and live.tranche = begun.tranche
left join closes
    on
        live.strategy = closes.strategy
        and live.pool = closes.pool
        and live.tranche = closes.tranche
        and next_sessions.as_of_date = closes.trade_date
order by next_sessions.pool, live.tranche
