-- The sessions at whose open a tranche is rebalanced, up to the one after the pool's
-- last bar.

with

calendar as (

    select * from {{ ref('trading_calendar') }}

),

strategies as (

    select
        *,
        unnest(range(tranches)) as tranche
    from {{ ref('int_strategies') }}

),

spans as (

    select
        pool,
        min(trade_date) as first_trade_date,
        max(trade_date) as last_trade_date
    from {{ ref('int_bars__lagged') }}
    group by pool

)

select
    strategies.strategy,
    strategies.pool,
    cast(strategies.tranche as bigint) as tranche,
    calendar.trade_date,
    calendar.previous_trade_date as as_of_date
from strategies
inner join spans
    on strategies.pool = spans.pool
inner join calendar
    on calendar.trade_date between spans.first_trade_date and spans.last_trade_date
where {{ is_rebalance_session('calendar', 'strategies') }}
order by strategies.strategy, strategies.pool, tranche, calendar.trade_date
