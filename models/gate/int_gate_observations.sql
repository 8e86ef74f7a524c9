-- What every check looked at: one row at least a check and pool, null where there is nothing to
-- judge. Rows of a check that adds up count its findings, of the others they hold its measure.

{% set checks = [
    'adjustments', 'calendar', 'corporate_actions', 'ended', 'expectations', 'factors', 'funds',
    'lag', 'metadata', 'performance', 'price_moves', 'published', 'rows', 'stale_prices', 'units',
    'weights',
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

    select
        raw_symbol as symbol,
        min(source_file) as source_file
    from {{ ref('raw_rows') }}
    group by raw_symbol

)

select
    checked.pool,
    checked.check_name,
    coalesce(checked.source_file, files.source_file) as source_file,
    checked.symbol,
    checked.trade_date,
    case when not isnan(checked.value::double) then checked.value::double end as value,
    checked.detail,
    checked.detail_zh,
    checked.max_status
from checked
left join files
    on checked.symbol = files.symbol
order by checked.pool, checked.check_name, checked.symbol, checked.trade_date, checked.detail
