-- A PORTFOLIO has exactly the sessions on which all its members have equity.

{{ after_the_gate() }}

with

equity as (

    select * from {{ ref('equity_daily') }}

),

members as (

    select
        *,
        count(*) over (partition by portfolio) as member_count
    from {{ ref('int_portfolio_members') }}

),

complete as (

    select
        members.portfolio as strategy,
        equity.trade_date
    from equity
    inner join members
        on
            equity.strategy = members.strategy
            and equity.pool = members.pool
    group by members.portfolio, equity.trade_date
    having count(*) = min(members.member_count)

),

portfolio as (

    select
        strategy,
        trade_date
    from equity
    where pool = 'PORTFOLIO'

)

select
    coalesce(complete.strategy, portfolio.strategy) as strategy,
    complete.trade_date as expected_date,
    portfolio.trade_date as portfolio_date
from complete
full outer join portfolio
    on
        complete.strategy = portfolio.strategy
        and complete.trade_date = portfolio.trade_date
where complete.trade_date is null or portfolio.trade_date is null
