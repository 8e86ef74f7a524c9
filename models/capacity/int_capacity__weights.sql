-- Target weights of every rebalance and holdings of the last session, with the ADV20 of
-- the close at which equity is measured.

with

live as (

    select * from {{ ref('int_strategies') }}
    where is_live

),

rebalances as (

    select * from {{ ref('rebalances') }}
    semi join live using (strategy, pool)

),

targets as (

    select * from {{ ref('target_weights') }}
    semi join live using (strategy, pool)

),

positions as (

    select * from {{ ref('positions_daily') }}
    semi join live using (strategy, pool)

),

equity as (

    select * from {{ ref('equity_daily') }}
    semi join live using (strategy, pool)

),

lagged as (

    select * from {{ ref('int_bars__lagged') }}

),

funds as (

    select * from {{ ref('int_funds') }}

),

-- Sector and broad limits apply to nominal weights, the ADV limit to capped weights.
rebalanced as (

    select
        rebalances.pool,
        rebalances.trade_date,
        'binding' as kind,
        rebalances.tranche,
        rebalances.symbol,
        coalesce(targets.target_weight, rebalances.target_weight) as weight,
        rebalances.target_weight as order_weight,
        -- Scaled to the whole strategy, because each tranche may use its part of the
        -- limit.
        live.tranches * rebalances.equity_as_of as equity,
        targets.adv20
    from rebalances
    inner join live
        on rebalances.pool = live.pool
    left join targets
        on
            rebalances.pool = targets.pool
            and rebalances.trade_date = targets.trade_date
            and rebalances.tranche = targets.tranche
            and rebalances.symbol = targets.symbol
    where coalesce(targets.target_weight, rebalances.target_weight) > 0

),

last_sessions as (

    select
        pool,
        max(trade_date) as trade_date
    from equity
    group by pool

),

-- A fund that is suspended on the last session has the ADV20 of its last bar.
held as (

    select
        positions.pool,
        positions.trade_date,
        'informative' as kind,
        0 as tranche,
        positions.symbol,
        positions.weight,
        positions.weight as order_weight,
        equity.equity,
        lagged.adv20
    from positions
    inner join last_sessions
        on
            positions.pool = last_sessions.pool
            and positions.trade_date = last_sessions.trade_date
    inner join equity
        on
            positions.pool = equity.pool
            and positions.trade_date = equity.trade_date
    asof left join lagged
        on
            positions.symbol = lagged.symbol
            and positions.trade_date >= lagged.as_of_date

),

unioned as (

    select * from rebalanced
    union all
    select * from held

)

select
    unioned.pool,
    unioned.trade_date,
    unioned.kind,
    cast(unioned.tranche as bigint) as tranche,
    unioned.symbol,
    funds.category,
    funds.is_broad,
    unioned.weight,
    unioned.order_weight,
    unioned.equity,
    unioned.adv20,
    live.target_capital,
    live.max_single_weight,
    live.max_sector_weight,
    case when live.top_n is not null then live.max_broad_funds end as max_broad_funds,
    live.max_adv_pct
from unioned
inner join funds
    on unioned.symbol = funds.symbol
inner join live
    on unioned.pool = live.pool
order by unioned.pool, unioned.trade_date, unioned.kind, unioned.tranche, unioned.symbol
