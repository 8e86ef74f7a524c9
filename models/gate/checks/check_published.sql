{{ config(materialized='ephemeral') }}

-- Tables of the published build that cannot be read. Nothing is compared with them.

with

faults as (

    select * from {{ ref('int_published_build') }}
    where kind = 'fault'

)

select
    'BUILD' as pool,
    'published_build' as check_name,
    (faults.kind is not null)::integer as value,
    faults.detail,
    faults.detail_zh
from (select 1) as build
left join faults
    on true
