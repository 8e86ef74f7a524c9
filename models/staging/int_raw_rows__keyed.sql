-- Faults of the key, the first of the cleaning's steps: null where the key is sound.
-- Waits until the raw rows are known to be worth it.
-- depends_on: {{ ref('int_expectations__raw') }}

with

raw_rows as (

    select * from {{ ref('raw_rows') }}

),

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

-- A row of a fund that is known, but not in this build, is none of its rows. One whose symbol cannot
-- be read may be of any fund.
in_build as (

    select
        raw_rows.*,
        funds.pool,
        regexp_extract(raw_rows.source_file, '^[0-9]{6}([.][A-Z]{2})?') as file_code
    from raw_rows
    left join funds
        on raw_rows.raw_symbol = funds.symbol
    left join etf_pools
        on raw_rows.raw_symbol = etf_pools.symbol
    where
        funds.symbol is not null
        or (etf_pools.symbol is null and {{ universe() == 'all' }})
        or regexp_matches(raw_rows.source_file, '^[0-9]{6}')
        or not coalesce(regexp_full_match(raw_rows.raw_symbol, '[0-9]{6}[.](SH|SZ)'), false)

),

key_checked as (

    select
        in_build.* exclude (raw_symbol),
        in_build.raw_symbol as symbol,
        case
            when in_build.raw_symbol is null then 'null_symbol'
            when not regexp_full_match(in_build.raw_symbol, '[0-9]{6}[.](SH|SZ)')
                then 'unparseable_symbol'
            when not starts_with(in_build.raw_symbol, in_build.file_code) then 'symbol_unlike_file'
            when in_build.raw_trade_date is null then 'null_date'
            when in_build.trade_date is null then 'unparseable_date'
            when in_build.date_fault is not null then in_build.date_fault
            when in_build.trade_date > settings.today then 'future_date'
            when sessions.trade_date is null then 'not_a_session'
        end as key_fault
    from in_build
    cross join settings
    left join sessions
        on in_build.trade_date = sessions.trade_date

),

shared_keys as (

    select
        symbol,
        trade_date,
        case
            when count(distinct source_file) > 1 then 'two_files'
            when
                count(
                    distinct (
                        open, high, low, close, vol, amount, pre_close, adj_factor, adj_close,
                        text_column
                    )
                ) > 1
                then 'conflicting_duplicate'
            else 'exact_duplicate'
        end as duplicate_fault,
        min(source_row) as first_source_row
    from key_checked
    where key_fault is null
    group by symbol, trade_date
    having count(*) > 1

)

select
    key_checked.* exclude (key_fault, file_code, date_fault),
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
