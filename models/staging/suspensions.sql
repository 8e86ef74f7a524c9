with

classified as (

    select * from {{ ref('int_raw_rows__classified') }}

),

-- A row that is dated later is in the quarantine, and says nothing of sessions to come.
calendar as (

    select * from {{ ref('trading_calendar') }}
    where trade_date <= (select today from {{ ref('run_settings') }})

),

funds as (

    select * from {{ ref('int_funds') }}

),

without_trade as (

    select
        symbol,
        trade_date,
        pool,
        kind
    from classified
    where kind is not null and reason is null

),

-- A row in the quarantine is a row: the vendor had something for that session.
fund_rows as (

    select distinct
        classified.symbol,
        classified.pool,
        calendar.session_number
    from classified
    inner join calendar
        on classified.trade_date = calendar.trade_date
    inner join funds
        on classified.symbol = funds.symbol

),

pool_ends as (

    select
        pool,
        max(session_number) as last_session_number
    from fund_rows
    group by pool

),

gaps as (

    select
        fund_rows.symbol,
        fund_rows.pool,
        fund_rows.session_number as gap_after,
        coalesce(
            lead(fund_rows.session_number) over (
                partition by fund_rows.symbol order by fund_rows.session_number
            ),
            pool_ends.last_session_number + 1
        ) as gap_before
    from fund_rows
    inner join pool_ends
        on fund_rows.pool = pool_ends.pool

),

without_row as (

    select
        gaps.symbol,
        calendar.trade_date,
        gaps.pool,
        'no_row' as kind
    from gaps
    inner join calendar
        on
            gaps.gap_after < calendar.session_number
            and gaps.gap_before > calendar.session_number
            and gaps.gap_after + {{ var('max_no_row_sessions') }} >= calendar.session_number
    where gaps.gap_before > gaps.gap_after + 1

)

select * from without_trade
union all
select * from without_row
order by symbol, trade_date
