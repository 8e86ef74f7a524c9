-- The eligible funds of every session, best first, for strategies with a rebalance
-- offset. They would select from these funds if that session were their rebalance.

with

strategies as (

    select * from {{ ref('int_strategies') }}
    where rebalance <> 'daily'

),

funds as (

    select * from {{ ref('int_selection__funds') }}
    where ineligible is null

),

sessions as (

    select * from {{ ref('int_rebalance_luck__sessions') }}

),

categories as (

    select * from {{ ref('int_funds') }}

)

select
    funds.strategy,
    funds.pool,
    sessions.session,
    funds.symbol,
    funds.rank,
    funds.adv20,
    funds.raw_value,
    categories.category,
    categories.is_broad
from funds
inner join strategies
    on
        funds.strategy = strategies.strategy
        and funds.pool = strategies.pool
inner join sessions
    on
        funds.pool = sessions.pool
        and funds.trade_date = sessions.trade_date
inner join categories
    on funds.symbol = categories.symbol
{% if backtest_start() %}
where funds.trade_date >= cast('{{ backtest_start() }}' as date)
{% endif %}
order by funds.strategy, funds.pool, sessions.session, funds.rank
