{{ config(materialized='ephemeral') }}

with

actions as (

    select * from {{ ref('corporate_actions') }}

),

bars as (

    select
        symbol,
        trade_date,
        adjustment_source,
        ratio,
        is_in_seed
    from {{ ref('int_gate_bars') }}

),

spans as (

    select
        symbol,
        min(trade_date) as first_date
    from bars
    group by symbol

),

known as (

    select symbol from {{ ref('etf_pools') }}

),

unused_actions as (

    select
        actions.symbol,
        actions.trade_date,
        case
            when spans.symbol is null then 'a fund that is in no pool'
            when bars.symbol is not null then format('the fund is adjusted by its {}, {:.4f}', bars.adjustment_source, bars.ratio)
            else 'the fund has no bar on that session'
        end as detail,
        case
            when spans.symbol is null then '该基金不在任何池中'
            when bars.symbol is not null then format('该基金按 {} 复权，比例 {:.4f}', bars.adjustment_source, bars.ratio)
            else '该基金当日没有日线'
        end as detail_zh
    from actions
    left join spans
        on actions.symbol = spans.symbol
    left join bars
        on
            actions.symbol = bars.symbol
            and actions.trade_date = bars.trade_date
    left join known
        on actions.symbol = known.symbol
    where
        not bars.is_in_seed
        or (
            bars.symbol is null
            and case
                when spans.symbol is null then known.symbol is null
                else
                    actions.trade_date >= spans.first_date
                    and actions.trade_date <= (select max(trade_date) from bars)
            end
        )

)

select
    'BUILD' as pool,
    'corporate_action_without_bar' as check_name,
    'corporate_actions.csv' as source_file,
    unused_actions.symbol,
    unused_actions.trade_date,
    (unused_actions.symbol is not null)::integer as value,
    unused_actions.detail,
    unused_actions.detail_zh
from (select 1) as build
left join unused_actions
    on true
