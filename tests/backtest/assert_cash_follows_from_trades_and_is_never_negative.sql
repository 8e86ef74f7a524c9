{{ after_the_gate() }}

with

pools as (

    select * from {{ ref('pool_constraints') }}

),

equity as (

    select
        equity_daily.strategy,
        equity_daily.pool,
        equity_daily.trade_date,
        equity_daily.cash,
        coalesce(
            lag(equity_daily.cash) over (
                partition by equity_daily.strategy, equity_daily.pool order by equity_daily.trade_date
            ),
            pools.target_capital
        ) as cash_before
    from {{ ref('equity_daily') }} as equity_daily
    inner join pools
        on equity_daily.pool = pools.pool

),

traded as (

    select
        strategy,
        pool,
        trade_date,
        sum(case when side = 'buy' then -value else value end - commission) as cash_flow
    from {{ ref('trades') }}
    group by strategy, pool, trade_date

)

select
    strategy,
    pool,
    trade_date,
    equity.cash,
    equity.cash_before,
    traded.cash_flow
from equity
full join traded
    using (strategy, pool, trade_date)
where
    equity.cash is null
    or equity.cash < 0
    or not abs(equity.cash - equity.cash_before - coalesce(traded.cash_flow, 0)) <= 0.01
