{{ config(materialized='view') }}

select
    bands.bar_id,
    {{ band_factors() }}
from {{ ref('int_bands') }} as bands
