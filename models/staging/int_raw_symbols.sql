-- One row per raw file and symbol, with the symbol as in the file.

select
    raw_rows.source_file,
    raw_rows.raw_symbol,
    raw_files.file_kind,
    raw_files.file_code,
    count(*) as row_count
from {{ ref('raw_rows') }} as raw_rows
inner join {{ ref('raw_files') }} as raw_files
    on raw_rows.source_file = raw_files.source_file
group by all
order by all
