-- A view, because bars, suspensions and quarantine store its rows.
{{ config(materialized='view') }}

-- The first step of the cleaning: defects of the key, null if it is valid. The dependency below
-- makes it wait for the expectations on the raw rows.
-- depends_on: {{ ref('int_expectations__raw') }}

with

funds as (

    select * from {{ ref('int_funds') }}

),

sessions as (

    select * from {{ ref('exchange_sessions') }}

),

settings as (

    select * from {{ ref('run_settings') }}

),

-- Once per file and symbol, because thousands of rows share the result.
symbols as (

    select
        raw_symbols.*,
        funds.pool,
        case
            when raw_symbols.raw_symbol is null then 'null_symbol'
            when not regexp_full_match(raw_symbols.raw_symbol, '[0-9]{6}[.](SH|SZ)')
                then 'unparseable_symbol'
            when
                raw_symbols.file_kind = 'fund'
                and (
                    funds.symbol is null
                    or not starts_with(raw_symbols.raw_symbol, raw_symbols.file_code)
                )
                then 'symbol_unlike_file'
        end as symbol_fault
    from {{ ref('int_raw_symbols') }} as raw_symbols
    left join funds
        on raw_symbols.raw_symbol = funds.symbol

),

-- Computing it again is cheaper than storing it.
key_checked as not materialized (

    select
        raw_rows.* exclude (raw_symbol),
        raw_rows.raw_symbol as symbol,
        symbols.pool,
        symbols.file_kind,
        case
            when symbols.symbol_fault is not null then symbols.symbol_fault
            when raw_rows.raw_trade_date is null then 'null_date'
            when raw_rows.trade_date is null then 'unparseable_date'
            when raw_rows.date_fault is not null then raw_rows.date_fault
            when
                symbols.file_kind = 'session'
                and strftime(raw_rows.trade_date, '%Y%m%d') <> symbols.file_code
                then 'date_unlike_file'
            when raw_rows.trade_date > settings.today then 'future_date'
            when sessions.trade_date is null then 'not_a_session'
        end as key_fault
    from {{ ref('raw_rows') }} as raw_rows
    inner join symbols
        on
            raw_rows.source_file = symbols.source_file
            and raw_rows.raw_symbol is not distinct from symbols.raw_symbol
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
        -- Of identical rows the one in the fund's own file is kept, else the first by name and row.
        min(row(file_kind <> 'fund', source_file, source_row)) as row_that_stays
    from key_checked
    semi join repeated
        using (symbol, trade_date)
    where key_fault is null
    group by symbol, trade_date

)

select
    key_checked.* exclude (key_fault, date_fault, file_kind),
    case
        when key_checked.key_fault is not null then key_checked.key_fault
        when
            shared_keys.duplicate_fault = 'exact_duplicate'
            and row(key_checked.file_kind <> 'fund', key_checked.source_file, key_checked.source_row)
            = shared_keys.row_that_stays
            then null
        else shared_keys.duplicate_fault
    end as key_fault
from key_checked
left join shared_keys
    on
        key_checked.symbol = shared_keys.symbol
        and key_checked.trade_date = shared_keys.trade_date
        and key_checked.key_fault is null
