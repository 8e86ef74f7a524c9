{{ config(materialized='ephemeral') }}

-- Weights against the limits of the pool, as shares of the limit.

with

pools as (

    select
        gate_pools.pool,
        constraints.max_single_weight,
        constraints.max_sector_weight,
        constraints.max_broad_funds,
        constraints.max_adv_pct
    from {{ ref('int_gate_pools') }} as gate_pools
    inner join {{ ref('pool_constraints') }} as constraints
        on gate_pools.pool = constraints.pool

),

funds as (

    select * from {{ ref('int_funds') }}

),

calendar as (

    select * from {{ ref('trading_calendar') }}

),

targets as (

    select
        target_weights.*,
        funds.category,
        funds.is_broad
    from {{ ref('target_weights') }} as target_weights
    inner join funds
        on target_weights.symbol = funds.symbol

),

single as (

    select * from targets
    qualify
        row_number() over (partition by pool order by target_weight desc, trade_date, symbol) = 1

),

sectors as (

    select
        pool,
        trade_date,
        category,
        sum(target_weight order by symbol) as weight
    from targets
    where not is_broad
    group by pool, trade_date, category
    qualify row_number() over (partition by pool order by weight desc, trade_date, category) = 1

),

broad as (

    select
        pool,
        trade_date,
        count(*) as n
    from targets
    where is_broad
    group by pool, trade_date
    qualify row_number() over (partition by pool order by n desc, trade_date) = 1

),

capped as (

    select
        rebalances.*,
        rebalances.target_weight * rebalances.equity_as_of / targets.adv20 as adv_pct
    from {{ ref('rebalances') }} as rebalances
    left join targets
        on
            rebalances.pool = targets.pool
            and rebalances.trade_date = targets.trade_date
            and rebalances.symbol = targets.symbol
    where rebalances.target_weight > 0
    qualify
        row_number() over (
            partition by rebalances.pool
            order by adv_pct desc nulls first, rebalances.trade_date, rebalances.symbol
        ) = 1

),

held as (

    select
        positions.pool,
        positions.trade_date,
        positions.symbol,
        positions.weight,
        funds.category,
        funds.is_broad
    from {{ ref('positions_daily') }} as positions
    inner join funds
        on positions.symbol = funds.symbol
    qualify
        positions.trade_date = max(positions.trade_date) over (partition by positions.pool)
        -- Holdings of an earlier session, where the pool holds nothing now, are none.
        and positions.trade_date = (
            select max(equity.trade_date) from {{ ref('equity_daily') }} as equity
            where equity.pool = positions.pool
        )

),

held_sectors as (

    select
        pool,
        any_value(trade_date) as trade_date,
        category,
        sum(weight order by symbol) as weight
    from held
    where not is_broad
    group by pool, category

),

last_bars as (

    select
        symbol,
        max(trade_date) as last_date
    from {{ ref('stg_etf_daily') }}
    group by symbol

),

without_bar as (

    select
        held.pool,
        held.symbol,
        last_bars.last_date,
        now_session.session_number - last_session.session_number as sessions
    from held
    inner join last_bars
        on held.symbol = last_bars.symbol
    inner join calendar as now_session
        on held.trade_date = now_session.trade_date
    inner join calendar as last_session
        on last_bars.last_date = last_session.trade_date

)

select
    pools.pool,
    'single_weight' as check_name,
    single.symbol,
    single.trade_date,
    single.target_weight / pools.max_single_weight as value,
    coalesce(
        format('weight {:.4f}, limit {:.4f}', single.target_weight, pools.max_single_weight),
        'no rebalance yet'
    ) as detail
from pools
left join single
    on pools.pool = single.pool
union all by name
select
    pools.pool,
    'sector_weight' as check_name,
    sectors.trade_date,
    coalesce(sectors.weight / pools.max_sector_weight, 0) as value,
    format(
        '{} weight {:.4f}, limit {:.4f}', sectors.category, sectors.weight, pools.max_sector_weight
    ) as detail
from pools
left join sectors
    on pools.pool = sectors.pool
union all by name
select
    pools.pool,
    'broad_funds' as check_name,
    broad.trade_date,
    coalesce(broad.n / pools.max_broad_funds, 0) as value,
    format('{} broad funds, limit {}', broad.n, pools.max_broad_funds) as detail
from pools
left join broad
    on pools.pool = broad.pool
union all by name
select
    pools.pool,
    'adv_share' as check_name,
    capped.symbol,
    capped.trade_date,
    -- A missing ADV20 is a violation, never a default.
    case
        when capped.pool is not null
            then coalesce(capped.adv_pct / pools.max_adv_pct, 'infinity')
    end as value,
    case
        when capped.pool is null then 'no rebalance yet'
        when capped.adv_pct is null then 'no ADV20'
        else format('{:.6f} of ADV20, limit {:.4f}', capped.adv_pct, pools.max_adv_pct)
    end as detail
from pools
left join capped
    on pools.pool = capped.pool
union all by name
select
    pools.pool,
    'realised_weight' as check_name,
    held.symbol,
    held.trade_date,
    coalesce(held.weight / pools.max_single_weight, 0) as value,
    format('weight {:.4f}, limit {:.4f}', held.weight, pools.max_single_weight) as detail
from pools
left join held
    on pools.pool = held.pool
union all by name
select
    pools.pool,
    'realised_weight' as check_name,
    held_sectors.trade_date,
    held_sectors.weight / pools.max_sector_weight as value,
    format(
        '{} weight {:.4f}, limit {:.4f}',
        held_sectors.category, held_sectors.weight, pools.max_sector_weight
    ) as detail
from pools
inner join held_sectors
    on pools.pool = held_sectors.pool
union all by name
select
    pools.pool,
    'holding_without_bar' as check_name,
    without_bar.symbol,
    without_bar.last_date as trade_date,
    coalesce(without_bar.sessions, 0) as value,
    format('was the last bar, {} sessions ago', without_bar.sessions) as detail
from pools
left join without_bar
    on pools.pool = without_bar.pool
