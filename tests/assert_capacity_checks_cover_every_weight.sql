-- Every target of a rebalance and every holding of the last session is checked against the single
-- weight and against its ADV20, and nothing else is.

with

rebalances as (

    select * from {{ ref('rebalances') }}

),

positions as (

    select *
    from {{ ref('positions_daily') }}

),

sessions as (

    select
        pool,
        max(trade_date) as trade_date
    from {{ ref('equity_daily') }}
    group by pool

),

checks as (

    select * from {{ ref('capacity_checks') }}

),

weights as (

    select
        pool,
        trade_date,
        'binding' as kind,
        symbol
    from rebalances
    where target_weight > 0
    union all
    select
        positions.pool,
        positions.trade_date,
        'informative' as kind,
        positions.symbol
    from positions
    inner join sessions
        on
            positions.pool = sessions.pool
            and positions.trade_date = sessions.trade_date

),

names as (

    select *
    from (
        values
        ('binding', 'single_weight'),
        ('binding', 'adv_pct'),
        ('informative', 'single_weight'),
        ('informative', 'adv_pct'),
        ('informative', 'adv_pct_at_target_capital')
    ) as pairs (kind, check_name)

),

expected as (

    select
        weights.pool,
        weights.trade_date,
        weights.kind,
        names.check_name,
        weights.symbol as subject
    from weights
    inner join names
        on weights.kind = names.kind

),

found as (

    select
        pool,
        trade_date,
        kind,
        check_name,
        subject
    from checks
    where check_name not in ('sector_weight', 'broad_funds')

)

(select *, 'not checked' as fault from expected except select *, 'not checked' as fault from found)
union all
(select *, 'no such weight' as fault from found except select *, 'no such weight' as fault from expected)
