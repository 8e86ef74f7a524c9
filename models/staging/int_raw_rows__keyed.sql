-- A view: what comes of it is stored once, as bars, suspensions or quarantine.
{{ config(materialized='view') }}

-- Faults of the key, the first of the cleaning's steps: null where the key is sound.
-- Waits until the raw rows are known to be worth it.
-- depends_on: {{ ref('int_expectations__raw') }}

with

funds as (

    select * from {{ ref('int_funds') }}

),

etf_pools as (

    select * from {{ ref('etf_pools') }}

),

sessions as (

    select * from {{ ref('exchange_sessions') }}

),

settings as (

    select * from {{ ref('run_settings') }}

),

-- What a file says of its fund is the same on thousands of rows, and looked at once.
symbols as (

    select distinct
        source_file,
        raw_symbol
    from {{ ref('raw_rows') }}

),

-- A row of a fund that is known, but not in this build, is none of its rows. One whose symbol cannot
-- be read may be of any fund.
in_build as (

    select
        symbols.source_file,
        symbols.raw_symbol,
        funds.pool,
        case
            when symbols.raw_symbol is null then 'null_symbol'
            when not regexp_full_match(symbols.raw_symbol, '[0-9]{6}[.](SH|SZ)')
                then 'unparseable_symbol'
            when
                not starts_with(
                    symbols.raw_symbol, regexp_extract(symbols.source_file, '^[0-9]{6}([.][A-Z]{2})?')
                )
                then 'symbol_unlike_file'
        end as symbol_fault
    from symbols
    left join funds
        on symbols.raw_symbol = funds.symbol
    left join etf_pools
        on symbols.raw_symbol = etf_pools.symbol
    where
        funds.symbol is not null
        or (etf_pools.symbol is null and {{ universe() == 'all' }})
        or regexp_matches(symbols.source_file, '^[0-9]{6}')
        or not coalesce(regexp_full_match(symbols.raw_symbol, '[0-9]{6}[.](SH|SZ)'), false)

),

-- Cheaper to compute again than to keep.
key_checked as not materialized (

    select
        raw_rows.* exclude (raw_symbol),
        raw_rows.raw_symbol as symbol,
        in_build.pool,
        case
            when in_build.symbol_fault is not null then in_build.symbol_fault
            when raw_rows.raw_trade_date is null then 'null_date'
            when raw_rows.trade_date is null then 'unparseable_date'
            when raw_rows.date_fault is not null then raw_rows.date_fault
            when raw_rows.trade_date > settings.today then 'future_date'
            when sessions.trade_date is null then 'not_a_session'
        end as key_fault
    from {{ ref('raw_rows') }} as raw_rows
    inner join in_build
        on
            raw_rows.source_file = in_build.source_file
            and raw_rows.raw_symbol is not distinct from in_build.raw_symbol
    cross join settings
    left join sessions
        on raw_rows.trade_date = sessions.trade_date

),

repeated as (

    select
        symbol,
        trade_date
    from key_checked
    where key_fault is null
    group by symbol, trade_date
    having count(*) > 1

),

shared_keys as (

    select
        symbol,
        trade_date,
        case
            when count(distinct source_file) > 1 then 'two_files'
            when
                count(
                    distinct row(
                        open, high, low, close, vol, amount, pre_close, adj_factor, adj_close,
                        text_column
                    )
                ) > 1
                then 'conflicting_duplicate'
            else 'exact_duplicate'
        end as duplicate_fault,
        min(source_row) as first_source_row
    from key_checked
    semi join repeated
        using (symbol, trade_date)
    where key_fault is null
    group by symbol, trade_date

)

select
    key_checked.* exclude (key_fault, date_fault),
    case
        when key_checked.key_fault is not null then key_checked.key_fault
        when
            shared_keys.duplicate_fault = 'exact_duplicate'
            and key_checked.source_row = shared_keys.first_source_row
            then null
        else shared_keys.duplicate_fault
    end as key_fault
from key_checked
left join shared_keys
    on
        key_checked.symbol = shared_keys.symbol
        and key_checked.trade_date = shared_keys.trade_date
        and key_checked.key_fault is null
