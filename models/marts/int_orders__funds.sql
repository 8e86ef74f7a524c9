-- One row per fund with a bar and tranche of its pool's live strategy, before the
-- session to trade: last price, limits, holding, targets, open order, and whether the
-- fund has ended.

with

tranches as (

    select * from {{ ref('int_orders__tranches') }}

),

bars as (

    select * from {{ ref('int_backtest__bars') }}

),

limits as (

    select * from {{ ref('int_price_limits') }}

),

positions as (

    select * from {{ ref('int_backtest__ledger') }}
    where kind = 'tranche_position'

),

targets as (

    select * from {{ ref('int_backtest__targets') }}

),

-- An unfilled order has one row per session on which it was tried.
open_orders as (

    select * from {{ ref('rejected_orders') }}

),

last_rebalances as (

    select *
    from {{ ref('rebalances') }}
    qualify trade_date = max(trade_date) over (partition by strategy, pool, tranche)

),

last_rebalance_dates as (

    select distinct
        strategy,
        pool,
        tranche,
        trade_date
    from last_rebalances

),

calendar as (

    select * from {{ ref('trading_calendar') }}

),

last_rows as (

    select
        gaps.symbol,
        calendar.session_number
    from {{ ref('int_fund_gaps') }} as gaps
    inner join calendar
        on gaps.last_row_date = calendar.trade_date
    where gaps.next_row_date is null

),

last_bars as (

    select
        pool,
        symbol,
        max(trade_date) as last_bar_date,
        max_by(close, trade_date) as last_close
    from bars
    group by pool, symbol

),

referenced as (

    select
        tranches.strategy,
        tranches.pool,
        tranches.tranche,
        tranches.trade_date,
        tranches.as_of_date,
        calendar.session_number - last_rows.session_number as sessions_without_row,
        last_bars.symbol,
        last_bars.last_bar_date,
        last_bars.last_close,
        limits.price_limit
    from tranches
    inner join last_bars
        on tranches.pool = last_bars.pool
    inner join calendar
        on tranches.as_of_date = calendar.trade_date
    inner join last_rows
        on last_bars.symbol = last_rows.symbol
    asof left join limits
        on
            last_bars.symbol = limits.symbol
            and tranches.trade_date >= limits.valid_from

)

select
    referenced.strategy,
    referenced.pool,
    referenced.tranche,
    referenced.symbol,
    referenced.last_bar_date,
    referenced.last_close,
    referenced.sessions_without_row >= {{ var('max_no_row_sessions') }} as has_ended,
    referenced.sessions_without_row + 1 = {{ var('max_no_row_sessions') }} as ends_next,
    -- The last close, because corporate actions of the next session are unknown. With
    -- one, the exchange's limits start from the ex-rights close.
    {{ limit_price('referenced.last_close', 'referenced.price_limit', '+') }} as limit_up,
    {{ limit_price('referenced.last_close', 'referenced.price_limit', '-') }} as limit_down,
    coalesce(positions.shares, 0) as shares,
    last_targets.target_weight as last_weight,
    targets.target_weight,
    coalesce(targets.rank, last_targets.rank) as rank,
    coalesce(targets.adv20, last_targets.adv20) as adv20,
    coalesce(targets.raw_value, last_targets.raw_value) as raw_value,
    coalesce(targets.sector, last_targets.sector) as sector,
    cast(open_orders.sequence as bigint) as open_sequence,
    open_orders.side as open_side,
    open_orders.shares as open_shares,
    last_rebalances.target_weight as open_weight,
    open_orders.reason as open_reason
from referenced
left join positions
    on
        referenced.strategy = positions.strategy
        and referenced.pool = positions.pool
        and referenced.tranche = positions.tranche
        and referenced.symbol = positions.symbol
left join targets
    on
        referenced.strategy = targets.strategy
        and referenced.pool = targets.pool
        and referenced.tranche = targets.tranche
        and referenced.trade_date = targets.trade_date
        and referenced.symbol = targets.symbol
left join open_orders
    on
        referenced.strategy = open_orders.strategy
        and referenced.pool = open_orders.pool
        and referenced.tranche = open_orders.tranche
        and referenced.as_of_date = open_orders.trade_date
        and referenced.symbol = open_orders.symbol
left join last_rebalances
    on
        referenced.strategy = last_rebalances.strategy
        and referenced.pool = last_rebalances.pool
        and referenced.tranche = last_rebalances.tranche
        and referenced.symbol = last_rebalances.symbol
left join last_rebalance_dates
    on
        referenced.strategy = last_rebalance_dates.strategy
        and referenced.pool = last_rebalance_dates.pool
        and referenced.tranche = last_rebalance_dates.tranche
left join targets as last_targets
    on
        referenced.strategy = last_targets.strategy
        and referenced.pool = last_targets.pool
        and referenced.tranche = last_targets.tranche
        and last_rebalance_dates.trade_date = last_targets.trade_date
        and referenced.symbol = last_targets.symbol
order by referenced.pool, referenced.tranche, referenced.symbol
