with

statistics as (

    select * from {{ ref('int_factor_summary__statistics') }}

),

catalog as (

    select * from {{ ref('factor_catalog') }}

),

judged as (

    select
        statistics.pool,
        catalog.factor_id,
        catalog.family,
        catalog.min_history,
        statistics.non_null_rows / statistics.panel_rows as coverage,
        statistics.zero_variance,
        statistics.duplicate_of
    from statistics
    inner join catalog
        on statistics.factor_id = catalog.factor_id

)

select
    pool,
    factor_id,
    family,
    cast(min_history as integer) as min_history,
    coverage,
    zero_variance,
    duplicate_of,
    coverage >= {{ var('production_min_coverage') }}
    and not zero_variance
    and duplicate_of is null as is_production,
    case
        when coverage < {{ var('production_min_coverage') }} then 'coverage'
        when zero_variance then 'zero variance'
        when duplicate_of is not null then 'duplicate'
        else 'production'
    end as reason
from judged
order by pool, factor_id
