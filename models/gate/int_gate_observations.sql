-- The observations of every check: at least one row per check and pool. The value is
-- null if there is nothing to measure. It is a count if the check sums its findings,
-- else a measure.

{% set checks = [
    'adjustment_count', 'adjustment_sources', 'adjustments', 'amounts', 'calendar',
    'corporate_actions', 'ended', 'evidence', 'expectations', 'factors', 'files', 'funds', 'lag', 'metadata',
    'performance', 'price_moves', 'published', 'rows', 'stale_prices', 'units', 'weights',
] %}

with

checked as (

    {% for check in checks %}
    select * from {{ ref('check_' ~ check) }}
    union all by name
    {% endfor %}
    select
        cast(null as varchar) as source_file,
        cast(null as varchar) as max_status
    where false

),

files as (

    select * from {{ ref('int_raw_symbols') }}

),

-- The fund's own file, if it has one.
fund_files as (

    select
        raw_symbol as symbol,
        arg_min(source_file, row(file_kind = 'session', source_file)) as source_file
    from files
    group by raw_symbol

),

-- The file of that row, because a fund's rows may be in several files.
row_files as (

    select
        raw_rows.raw_symbol as symbol,
        raw_rows.trade_date,
        arg_min(files.source_file, row(files.file_kind = 'session', files.source_file)) as source_file
    from {{ ref('raw_rows') }} as raw_rows
    inner join files
        on
            raw_rows.source_file = files.source_file
            and raw_rows.raw_symbol = files.raw_symbol
    where
        raw_rows.raw_symbol in (select raw_symbol from files group by raw_symbol having count(*) > 1)
        and (raw_rows.raw_symbol, raw_rows.trade_date) in (select (symbol, trade_date) from checked)
    group by raw_rows.raw_symbol, raw_rows.trade_date

)

select
    checked.pool,
    checked.check_name,
    coalesce(checked.source_file, row_files.source_file, fund_files.source_file) as source_file,
    checked.symbol,
    checked.trade_date,
    case when not isnan(checked.value::double) then checked.value::double end as value,
    checked.detail,
    checked.detail_zh,
    checked.max_status
from checked
left join row_files
    on
        checked.symbol = row_files.symbol
        and checked.trade_date = row_files.trade_date
left join fund_files
    on checked.symbol = fund_files.symbol
order by checked.pool, checked.check_name, checked.symbol, checked.trade_date, checked.detail
