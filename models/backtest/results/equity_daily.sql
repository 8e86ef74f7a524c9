with

pool_equity as (

    select * from {{ ref('int_backtest__pool_equity') }}

),

sleeves as (

    select * from {{ ref('int_backtest__sleeves') }}

),

members as (

    select * from {{ ref('int_portfolio_members') }}

),

-- The ratio of a sleeve to its pool's equity is constant within a month. It scales the
-- pool's amounts to the sleeve's size.
scaled as (

    select
        sleeves.strategy,
        sleeves.trade_date,
        sleeves.pool,
        sleeves.previous_equity,
        sleeves.equity,
        sleeves.benchmark_return,
        sleeves.sleeve / pool_equity.equity as scale,
        pool_equity.cash,
        pool_equity.holdings_value,
        pool_equity.price_pnl,
        pool_equity.corporate_action_value,
        pool_equity.commission,
        pool_equity.slippage,
        pool_equity.traded_value
    from sleeves
    inner join members
        on
            sleeves.strategy = members.portfolio
            and sleeves.pool = members.pool
    inner join pool_equity
        on
            members.strategy = pool_equity.strategy
            and sleeves.pool = pool_equity.pool
            and sleeves.trade_date = pool_equity.trade_date

),

portfolio_equity as (

    select
        strategy,
        'PORTFOLIO' as pool,
        trade_date,
        min(previous_equity) as previous_equity,
        min(equity) as equity,
        min(benchmark_return) as benchmark_return,
        sum(scale * cash order by pool) as cash,
        sum(scale * holdings_value order by pool) as holdings_value,
        sum(scale * price_pnl order by pool) as price_pnl,
        sum(scale * corporate_action_value order by pool) as corporate_action_value,
        sum(scale * commission order by pool) as commission,
        sum(scale * slippage order by pool) as slippage,
        sum(scale * traded_value order by pool) as traded_value
    from scaled
    group by strategy, trade_date

),

equity as (

    select * from pool_equity
    union all by name
    select * from portfolio_equity

),

peaks as (

    select
        *,
        -- The initial capital is the first peak.
        max(greatest(equity, previous_equity)) over (
            partition by strategy, pool order by trade_date rows unbounded preceding
        ) as peak_equity
    from equity

)

select
    strategy,
    pool,
    trade_date,
    previous_equity,
    equity,
    cash,
    holdings_value,
    equity / previous_equity - 1 as daily_return,
    equity / peak_equity - 1 as drawdown,
    benchmark_return,
    price_pnl,
    corporate_action_value,
    commission,
    slippage,
    traded_value
from peaks
order by strategy, pool, trade_date
