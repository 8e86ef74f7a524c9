{{ config(materialized='ephemeral') }}

{% set window = 250 %}

with

pools as (

    select * from {{ ref('int_gate_pools') }}
    where is_pool

),

actions as (

    select * from {{ ref('corporate_actions') }}

),

bars as (

    select
        bars.symbol,
        bars.pool,
        bars.trade_date,
        bars.bar_number,
        bars.pre_close,
        bars.adjustment_source,
        bars.adj,
        actions.symbol is not null as is_in_seed,
        lag(bars.close) over fund as previous_close,
        bars.adj / lag(bars.adj) over fund as ratio
    from {{ ref('stg_etf_daily') }} as bars
    left join actions
        on
            bars.symbol = actions.symbol
            and bars.trade_date = actions.trade_date
    window fund as (partition by bars.symbol order by bars.bar_number)

),

adjusted as (

    select
        *,
        coalesce(
            case
                -- Not the ratio of adj, which is 1 while adj is clipped.
                when adjustment_source = 'pre_close' and not is_in_seed
                    then abs(previous_close / pre_close - 1) > 1e-9
                -- An adj_close has few decimals, so most of its ratios differ a little from 1.
                when adjustment_source = 'adj_close' then abs(ratio - 1) > 1e-3
                else abs(ratio - 1) > 1e-9
            end,
            false
        ) as is_adjusted,
        adj >= {{ largest_adj() }} or adj <= 1 / {{ largest_adj() }} as is_held
    from bars

),

counted as (

    select
        *,
        sum(is_adjusted::integer) over (
            partition by symbol order by bar_number
            rows between {{ window - 1 }} preceding and current row
        ) as adjustments
    from adjusted

),

by_fund as (

    select
        pool,
        symbol,
        count(*) as bar_count,
        count(*) filter (is_adjusted) as all_adjustments,
        min(trade_date) filter (is_held) as held_from,
        max(adjustments) as adjustments,
        -- The earliest of the windows with the most adjustments.
        arg_min(bar_number, row(-adjustments, bar_number)) as last_bar_number
    from counted
    group by pool, symbol

),

windows as (

    select
        counted.symbol,
        max(counted.trade_date) as last_date,
        min(counted.bar_number) filter (counted.is_adjusted) as bar_number
    from counted
    inner join by_fund
        on
            counted.symbol = by_fund.symbol
            and counted.bar_number <= by_fund.last_bar_number
            and counted.bar_number > by_fund.last_bar_number - {{ window }}
    group by counted.symbol

),

funds as (

    select
        by_fund.*,
        windows.last_date,
        counted.trade_date as first_date,
        counted.adjustment_source,
        counted.previous_close,
        counted.pre_close,
        counted.ratio
    from by_fund
    inner join windows
        on by_fund.symbol = windows.symbol
    left join counted
        on
            windows.symbol = counted.symbol
            and windows.bar_number = counted.bar_number

)

select
    pools.pool,
    'adjustment_count' as check_name,
    funds.symbol,
    coalesce(funds.first_date, funds.held_from, funds.last_date) as trade_date,
    -- An adj out of bounds fails too: count every bar of the window as adjusted.
    case when funds.held_from is null then funds.adjustments else {{ window }} end as value,
    case
        when funds.symbol is null then 'the pool has no bar'
        else concat_ws(
            '; ',
            format(
                'adjustments: {} in the {{ window }} bars to {}, {} in all {} bars',
                funds.adjustments, funds.last_date, funds.all_adjustments, funds.bar_count
            ),
            case
                when funds.adjustment_source = 'pre_close'
                    then format(
                        'on {} the previous close is {:.8g} and pre_close {:.8g}',
                        funds.first_date, funds.previous_close, funds.pre_close
                    )
                else format(
                    'on {} the ratio from {} is {:.6g}',
                    funds.first_date, funds.adjustment_source, funds.ratio
                )
            end,
            'adj is out of 1e-4 to 1e4 from ' || funds.held_from
        )
    end as detail,
    case
        when funds.symbol is null then '该池没有日线'
        else concat_ws(
            '；',
            format(
                '截至 {1} 的 {{ window }} 根日线内有 {0} 次复权调整，全部 {3} 根日线共 {2} 次',
                funds.adjustments, funds.last_date, funds.all_adjustments, funds.bar_count
            ),
            case
                when funds.adjustment_source = 'pre_close'
                    then format(
                        '{} 的前一收盘价为 {:.8g}，pre_close 为 {:.8g}',
                        funds.first_date, funds.previous_close, funds.pre_close
                    )
                else format(
                    '{} 由 {} 得出的比值为 {:.6g}',
                    funds.first_date, funds.adjustment_source, funds.ratio
                )
            end,
            '自 ' || funds.held_from || ' 起 adj 超出 1e-4 至 1e4'
        )
    end as detail_zh
from pools
left join funds
    on pools.pool = funds.pool
