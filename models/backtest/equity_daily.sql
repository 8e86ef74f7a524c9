with

pool_equity as (

    select * from {{ ref('int_backtest__pool_equity') }}

),

sleeves as (

    select * from {{ ref('int_backtest__sleeves') }}

),

-- A sleeve over its pool's equity is the same all month: what the pool did, in the sleeve's size.
portfolio_equity as (

    select
        'PORTFOLIO' as pool,
        pool_equity.trade_date,
        min(sleeves.previous_equity) as previous_equity,
        min(sleeves.equity) as equity,
        {% for amount in ['cash', 'holdings_value'] %}
        sum(
            pool_equity.{{ amount }} * (sleeves.sleeve / pool_equity.equity) order by sleeves.pool
        ) as {{ amount }},
        {% endfor %}
        min(sleeves.benchmark_return) as benchmark_return,
        {% for amount in ['price_pnl', 'corporate_action_value', 'commission', 'slippage', 'traded_value'] %}
        sum(
            pool_equity.{{ amount }} * (sleeves.sleeve / pool_equity.equity) order by sleeves.pool
        ) as {{ amount }}{{ ',' if not loop.last }}
        {% endfor %}
    from pool_equity
    inner join sleeves
        on
            pool_equity.pool = sleeves.pool
            and pool_equity.trade_date = sleeves.trade_date
    group by pool_equity.trade_date

),

equity as (

    select * from pool_equity
    union all by name
    select * from portfolio_equity

)

select
    pool,
    trade_date,
    previous_equity,
    equity,
    cash,
    holdings_value,
    equity / previous_equity - 1 as daily_return,
    -- The initial capital is the first peak.
    equity
    / max(greatest(equity, previous_equity)) over (
        partition by pool order by trade_date rows unbounded preceding
    )
    - 1 as drawdown,
    benchmark_return,
    price_pnl,
    corporate_action_value,
    commission,
    slippage,
    traded_value
from equity
order by pool, trade_date
