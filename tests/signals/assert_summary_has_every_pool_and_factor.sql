{{ after_the_gate() }}

with

pools as (

    select distinct pool from {{ ref('stg_etf_daily') }}

),

catalog as (

    select * from {{ ref('factor_catalog') }}

),

expected as (

    select
        pools.pool,
        catalog.factor_id
    from pools
    cross join catalog

)

select
    pool,
    factor_id
from {{ ref('factor_summary') }} as factor_summary
full join expected
    using (pool, factor_id)
where factor_summary.reason is null or expected.pool is null
