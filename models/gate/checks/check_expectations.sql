{{ config(materialized='ephemeral') }}

with

results as (

    select
        'expectations_raw' as check_name,
        *
    from {{ ref('int_expectations__raw') }}
    union all
    select
        'expectations_published' as check_name,
        *
    from {{ ref('int_expectations__published') }}

),

names as (

    select unnest(['expectations_raw', 'expectations_published']) as check_name

),

counts as (

    select
        check_name,
        count(*) as n
    from results
    group by check_name

),

broken as (

    select * from results
    where not success

)

select
    'BUILD' as pool,
    names.check_name,
    case when counts.n > 0 then (broken.expectation is not null)::integer end as value,
    concat_ws(' ', broken.table_name, broken.column_name, broken.expectation, broken.details) as detail,
    concat_ws(' ', broken.table_name, broken.column_name, broken.expectation, broken.details_zh) as detail_zh
from names
left join counts
    on names.check_name = counts.check_name
left join broken
    on names.check_name = broken.check_name
