{{ config(materialized='ephemeral') }}

-- Funds without any row for max_no_row_sessions sessions up to the last session of the
-- data.

with

pools as (

    select * from {{ ref('int_gate_pools') }}
    where is_pool

),

calendar as (

    select * from {{ ref('trading_calendar') }}

),

last_rows as (

    select
        gaps.pool,
        gaps.symbol,
        gaps.last_row_date,
        -- The last session of any pool, because a whole pool can end.
        max(calendar.session_number) over () - calendar.session_number as sessions
    from {{ ref('int_fund_gaps') }} as gaps
    inner join calendar
        on gaps.last_row_date = calendar.trade_date
    where gaps.next_row_date is null

),

payouts as (

    select distinct
        symbol,
        trade_date,
        price
    from {{ ref('trades') }}
    where reason = 'ended'

),

ended as (

    select
        last_rows.*,
        payouts.trade_date as paid_out_on,
        payouts.price
    from last_rows
    left join payouts
        on
            last_rows.symbol = payouts.symbol
            and last_rows.last_row_date < payouts.trade_date
    where last_rows.sessions >= {{ var('max_no_row_sessions') }}

)

select
    pools.pool,
    'fund_ended' as check_name,
    ended.symbol,
    ended.last_row_date as trade_date,
    (ended.symbol is not null)::integer as value,
    format('is the last row, {} sessions before the last of the data, ', ended.sessions)
    || coalesce(
        format('paid out at {:.3f} on {}', ended.price, ended.paid_out_on), 'not held'
    ) as detail,
    format('为最后一行数据，其后 {} 个交易日没有数据，', ended.sessions)
    || coalesce(
        format('已于 {1} 按 {0:.3f} 元兑付', ended.price, ended.paid_out_on), '未持有'
    ) as detail_zh
from pools
left join ended
    on pools.pool = ended.pool
