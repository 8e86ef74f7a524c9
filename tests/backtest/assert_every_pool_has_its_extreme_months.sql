-- Three months of each kind, or all months if there are fewer.

{{ after_the_gate() }}

with

months as (

    select
        strategy,
        pool,
        least(count(*), 3) as wanted
    from {{ ref('monthly_returns') }}
    group by strategy, pool

),

found as (

    select
        strategy,
        pool,
        count(distinct rank) filter (where kind = 'best') as best,
        count(distinct rank) filter (where kind = 'worst') as worst
    from {{ ref('extreme_months') }}
    group by strategy, pool

)

select
    months.strategy,
    months.pool,
    months.wanted,
    found.best,
    found.worst
from months
full outer join found
    on
        months.strategy = found.strategy
        and months.pool = found.pool
where
    months.wanted is distinct from found.best
    or months.wanted is distinct from found.worst
