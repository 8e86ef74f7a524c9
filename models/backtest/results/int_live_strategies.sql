-- The strategy that each pool trades, and the name of the PORTFOLIO of these
-- strategies.

select
    strategy,
    pool
from {{ ref('int_strategies') }}
where is_live
union all
select distinct
    portfolio as strategy,
    'PORTFOLIO' as pool
from {{ ref('int_portfolio_members') }}
where is_live
