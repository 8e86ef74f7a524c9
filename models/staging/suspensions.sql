with

classified as (

    select * from {{ ref('int_raw_rows__classified') }}

),

gaps as (

    select * from {{ ref('int_fund_gaps') }}

),

calendar as (

    select * from {{ ref('trading_calendar') }}

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

without_row as (

    select
        gaps.symbol,
        calendar.trade_date,
        gaps.pool,
        'no_row' as kind
    from gaps
    inner join calendar as last_rows
        on gaps.last_row_date = last_rows.trade_date
    inner join calendar
        on
            calendar.session_number > last_rows.session_number
            and calendar.session_number <= last_rows.session_number + gaps.sessions
            and calendar.session_number
            <= last_rows.session_number + {{ var('max_no_row_sessions') }}

)

select * from without_trade
union all
select * from without_row
order by symbol, trade_date
