with

classified as (

    select * from {{ ref('int_raw_rows__classified') }}
    where reason is not null

),

funds as (

    select * from {{ ref('int_funds') }}

),

files as (

    select * from {{ ref('raw_files') }}

)

select
    classified.source_file,
    classified.source_row,
    classified.symbol,
    classified.trade_date,
    classified.raw_trade_date,
    -- A row with an invalid symbol still belongs to the fund in its file's name.
    coalesce(classified.pool, funds.pool) as pool,
    classified.reason
from classified
left join files
    on classified.source_file = files.source_file
left join funds
    on
        classified.pool is null
        and files.file_kind = 'fund'
        and starts_with(funds.symbol, files.file_code)
order by classified.source_file, classified.source_row
