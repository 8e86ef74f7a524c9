{{ config(materialized='ephemeral') }}

with

calendar as (

    select * from {{ ref('trading_calendar') }}

),

settings as (

    select * from {{ ref('run_settings') }}

),

-- Not trading_calendar, which ends shortly after the data. Today may be years later.
sessions as (

    select * from {{ ref('exchange_sessions') }}

),

files as (

    select bool_or(is_synthetic) as is_synthetic from {{ ref('raw_files') }}

),

bars as (

    select max(trade_date) as last_date from {{ ref('stg_etf_daily') }}

),

next_session as (

    select min(calendar.trade_date) as trade_date
    from calendar
    inner join bars
        on calendar.trade_date > bars.last_date

),

unofficial as (

    select
        min(calendar.trade_date) as trade_date,
        count(*) as sessions
    from calendar
    inner join next_session
        on calendar.trade_date <= next_session.trade_date
    where not calendar.is_official

),

behind as (

    select
        bars.last_date,
        any_value(bars.last_date > settings.completed_until) as is_unfinished,
        count(sessions.trade_date) as missing_sessions,
        any_value(settings.target_name) = 'prod'
        and not any_value(files.is_synthetic)
        and any_value(settings.as_of) is null as is_live,
        any_value(files.is_synthetic) or any_value(settings.as_of) is not null as is_past
    from bars
    cross join settings
    cross join files
    left join sessions
        on
            sessions.trade_date > bars.last_date
            and sessions.trade_date <= settings.due_until
    group by bars.last_date

)

select
    'BUILD' as pool,
    'calendar_beyond_library' as check_name,
    unofficial.trade_date,
    unofficial.sessions as value,
    format('is the first of {} sessions that are not in the library', unofficial.sessions) as detail,
    format('起 {} 个交易日不在日历库中', unofficial.sessions) as detail_zh
from unofficial
union all by name
select
    'BUILD' as pool,
    'freshness' as check_name,
    last_date as trade_date,
    missing_sessions + is_unfinished::integer as value,
    case
        when is_unfinished then 'is the last bar, of a session that is not over'
        else 'is the last bar'
    end as detail,
    case
        when is_unfinished then '为最后一根日线，当日尚未收盘'
        else '为最后一根日线'
    end as detail_zh,
    case when is_past then 'pass' when not is_live then 'warn' end as max_status
from behind
