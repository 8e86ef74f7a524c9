{{ config(materialized='ephemeral') }}

-- One row per bar with the fund's previous bar and the price limit of the session.

with

bars as (

    select
        *,
        lag(trade_date) over fund as previous_trade_date,
        lag(close) over fund as previous_close,
        adj / lag(adj) over fund as ratio
    from {{ ref('stg_etf_daily') }}
    window fund as (partition by symbol order by bar_number)

),

calendar as (

    select * from {{ ref('trading_calendar') }}

),

limits as (

    select * from {{ ref('int_price_limits') }}

),

actions as (

    select * from {{ ref('corporate_actions') }}

)

select
    bars.symbol,
    bars.pool,
    bars.trade_date,
    bars.bar_number,
    bars.previous_trade_date,
    bars.previous_trade_date = calendar.previous_trade_date as follows_its_session,
    bars.close,
    bars.pre_close,
    bars.ratio,
    bars.adjustment_source,
    -- The seed overrides single ratios of pre_close. With another source it can only
    -- agree.
    actions.symbol is not null and (
        bars.adjustment_source = 'pre_close'
        or coalesce(abs(bars.ratio / actions.share_ratio - 1) <= 0.01, false)
    ) as is_in_seed,
    bars.previous_close / bars.ratio as reference_close,
    cast(limits.price_limit as double) as price_limit
from bars
inner join calendar
    on bars.trade_date = calendar.trade_date
left join actions
    on
        bars.symbol = actions.symbol
        and bars.trade_date = actions.trade_date
asof left join limits
    on
        bars.symbol = limits.symbol
        and bars.trade_date >= limits.valid_from
