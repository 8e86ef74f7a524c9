{{ config(materialized='ephemeral') }}

{% set required = [
    'engine_version', 'price_adjustment', 'generated_at', 'first_date', 'last_date',
    'run_parameters', 'panel_column_hash', 'pools', 'input_fingerprint', 'code_version',
    'is_synthetic',
] %}

with

metadata as (

    select * from {{ ref('run_metadata') }}

),

fields as (

    {% for field in required %}
    select
        '{{ field }}' as name,
        (select nullif(trim({{ field }}::varchar), '') from metadata) as content
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select
    'BUILD' as pool,
    'metadata_complete' as check_name,
    (content is null)::integer as value,
    'no ' || name as detail,
    '缺少 ' || name as detail_zh
from fields
