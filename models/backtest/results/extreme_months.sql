-- A fund's gain over a month: value at the end plus sales, less value before the month
-- and purchases, all trades at the open. The difference between fills and the open is
-- slippage.

with

months as (

    select * from {{ ref('monthly_returns') }}

),

pool_equity as (

    select
        *,
        lag(trade_date) over (partition by strategy, pool order by trade_date) as previous_date
    from {{ ref('int_backtest__pool_equity') }}

),

positions as (

    select * from {{ ref('positions_daily') }}

),

trades as (

    select * from {{ ref('trades') }}

),

-- PORTFOLIO's sleeves start every month at their weights.
members as (

    select
        portfolio as strategy,
        'PORTFOLIO' as pool,
        strategy as member_strategy,
        pool as member,
        portfolio_weight as weight
    from {{ ref('int_portfolio_members') }}
    union all
    select distinct
        strategy,
        pool,
        strategy as member_strategy,
        pool as member,
        1.0 as weight
    from pool_equity

),

ranked as (

    select
        *,
        'best' as kind,
        row_number() over (partition by strategy, pool order by -monthly_return, month) as rank
    from months
    union all
    select
        *,
        'worst' as kind,
        row_number() over (partition by strategy, pool order by monthly_return, month) as rank
    from months

),

extremes as (

    select * from ranked
    where rank <= 3

),

spans as (

    select
        extremes.strategy,
        extremes.pool,
        extremes.kind,
        extremes.rank,
        members.member_strategy,
        members.member,
        pool_equity.previous_date,
        extremes.first_date,
        extremes.last_date,
        members.weight / pool_equity.previous_equity as scale
    from extremes
    inner join members
        on
            extremes.strategy = members.strategy
            and extremes.pool = members.pool
    inner join pool_equity
        on
            members.member_strategy = pool_equity.strategy
            and members.member = pool_equity.pool
            and extremes.first_date = pool_equity.trade_date

),

flows as (

    select
        spans.strategy,
        spans.pool,
        spans.kind,
        spans.rank,
        positions.symbol,
        positions.trade_date,
        null as sequence,
        spans.scale
        * positions.market_value
        * case when positions.trade_date = spans.last_date then 1 else -1 end as amount
    from spans
    inner join positions
        on
            spans.member_strategy = positions.strategy
            and spans.member = positions.pool
            and positions.trade_date in (spans.previous_date, spans.last_date)
    union all
    select
        spans.strategy,
        spans.pool,
        spans.kind,
        spans.rank,
        trades.symbol,
        trades.trade_date,
        trades.sequence,
        spans.scale
        * case
            when trades.side = 'sell' then trades.value + trades.slippage
            else trades.slippage - trades.value
        end as amount
    from spans
    inner join trades
        on
            spans.member_strategy = trades.strategy
            and spans.member = trades.pool
            and trades.trade_date between spans.first_date and spans.last_date

),

funds as (

    select
        strategy,
        pool,
        kind,
        rank,
        symbol,
        sum(amount order by trade_date, sequence) as contribution
    from flows
    group by strategy, pool, kind, rank, symbol

),

before_costs as (

    select
        strategy,
        pool,
        kind,
        rank,
        sum(contribution order by symbol) as contribution
    from funds
    group by strategy, pool, kind, rank

),

components as (

    select
        strategy,
        pool,
        kind,
        rank,
        'fund' as component_type,
        symbol as component,
        contribution
    from funds
    union all
    select
        extremes.strategy,
        extremes.pool,
        extremes.kind,
        extremes.rank,
        unnest(['commission', 'slippage', 'exposure', 'selection']) as component_type,
        component_type as component,
        unnest(
            [
                -extremes.commission / extremes.start_equity,
                -extremes.slippage / extremes.start_equity,
                extremes.average_invested * extremes.benchmark_return,
                coalesce(before_costs.contribution, 0)
                - extremes.average_invested * extremes.benchmark_return,
            ]
        ) as contribution
    from extremes
    left join before_costs
        on
            extremes.strategy = before_costs.strategy
            and extremes.pool = before_costs.pool
            and extremes.kind = before_costs.kind
            and extremes.rank = before_costs.rank

)

select
    extremes.strategy,
    extremes.pool,
    extremes.kind,
    cast(extremes.rank as integer) as rank,
    extremes.month,
    extremes.monthly_return,
    components.component_type,
    components.component,
    components.contribution
from extremes
inner join components
    on
        extremes.strategy = components.strategy
        and extremes.pool = components.pool
        and extremes.kind = components.kind
        and extremes.rank = components.rank
order by
    extremes.strategy,
    extremes.pool,
    extremes.kind,
    extremes.rank,
    list_position(
        ['fund', 'commission', 'slippage', 'exposure', 'selection'], components.component_type
    ),
    components.component
