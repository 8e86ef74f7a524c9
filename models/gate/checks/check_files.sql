{{ config(materialized='ephemeral') }}

with

pools as (

    select * from {{ ref('int_gate_pools') }}
    where is_pool

),

funds as (

    select * from {{ ref('int_funds') }}

),

repeated as (

    select
        symbol,
        count(*) as n
    from {{ ref('quarantine') }}
    where reason = 'exact_duplicate'
    group by symbol

),

-- Session files hold rows of every fund. Rows with another fund's symbol are in
-- quarantine.
several as (

    select
        files.raw_symbol as symbol,
        min(files.source_file) as source_file,
        list(files.source_file order by files.source_file) as names
    from {{ ref('int_raw_symbols') }} as files
    where
        files.file_kind <> 'session'
        and (files.file_kind <> 'fund' or starts_with(files.raw_symbol, files.file_code))
    group by files.raw_symbol
    having count(*) > 1

),

found as (

    select
        funds.pool,
        several.symbol,
        several.source_file,
        array_to_string(several.names[2:4], ', ') as others,
        greatest(len(several.names) - 4, 0) as more,
        coalesce(repeated.n, 0) as repeated_rows
    from several
    inner join funds
        on several.symbol = funds.symbol
    left join repeated
        on several.symbol = repeated.symbol

)

select
    pools.pool,
    'several_files' as check_name,
    found.source_file,
    found.symbol,
    (found.symbol is not null)::integer as value,
    format(
        'and {}{}; rows that are there twice: {}',
        found.others,
        case when found.more > 0 then format(' and {} more', found.more) else '' end,
        found.repeated_rows
    ) as detail,
    format(
        '与 {}{}；重复的行：{}',
        found.others,
        case when found.more > 0 then format(' 等另外 {} 个文件', found.more) else '' end,
        found.repeated_rows
    ) as detail_zh
from pools
left join found
    on pools.pool = found.pool
