-- A view, because only one model reads it and stores the result.
{{ config(materialized='view') }}

-- One row per bar with its cumulative adjustment factor `adj`, 1 on the fund's first
-- bar.

with recursive

corporate_actions as (

    select * from {{ ref('corporate_actions') }}

),

-- The only sort. The following steps stream over one fund after the other.
bars as (

    select
        classified.symbol,
        classified.trade_date,
        classified.pool,
        classified.open,
        classified.high,
        classified.low,
        classified.close,
        classified.pre_close,
        classified.volume,
        classified.amount,
        classified.adjustment_source,
        case classified.adjustment_source
            when 'adj_factor' then classified.adj_factor
            -- Finite, because infinity / infinity is NaN, which the bounds do not clip.
            when 'adj_close' then greatest(least(classified.adj_close / classified.close, 1e300), 1e-300)
        end as given_adj,
        corporate_actions.share_ratio
    from {{ ref('int_raw_rows__classified') }} as classified
    left join corporate_actions
        on
            classified.symbol = corporate_actions.symbol
            and classified.trade_date = corporate_actions.trade_date
    where classified.kind is null and classified.reason is null
    order by classified.symbol, classified.trade_date

),

with_previous as (

    select
        *,
        row_number() over () as row_number,
        lag(symbol) over () as symbol_above,
        lag(close) over () as close_above
    from bars

),

-- The ratio of one step: new shares per share of the previous bar, at equal value.
links as (

    select
        * exclude (share_ratio, symbol_above, close_above),
        case when coalesce(symbol <> symbol_above, true) then row_number end as first_row,
        case
            when coalesce(symbol <> symbol_above, true) then 1
            when share_ratio is not null then share_ratio
            when abs(close_above / pre_close - 1) > 1e-9 then close_above / pre_close
            else 1
        end as link
    from with_previous

),

counted as (

    select
        *,
        row_number + 1 - {{ running('max(first_row)') }} as bar_number,
        -- Counted over all funds, because an integer count is exact.
        {{ running('count(case when link <> 1 then 1 end)') }} as event_number
    from links

),

events as materialized (

    select
        symbol,
        event_number,
        link,
        row_number() over (partition by symbol order by event_number) as fund_event_number
    from counted
    where link <> 1

),

-- Multiplied event by event, because the bits of product() depend on other rows.
chained as (

    select
        symbol,
        event_number,
        fund_event_number,
        link as chain
    from events
    where fund_event_number = 1
    union all
    select
        events.symbol,
        events.event_number,
        events.fund_event_number,
        chained.chain * events.link as chain
    from chained
    inner join events
        on
            chained.symbol = events.symbol
            and chained.fund_event_number + 1 = events.fund_event_number

),

-- A list in one row, indexed by number, is faster than a join per bar.
chains as (

    select list(chain order by event_number) as by_event
    from chained

),

from_first as (

    select
        *,
        {{ running('arg_max(given_adj, first_row)') }} as first_given_adj,
        {{ running('arg_max(event_number, first_row)') }} as events_above
    from counted

)

select
    from_first.symbol,
    from_first.trade_date,
    from_first.pool,
    from_first.bar_number,
    from_first.open,
    from_first.high,
    from_first.low,
    from_first.close,
    from_first.pre_close,
    from_first.volume,
    from_first.amount,
    from_first.adjustment_source,
    -- Clipped, because prices on two bases would overflow before the gate names the
    -- fund.
    least(
        greatest(
            case
                when from_first.adjustment_source <> 'pre_close'
                    then from_first.given_adj / from_first.first_given_adj
                when from_first.event_number > from_first.events_above
                    then chains.by_event[from_first.event_number]
                else 1
            end,
            1 / {{ largest_adj() }}
        ),
        {{ largest_adj() }}
    ) as adj
from from_first
cross join chains
