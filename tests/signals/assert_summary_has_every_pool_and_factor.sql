{{ after_the_gate() }}

with

pools as (

    select distinct pool from {{ ref('stg_etf_daily') }}

),

catalogue as (

    select * from {{ ref('factor_catalog') }}

),

expected as (

    select
        pools.pool,
        catalogue.factor_id
    from pools
    cross join catalogue

)

select
    pool,
    factor_id
from {{ ref('factor_summary') }} as factor_summary
full join expected
    using (pool, factor_id)
where factor_summary.reason is null or expected.pool is null
