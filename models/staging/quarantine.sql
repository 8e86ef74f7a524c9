with

classified as (

    select * from {{ ref('int_raw_rows__classified') }}
    where reason is not null

),

funds as (

    select * from {{ ref('int_funds') }}

)

select
    classified.source_file,
    classified.source_row,
    classified.symbol,
    classified.trade_date,
    classified.raw_trade_date,
    -- A row with a broken symbol still belongs to the fund that its file is named after.
    coalesce(classified.pool, funds.pool) as pool,
    classified.reason
from classified
left join funds
    on
        classified.pool is null
        and starts_with(funds.symbol, regexp_extract(classified.source_file, '^[0-9]{6}([.][A-Z]{2})?'))
        and regexp_matches(classified.source_file, '^[0-9]{6}')
order by classified.source_file, classified.source_row
