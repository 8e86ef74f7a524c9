-- Strategies of a pool begin on different sessions. They are compared from the first
-- session that all of them have.

with

equity as (

    select * from {{ ref('equity_daily') }}

),

spans as (

    select
        strategy,
        pool,
        min(trade_date) as first_date,
        max(trade_date) as last_date
    from equity
    group by strategy, pool

),

common as (

    select
        pool,
        max(first_date) as first_date,
        min(last_date) as last_date
    from spans
    group by pool

),

levels as (

    select
        equity.*,
        first_value(equity.previous_equity) over sessions as start_equity
    from equity
    inner join common
        on
            equity.pool = common.pool
            and equity.trade_date between common.first_date and common.last_date
    window sessions as (partition by equity.strategy, equity.pool order by equity.trade_date)

)

select
    strategy,
    pool,
    trade_date,
    daily_return,
    equity,
    equity / start_equity as growth,
    equity / max(greatest(equity, previous_equity)) over (
        partition by strategy, pool order by trade_date rows unbounded preceding
    ) - 1 as drawdown,
    traded_value,
    commission + slippage as costs
from levels
order by strategy, pool, trade_date
