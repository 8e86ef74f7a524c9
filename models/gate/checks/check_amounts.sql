{{ config(materialized='ephemeral') }}

-- Compares the amount with volume and prices: on each bar, and as a median over 60
-- bars.

{% set window = 60 %}

with

pools as (

    select * from {{ ref('int_gate_pools') }}
    where is_pool

),

limits as (

    select
        max(fail_threshold) filter (check_name = 'unit_bars') as unit_bars,
        max(fail_threshold) filter (check_name = 'price_basis') as price_basis
    from {{ ref('gate_thresholds') }}

),

priced as (

    select
        symbol,
        pool,
        trade_date,
        bar_number,
        amount,
        volume * close as value_at_close,
        amount / volume as price_paid,
        (open + high + low + close) / 4 as mean_price
    from {{ ref('stg_etf_daily') }}

),

bars as (

    select
        *,
        -- An amount of 0 would make the inverse infinite.
        greatest(
            amount / value_at_close, 1 / greatest(amount / value_at_close, 1e-9)
        ) as unit_distance,
        -- A median is an order statistic: its bits depend on the bars of the window
        -- alone.
        case
            when bar_number >= {{ window }}
                then median(price_paid / mean_price) over (
                    partition by symbol order by bar_number
                    rows between {{ window - 1 }} preceding and current row
                )
        end as basis,
        lag(trade_date, {{ window - 1 }}) over (
            partition by symbol order by bar_number
        ) as window_first_date
    from priced

),

by_fund as (

    select
        bars.pool,
        bars.symbol,
        min(bars.trade_date) as first_date,
        max(bars.unit_distance) as unit_distance,
        count(*) filter (bars.unit_distance > limits.unit_bars) as odd_bars,
        min(bars.bar_number) filter (bars.unit_distance > limits.unit_bars) as odd_bar_number,
        max(bars.trade_date) filter (bars.unit_distance > limits.unit_bars) as odd_to,
        max(abs(bars.basis - 1)) as basis_distance,
        arg_min(bars.bar_number, row(-abs(bars.basis - 1), bars.bar_number))
        filter (bars.basis is not null) as off_bar_number,
        min(bars.window_first_date) filter (abs(bars.basis - 1) > limits.price_basis) as off_from,
        max(bars.trade_date) filter (abs(bars.basis - 1) > limits.price_basis) as off_to
    from bars
    cross join limits
    group by bars.pool, bars.symbol

),

short as (

    select
        pool,
        count(*) as n,
        min(symbol) as symbol
    from by_fund
    where basis_distance is null
    group by pool

),

funds as (

    select
        by_fund.*,
        short.n as short_funds,
        first_odd.trade_date as odd_date,
        first_odd.amount as odd_amount,
        first_odd.value_at_close as odd_value_at_close,
        most_off.basis as off_basis,
        most_off.window_first_date as off_first_date,
        most_off.trade_date as off_date,
        most_off.price_paid as off_price_paid,
        most_off.mean_price as off_mean_price
    from by_fund
    left join bars as first_odd
        on
            by_fund.symbol = first_odd.symbol
            and by_fund.odd_bar_number = first_odd.bar_number
    left join bars as most_off
        on
            by_fund.symbol = most_off.symbol
            and by_fund.off_bar_number = most_off.bar_number
    -- One row represents all funds with too few bars.
    left join short
        on by_fund.symbol = short.symbol

)

select
    pools.pool,
    'unit_bars' as check_name,
    funds.symbol,
    coalesce(funds.odd_date, funds.first_date) as trade_date,
    funds.unit_distance as value,
    case
        when funds.symbol is null then 'the pool has no bar'
        else format(
            'bars: {}, to {}; on {} amount is {:.0f} CNY and volume x close {:.0f} CNY',
            funds.odd_bars, funds.odd_to, funds.odd_date, funds.odd_amount, funds.odd_value_at_close
        )
    end as detail,
    case
        when funds.symbol is null then '该池没有日线'
        else format(
            '共 {} 根日线，至 {}；{} 成交额为 {:.0f} 元，成交量 × 收盘价为 {:.0f} 元',
            funds.odd_bars, funds.odd_to, funds.odd_date, funds.odd_amount, funds.odd_value_at_close
        )
    end as detail_zh
from pools
left join funds
    on pools.pool = funds.pool
union all
select
    pools.pool,
    'price_basis' as check_name,
    funds.symbol,
    coalesce(funds.off_from, funds.first_date) as trade_date,
    funds.basis_distance as value,
    case
        when funds.symbol is null then 'the pool has no bar'
        when funds.off_basis is null
            then format('funds with fewer than {{ window }} bars: {}, such as {}', funds.short_funds, funds.symbol)
        else format(
            'to {}; the median of amount / (volume x mean price) is {:.4f} over the {{ window }} bars from {} to {};'
            || ' on the last of them the price paid is {:.4f}, the mean of open, high, low and close {:.4f}',
            funds.off_to, funds.off_basis, funds.off_first_date, funds.off_date,
            funds.off_price_paid, funds.off_mean_price
        )
    end as detail,
    case
        when funds.symbol is null then '该池没有日线'
        when funds.off_basis is null
            then format('不足 {{ window }} 根日线的基金：{} 只，如 {}', funds.short_funds, funds.symbol)
        else format(
            '至 {}；{} 至 {} 的 {{ window }} 根日线，成交额 /（成交量 × 均价）的中位数为 {:.4f}，'
            || '其中末日的成交均价为 {:.4f}，开高低收均值为 {:.4f}',
            funds.off_to, funds.off_first_date, funds.off_date, funds.off_basis,
            funds.off_price_paid, funds.off_mean_price
        )
    end as detail_zh
from pools
left join funds
    on pools.pool = funds.pool
