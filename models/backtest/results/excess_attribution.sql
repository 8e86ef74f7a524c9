-- The sources of a session's return beyond the benchmark. A holding counts at the
-- previous close; the part bought today counts at the open, after the session's fills.

with

equity as (

    select * from {{ ref('int_backtest__pool_equity') }}

),

positions as (

    select * from {{ ref('positions_daily') }}

),

bought as (

    select
        strategy,
        pool,
        trade_date,
        symbol,
        sum(shares order by sequence) as shares
    from {{ ref('trades') }}
    where side = 'buy'
    group by strategy, pool, trade_date, symbol

),

bars as (

    select
        *,
        lag(close) over fund as previous_close,
        adj / lag(adj) over fund as ratio
    from {{ ref('int_backtest__bars') }}
    window fund as (partition by symbol order by trade_date)

),

held as (

    select
        positions.strategy,
        positions.pool,
        positions.trade_date,
        positions.symbol,
        positions.market_value,
        case
            -- A suspended fund keeps its value.
            when bars.symbol is null then positions.market_value
            else
                coalesce((positions.shares - coalesce(bought.shares, 0)) / bars.ratio * bars.previous_close, 0)
                + coalesce(bought.shares, 0) * bars.open
        end as base_value
    from positions
    left join bars
        on
            positions.symbol = bars.symbol
            and positions.trade_date = bars.trade_date
    left join bought
        on
            positions.strategy = bought.strategy
            and positions.pool = bought.pool
            and positions.trade_date = bought.trade_date
            and positions.symbol = bought.symbol

),

by_session as (

    select
        strategy,
        pool,
        trade_date,
        sum(base_value order by symbol) as base_value,
        sum(market_value / base_value - 1 order by symbol) / count(*) as mean_return
    from held
    group by strategy, pool, trade_date

),

measured as (

    select
        equity.strategy,
        equity.pool,
        equity.trade_date,
        equity.benchmark_return,
        equity.equity / equity.previous_equity - 1 - equity.benchmark_return as excess_return,
        coalesce(by_session.base_value, 0) / equity.previous_equity as invested,
        by_session.mean_return,
        -(equity.commission + equity.slippage) / equity.previous_equity as costs
    from equity
    left join by_session
        on
            equity.strategy = by_session.strategy
            and equity.pool = by_session.pool
            and equity.trade_date = by_session.trade_date

),

split as (

    select
        *,
        -(1 - invested) * benchmark_return as cash,
        invested * coalesce(mean_return - benchmark_return, 0) as selection
    from measured

)

select
    strategy,
    pool,
    trade_date,
    excess_return,
    invested,
    cash,
    costs,
    selection,
    excess_return - cash - costs - selection as weighting
from split
order by strategy, pool, trade_date
