-- Compares row counts with the files' footers. With as_of there may be fewer rows, but
-- none later. A file that is not named after a fund may have rows of funds outside the
-- build.

with

settings as (

    select cast(as_of as date) as as_of from {{ ref('run_settings') }}

),

files as (

    select * from {{ ref('raw_files') }}
    where is_read

),

read_rows as (

    select
        source_file,
        count(*) as row_count,
        max(trade_date) as last_trade_date
    from {{ ref('raw_rows') }}
    group by source_file

)

select
    files.source_file,
    files.rows as file_rows,
    read_rows.last_trade_date,
    coalesce(read_rows.row_count, 0) as row_count
from files
cross join settings
left join read_rows
    on files.source_file = read_rows.source_file
where
    coalesce(read_rows.row_count, 0) > files.rows
    or (
        settings.as_of is null
        and files.file_kind = 'fund'
        and coalesce(read_rows.row_count, 0) < files.rows
    )
    or read_rows.last_trade_date > settings.as_of
