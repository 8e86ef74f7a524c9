-- Promise 2: a session's change in equity is price moves plus corporate actions less
-- costs. Each part is recomputed from positions, trades and bars.

{{ after_the_gate() }}

with

calendar as (

    select * from {{ ref('trading_calendar') }}

),

pools as (

    select * from {{ ref('pool_constraints') }}

),

bars as (

    select
        symbol,
        trade_date,
        open,
        close,
        adj / lag(adj) over (partition by symbol order by trade_date) as ratio
    from {{ ref('stg_etf_daily') }}

),

equity as (

    select
        equity_daily.*,
        calendar.previous_trade_date,
        coalesce(
            lag(equity_daily.equity) over sessions, pools.target_capital
        ) as equity_before,
        lag(equity_daily.trade_date) over sessions as date_before
    from {{ ref('equity_daily') }} as equity_daily
    inner join pools
        on equity_daily.pool = pools.pool
    left join calendar
        on equity_daily.trade_date = calendar.trade_date
    window sessions as (partition by equity_daily.strategy, equity_daily.pool order by equity_daily.trade_date)

),

held as (

    select
        positions.strategy,
        positions.pool,
        calendar.next_trade_date as trade_date,
        positions.symbol,
        positions.shares,
        positions.close
    from {{ ref('positions_daily') }} as positions
    inner join calendar
        on positions.trade_date = calendar.trade_date

),

trades as (

    select
        strategy,
        pool,
        trade_date,
        symbol,
        sum(case when side = 'buy' then shares else -shares end) as shares,
        sum(case when side = 'buy' then shares else -shares end * price) as fill_value,
        sum(commission) as commission
    from {{ ref('trades') }}
    group by strategy, pool, trade_date, symbol

),

moved as (

    select
        strategy,
        pool,
        trade_date,
        symbol,
        coalesce(held.shares, 0) as shares_before,
        coalesce(held.close, 0) as close_before,
        coalesce(held.shares, 0) * (coalesce(bars.ratio, 1) - 1) as shares_added,
        coalesce(held.close, 0) / coalesce(bars.ratio, 1) as ex_close,
        coalesce(trades.shares, 0) as shares_traded,
        coalesce(trades.fill_value, 0) as fill_value,
        -- Without a bar only a payout trades, at the last close.
        coalesce(bars.open, held.close, 0) as open,
        coalesce(bars.close, held.close) as close,
        coalesce(trades.commission, 0) as commission
    from held
    full join trades
        using (strategy, pool, trade_date, symbol)
    left join bars
        using (symbol, trade_date)

),

parts as (

    select
        strategy,
        pool,
        trade_date,
        sum(
            shares_before * (close - close_before)
            + shares_added * (close - ex_close)
            + shares_traded * (close - open)
        ) as price_pnl,
        sum(shares_added * ex_close) as corporate_action_value,
        sum(commission) as commission,
        sum(fill_value - shares_traded * open) as slippage
    from moved
    group by strategy, pool, trade_date

),

compared as (

    select
        equity.strategy,
        equity.pool,
        equity.trade_date,
        equity.equity - equity.equity_before as change,
        equity.daily_return * equity.equity_before as returned,
        (equity.date_before <> equity.previous_trade_date) is true as has_gap,
        {% for part in ['price_pnl', 'corporate_action_value', 'commission', 'slippage'] %}
        equity.{{ part }},
        coalesce(parts.{{ part }}, 0) as recomputed_{{ part }}{{ ',' if not loop.last }}
        {% endfor %}
    from equity
    left join parts
        on
            equity.strategy = parts.strategy
            and equity.pool = parts.pool
            and equity.trade_date = parts.trade_date

)

select * from compared
where
    has_gap
    or not abs(change - (price_pnl + corporate_action_value - commission - slippage)) <= 0.01
    or not abs(change - returned) <= 0.01
    {% for part in ['price_pnl', 'corporate_action_value', 'commission', 'slippage'] %}
    or not abs({{ part }} - recomputed_{{ part }}) <= 0.01
    {% endfor %}
