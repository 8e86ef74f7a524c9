-- A view: one model reads it, and stores what comes of it.
{{ config(materialized='view') }}

-- Each bar with its cumulative adjustment factor `adj`, 1 on the fund's first bar.

with recursive

corporate_actions as (

    select * from {{ ref('corporate_actions') }}

),

bars as (

    select
        *,
        row_number() over (partition by symbol order by trade_date) as bar_number,
        lag(close) over (partition by symbol order by trade_date) as previous_close
    from {{ ref('int_raw_rows__classified') }}
    where kind is null and reason is null

),

-- The link of the chain: what a share of the previous bar has become, at unchanged value.
links as (

    select
        bars.*,
        coalesce(
            corporate_actions.share_ratio,
            case
                when abs(bars.previous_close / bars.pre_close - 1) > 1e-9
                    then bars.previous_close / bars.pre_close
            end,
            1
        ) as link
    from bars
    left join corporate_actions
        on
            bars.symbol = corporate_actions.symbol
            and bars.trade_date = corporate_actions.trade_date
            and bars.bar_number > 1

),

counted as (

    select
        *,
        -- An exact integer: it numbers the fund's events up to the bar.
        sum(cast(link <> 1 as integer)) over (
            partition by symbol order by bar_number rows unbounded preceding
        ) as event_number
    from links

),

events as materialized (

    select
        symbol,
        event_number,
        link
    from counted
    where link <> 1

),

-- Multiplied event by event: an aggregate of products would depend on the rows around.
chained as (

    select
        symbol,
        event_number,
        link as chain
    from events
    where event_number = 1
    union all
    select
        events.symbol,
        events.event_number,
        chained.chain * events.link as chain
    from chained
    inner join events
        on
            chained.symbol = events.symbol
            and chained.event_number + 1 = events.event_number

),

first_bars as (

    select
        symbol,
        adj_factor as first_adj_factor,
        adj_close / close as first_adj_ratio
    from counted
    where bar_number = 1

)

select
    counted.symbol,
    counted.trade_date,
    counted.pool,
    counted.bar_number,
    counted.open,
    counted.high,
    counted.low,
    counted.close,
    counted.pre_close,
    counted.volume,
    counted.amount,
    counted.adjustment_source,
    case counted.adjustment_source
        when 'adj_factor' then counted.adj_factor / first_bars.first_adj_factor
        when 'adj_close' then counted.adj_close / counted.close / first_bars.first_adj_ratio
        else coalesce(chained.chain, 1)
    end as adj
from counted
inner join first_bars
    on counted.symbol = first_bars.symbol
left join chained
    on
        counted.symbol = chained.symbol
        and counted.event_number = chained.event_number
