-- Every fill with the fund's ADV20 and volatility at the previous close, or at its last
-- bar if it had none on that session.

with

live as (

    select * from {{ ref('int_strategies') }}
    where is_live

),

trades as (

    select * from {{ ref('trades') }}
    semi join live using (strategy, pool)
    -- A payout has no market impact.
    where reason <> 'ended'

),

lagged as (

    select * from {{ ref('int_bars__lagged') }}

),

panel as (

    select * from {{ ref('factor_panel') }}

),

known as (

    select
        lagged.symbol,
        lagged.trade_date,
        lagged.adv20,
        panel.volatility_20 as volatility
    from lagged
    inner join panel
        on
            lagged.symbol = panel.symbol
            and lagged.trade_date = panel.trade_date

)

select
    trades.pool,
    cast(trades.sequence as bigint) as sequence,
    trades.trade_date,
    trades.symbol,
    trades.value,
    known.adv20,
    known.volatility
from trades
asof left join known
    on
        trades.symbol = known.symbol
        and trades.trade_date >= known.trade_date
order by trades.pool, trades.sequence
