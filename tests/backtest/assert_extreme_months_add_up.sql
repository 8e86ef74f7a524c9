-- Funds and costs add up to the month's return, exposure and selection to the funds'
-- sum.

{{ after_the_gate() }}

with

sums as (

    select
        strategy,
        pool,
        kind,
        rank,
        any_value(monthly_return) as monthly_return,
        sum(contribution) filter (
            where component_type in ('fund', 'commission', 'slippage')
        ) as explained,
        coalesce(sum(contribution) filter (where component_type = 'fund'), 0) as funds,
        sum(contribution) filter (where component_type in ('exposure', 'selection')) as split
    from {{ ref('extreme_months') }}
    group by strategy, pool, kind, rank

)

select *
from sums
where
    coalesce(abs(explained - monthly_return), 1) > 1e-9
    or coalesce(abs(split - funds), 1) > 1e-9
