-- Exactly the targets of rebalances and the holdings of the last session are checked
-- against the single weight and the ADV20.

{{ after_the_gate() }}

with

live as (

    select * from {{ ref('int_live_strategies') }}

),

rebalances as (

    select * from {{ ref('rebalances') }}
    semi join live using (strategy, pool)

),

positions as (

    select * from {{ ref('positions_daily') }}
    semi join live using (strategy, pool)

),

sessions as (

    select
        pool,
        max(trade_date) as trade_date
    from {{ ref('equity_daily') }}
    semi join live using (strategy, pool)
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
        tranche,
        symbol
    from rebalances
    where target_weight > 0
    union all
    select
        positions.pool,
        positions.trade_date,
        'informative' as kind,
        0 as tranche,
        positions.symbol
    from positions
    inner join sessions
        on
            positions.pool = sessions.pool
            and positions.trade_date = sessions.trade_date

),

names as (

    select
        pairs.kind,
        pairs.check_name
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
        weights.tranche,
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
        tranche,
        check_name,
        subject
    from checks
    where check_name not in ('sector_weight', 'broad_funds')

)

select
    coalesce(expected.pool, found.pool) as pool,
    coalesce(expected.trade_date, found.trade_date) as trade_date,
    coalesce(expected.kind, found.kind) as kind,
    coalesce(expected.tranche, found.tranche) as tranche,
    coalesce(expected.check_name, found.check_name) as check_name,
    coalesce(expected.subject, found.subject) as subject,
    case when found.pool is null then 'not checked' else 'no such weight' end as fault
from expected
full outer join found
    on
        expected.pool = found.pool
        and expected.trade_date = found.trade_date
        and expected.kind = found.kind
        and expected.tranche = found.tranche
        and expected.check_name = found.check_name
        and expected.subject = found.subject
where expected.pool is null or found.pool is null
