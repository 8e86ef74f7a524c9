-- Every check of the index is computed exactly once, and no other check exists.

{{ after_the_gate() }}

with

expected as (

    select
        pool,
        check_name
    from {{ ref('gate_index') }}

),

computed as (

    select
        pool,
        check_name,
        count(*) as n
    from {{ ref('gate_checks') }}
    group by pool, check_name

)

select
    coalesce(expected.pool, computed.pool) as pool,
    coalesce(expected.check_name, computed.check_name) as check_name,
    computed.n
from expected
full join computed
    on
        expected.pool = computed.pool
        and expected.check_name = computed.check_name
where expected.pool is null or computed.n is distinct from 1
