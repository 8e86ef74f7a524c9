{% set whole_sessions = at_least_one('max_no_row_sessions') %}

-- Sessions on which a fund has no row: one row per gap, and one for the sessions after
-- its last row. The latter has length 0 if the last row is on the pool's last session.

with

calendar as (

    select * from {{ ref('int_sessions__past') }}

),

funds as (

    select * from {{ ref('int_funds') }}

),

-- A quarantined row counts, because the vendor had a row for that session.
fund_rows as (

    select distinct
        classified.symbol,
        classified.pool,
        calendar.session_number
    from {{ ref('int_raw_rows__classified') }} as classified
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

followed as (

    select
        *,
        lead(session_number) over (
            partition by symbol order by session_number
        ) as next_session_number
    from fund_rows

),

measured as (

    select
        followed.*,
        coalesce(followed.next_session_number, pool_ends.last_session_number + 1)
        - followed.session_number
        - 1 as sessions
    from followed
    inner join pool_ends
        on followed.pool = pool_ends.pool

)

select
    measured.symbol,
    measured.pool,
    last_rows.trade_date as last_row_date,
    next_rows.trade_date as next_row_date,
    measured.sessions,
    ends.trade_date as ended_date
from measured
inner join calendar as last_rows
    on measured.session_number = last_rows.session_number
left join calendar as next_rows
    on measured.next_session_number = next_rows.session_number
-- The session that completes the count. Later data cannot change it.
left join calendar as ends
    on
        measured.session_number + {{ whole_sessions }} = ends.session_number
        and measured.sessions >= {{ whole_sessions }}
where measured.next_session_number is null or measured.sessions > 0
order by measured.symbol, last_rows.trade_date
