-- Target weights of every rebalance, and what is held on the last session, with the ADV20 of the
-- close at which equity was counted.

with

rebalances as (

    select * from {{ ref('rebalances') }}

),

targets as (

    select * from {{ ref('target_weights') }}

),

positions as (

    select * from {{ ref('positions_daily') }}

),

equity as (

    select * from {{ ref('equity_daily') }}

),

lagged as (

    select * from {{ ref('int_bars__lagged') }}

),

funds as (

    select * from {{ ref('int_funds') }}

),

pools as (

    select * from {{ ref('pool_constraints') }}

),

-- Sector and broad limits see the nominal weights, the ADV limit the capped one.
rebalanced as (

    select
        rebalances.pool,
        rebalances.trade_date,
        'binding' as kind,
        rebalances.symbol,
        coalesce(targets.target_weight, rebalances.target_weight) as weight,
        rebalances.target_weight as order_weight,
        rebalances.equity_as_of as equity,
        targets.adv20
    from rebalances
    left join targets
        on
            rebalances.pool = targets.pool
            and rebalances.trade_date = targets.trade_date
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
    unioned.symbol,
    funds.category,
    funds.is_broad,
    unioned.weight,
    unioned.order_weight,
    unioned.equity,
    unioned.adv20,
    cast(pools.target_capital as double) as target_capital,
    cast(pools.max_single_weight as double) as max_single_weight,
    cast(pools.max_sector_weight as double) as max_sector_weight,
    cast(pools.max_broad_funds as bigint) as max_broad_funds,
    cast(pools.max_adv_pct as double) as max_adv_pct
from unioned
inner join funds
    on unioned.symbol = funds.symbol
inner join pools
    on unioned.pool = pools.pool
order by unioned.pool, unioned.trade_date, unioned.kind, unioned.symbol
