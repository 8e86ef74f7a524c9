-- Within a month each weight grows with its pool. This test recomputes it from the
-- pools' equity, independently of the sleeves.

{{ after_the_gate() }}

with

equity as (

    select
        *,
        date_trunc('month', trade_date) as month
    from {{ ref('equity_daily') }}

),

members as (

    select * from {{ ref('int_portfolio_members') }}

),

portfolio as (

    select * from equity
    where pool = 'PORTFOLIO'

),

sleeves as (

    select
        portfolio.strategy,
        portfolio.trade_date,
        members.portfolio_weight
        * equity.equity
        / first_value(equity.previous_equity) over month_so_far as at_close,
        members.portfolio_weight
        * equity.previous_equity
        / first_value(equity.previous_equity) over month_so_far as at_open
    from portfolio
    left join members
        on portfolio.strategy = members.portfolio
    left join equity
        on
            members.strategy = equity.strategy
            and members.pool = equity.pool
            and portfolio.trade_date = equity.trade_date
    window month_so_far as (
        partition by portfolio.strategy, members.pool, portfolio.month order by portfolio.trade_date
    )

),

expected as (

    select
        strategy,
        trade_date,
        case when count(*) = count(at_close) then sum(at_close) / sum(at_open) - 1 end as daily_return
    from sleeves
    group by strategy, trade_date

)

select
    portfolio.strategy,
    portfolio.trade_date,
    portfolio.daily_return,
    expected.daily_return as expected_return
from portfolio
left join expected
    on
        portfolio.strategy = expected.strategy
        and portfolio.trade_date = expected.trade_date
where coalesce(abs(portfolio.daily_return - expected.daily_return), 1) > 1e-12
