{{ config(materialized='ephemeral') }}

-- Rows in quarantine and missing rows.

with

pools as (

    select * from {{ ref('int_gate_pools') }}
    where is_pool

),

calendar as (

    select * from {{ ref('int_sessions__past') }}

),

quarantined as (

    select * from {{ ref('quarantine') }}
    -- Exact duplicates do not count, because one copy is used.
    where reason <> 'exact_duplicate'

),

-- Every raw row of a fund, even in quarantine.
fund_rows as (

    select
        symbol,
        trade_date,
        pool
    from {{ ref('stg_etf_daily') }}
    union all
    select
        symbol,
        trade_date,
        pool
    from {{ ref('suspensions') }}
    where kind <> 'no_row'
    union all
    select
        symbol,
        trade_date,
        pool
    from quarantined
    semi join {{ ref('int_funds') }} using (symbol)

),

row_counts as (

    select
        pools.pool,
        count(*) as n
    from pools
    inner join (
        select pool from fund_rows
        -- Rows with an invalid symbol count for their pool in the quarantine.
        union all
        select pool from quarantined
        anti join {{ ref('int_funds') }} using (symbol)
    ) as counted
        on pools.pool = counted.pool
    group by pools.pool

),

sessions_with_rows as (

    select distinct
        fund_rows.pool,
        fund_rows.trade_date
    from fund_rows
    inner join calendar
        on fund_rows.trade_date = calendar.trade_date

),

-- Sessions before the first trade do not count: a fund may lack rows then.
first_bars as (

    select
        symbol,
        pool,
        min(trade_date) as first_date
    from {{ ref('stg_etf_daily') }}
    group by symbol, pool

),

spans as (

    select
        sessions_with_rows.pool,
        min(first_bars.first_date) as first_date,
        max(sessions_with_rows.trade_date) as last_date
    from sessions_with_rows
    inner join first_bars
        on sessions_with_rows.pool = first_bars.pool
    group by sessions_with_rows.pool

),

missed as (

    select
        spans.pool,
        calendar.trade_date
    from spans
    inner join calendar
        on
            calendar.trade_date > spans.first_date
            -- The last session of any pool, because a whole pool can be late.
            and calendar.trade_date <= (select max(last_date) from spans)
    anti join sessions_with_rows
        on
            spans.pool = sessions_with_rows.pool
            and calendar.trade_date = sessions_with_rows.trade_date

),

fund_ends as (

    select
        symbol,
        max(trade_date) as last_date
    from fund_rows
    inner join calendar
        using (trade_date)
    group by symbol

),

gaps as (

    select
        suspensions.symbol,
        suspensions.pool,
        suspensions.trade_date,
        suspensions.trade_date > first_bars.first_date
        and suspensions.trade_date < fund_ends.last_date as is_inside,
        -- A fund that ends on the last session is not late; the check fund_ended names
        -- it.
        suspensions.trade_date = spans.last_date and endings.symbol is null as is_last_session
    from {{ ref('suspensions') }} as suspensions
    inner join fund_ends
        on suspensions.symbol = fund_ends.symbol
    left join first_bars
        on suspensions.symbol = first_bars.symbol
    inner join spans
        on suspensions.pool = spans.pool
    left join {{ ref('int_fund_gaps') }} as endings
        on
            suspensions.symbol = endings.symbol
            and suspensions.trade_date = endings.ended_date
    where suspensions.kind = 'no_row'

),

-- Funds that have not ended, with or without a row on the pool's last session.
alive as (

    select
        pool,
        count(distinct symbol) as n
    from (
        select
            fund_rows.pool,
            fund_rows.symbol
        from fund_rows
        inner join spans
            on
                fund_rows.pool = spans.pool
                and fund_rows.trade_date = spans.last_date
        union all
        select
            pool,
            symbol
        from gaps
        where is_last_session
    )
    group by pool

)

select
    pools.pool,
    'quarantine_share' as check_name,
    quarantined.source_file,
    quarantined.symbol,
    quarantined.trade_date,
    case when quarantined.reason is null then 0 else 1 / row_counts.n end as value,
    format(
        'row {}: {} ({})',
        quarantined.source_row, quarantined.reason, coalesce(quarantined.raw_trade_date, 'no date')
    ) as detail,
    format(
        '第 {} 行：{}（{}）',
        quarantined.source_row, quarantined.reason, coalesce(quarantined.raw_trade_date, '无日期')
    ) as detail_zh
from pools
left join row_counts
    on pools.pool = row_counts.pool
left join quarantined
    on pools.pool = quarantined.pool
union all by name
select
    pools.pool,
    'missing_session' as check_name,
    missed.trade_date,
    case when spans.pool is not null then (missed.trade_date is not null)::integer end as value,
    case
        when spans.pool is null then 'the pool has no bar'
        else 'no fund of the pool has a row'
    end as detail,
    case
        when spans.pool is null then '该池没有日线'
        else '全池无数据行'
    end as detail_zh
from pools
left join spans
    on pools.pool = spans.pool
left join missed
    on pools.pool = missed.pool
union all by name
select
    pools.pool,
    'no_row' as check_name,
    gaps.symbol,
    gaps.trade_date,
    (gaps.symbol is not null)::integer as value,
    'no row' as detail,
    '无数据行' as detail_zh
from pools
left join gaps
    on
        pools.pool = gaps.pool
        and gaps.is_inside
union all by name
select
    pools.pool,
    'no_row_last_session' as check_name,
    gaps.symbol,
    gaps.trade_date,
    case when gaps.symbol is null then 0 else 1 / alive.n end as value,
    'no row on the last session' as detail,
    '最后交易日无数据行' as detail_zh,
    -- One fund of a small pool is above the threshold by itself, and is suspended now
    -- and then.
    case when count(gaps.symbol) over (partition by pools.pool) = 1 then 'warn' end as max_status
from pools
left join alive
    on pools.pool = alive.pool
left join gaps
    on
        pools.pool = gaps.pool
        and gaps.is_last_session
