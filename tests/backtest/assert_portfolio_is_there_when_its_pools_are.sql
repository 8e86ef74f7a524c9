-- On every session on which all pools with a weight have equity, and on no other.

{{ after_the_gate() }}

with

equity as (

    select * from {{ ref('equity_daily') }}

),

pools as (

    select
        pool,
        count(*) over () as pool_count
    from {{ ref('pool_constraints') }}
    where portfolio_weight > 0

),

complete as (

    select equity.trade_date
    from equity
    inner join pools
        on equity.pool = pools.pool
    group by equity.trade_date
    having count(*) = min(pools.pool_count)

),

portfolio as (

    select trade_date
    from equity
    where pool = 'PORTFOLIO'

)

select
    complete.trade_date as expected_date,
    portfolio.trade_date as portfolio_date
from complete
full outer join portfolio
    on complete.trade_date = portfolio.trade_date
where complete.trade_date is null or portfolio.trade_date is null
