-- Within a month each weight grows with its pool: recomputed from the pools' equity, apart from
-- the walk that PORTFOLIO comes from.

{{ after_the_gate() }}

with

equity as (

    select
        *,
        date_trunc('month', trade_date) as month
    from {{ ref('equity_daily') }}

),

pools as (

    select * from {{ ref('pool_constraints') }}
    where portfolio_weight > 0

),

portfolio as (

    select * from equity
    where pool = 'PORTFOLIO'

),

sleeves as (

    select
        portfolio.trade_date,
        pools.portfolio_weight
        * equity.equity
        / first_value(equity.previous_equity) over month_so_far as at_close,
        pools.portfolio_weight
        * equity.previous_equity
        / first_value(equity.previous_equity) over month_so_far as at_open
    from portfolio
    cross join pools
    left join equity
        on
            pools.pool = equity.pool
            and portfolio.trade_date = equity.trade_date
    window month_so_far as (
        partition by pools.pool, portfolio.month order by portfolio.trade_date
    )

),

expected as (

    select
        trade_date,
        case when count(*) = count(at_close) then sum(at_close) / sum(at_open) - 1 end as daily_return
    from sleeves
    group by trade_date

)

select
    portfolio.trade_date,
    portfolio.daily_return,
    expected.daily_return as expected_return
from portfolio
left join expected
    on portfolio.trade_date = expected.trade_date
where coalesce(abs(portfolio.daily_return - expected.daily_return), 1) > 1e-12
