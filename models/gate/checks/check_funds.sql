{{ config(materialized='ephemeral') }}

with

pools as (

    select * from {{ ref('int_gate_pools') }}
    where is_pool

),

funds as (

    select * from {{ ref('int_funds') }}

),

known as (

    select * from {{ ref('etf_pools') }}

),

files as (

    select * from {{ ref('raw_files') }}

),

rows_by_fund as (

    select
        raw_symbol as symbol,
        arg_min(source_file, row(file_kind = 'session', source_file)) as source_file
    from {{ ref('int_raw_symbols') }}
    group by raw_symbol

),

settings as (

    select * from {{ ref('run_settings') }}

),

bars as (

    select distinct symbol from {{ ref('stg_etf_daily') }}

),

without_bar as (

    select
        funds.pool,
        funds.symbol,
        rows_by_fund.source_file,
        case
            when rows_by_fund.symbol is null then 'no raw row'
            else 'no bar: every row is in suspensions or in quarantine'
        end as detail,
        case
            when rows_by_fund.symbol is null then '无原始数据'
            else '无日线：所有行都在停牌表或隔离表中'
        end as detail_zh
    from funds
    cross join settings
    left join rows_by_fund
        on funds.symbol = rows_by_fund.symbol
    anti join bars
        on funds.symbol = bars.symbol
    where
        -- A build with as_of may lack funds that were listed later.
        settings.as_of is null
        or not exists (
            select 1 from files
            where files.file_kind = 'fund' and starts_with(funds.symbol, files.file_code)
        )

),

in_no_pool as (

    select
        files.source_file,
        files.file_code as symbol
    from files
    where
        files.file_kind = 'fund'
        and not exists (select 1 from known where starts_with(known.symbol, files.file_code))
    union all
    select
        source_file,
        unnest(funds_in_no_pool) as symbol
    from files

)

select
    pools.pool,
    'fund_without_file' as check_name,
    without_bar.source_file,
    without_bar.symbol,
    (without_bar.symbol is not null)::integer as value,
    without_bar.detail,
    without_bar.detail_zh
from pools
left join without_bar
    on pools.pool = without_bar.pool
union all by name
select
    'BUILD' as pool,
    'funds_in_no_pool' as check_name,
    in_no_pool.source_file,
    in_no_pool.symbol,
    (in_no_pool.symbol is not null)::integer as value,
    'in no pool' as detail,
    '不在任何池中' as detail_zh
from (select 1) as build
left join in_no_pool
    on {{ universe() == 'pools' }}
