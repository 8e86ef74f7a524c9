{% set holdout_start = holdout_start() %}

-- Returns of each strategy and of equal_weight in the same pool, on common sessions.

with

equity as (

    select * from {{ ref('equity_daily') }}

),

common as (

    select
        own.strategy,
        own.pool,
        own.trade_date,
        own.daily_return,
        rival.daily_return as rival_return
    from equity as own
    inner join equity as rival
        on
            own.pool = rival.pool
            and own.trade_date = rival.trade_date
            and rival.strategy = 'equal_weight'
    where own.strategy <> 'equal_weight'

),

periods as (

    select
        'all' as period,
        date '0001-01-01' as begins_on
    {% if holdout_start %}
    union all
    select
        'since_holdout' as period,
        date '{{ holdout_start }}' as begins_on
    {% endif %}

)

select
    common.strategy,
    common.pool,
    periods.period,
    row_number() over (
        partition by common.strategy, common.pool, periods.period order by common.trade_date
    ) as session,
    common.trade_date,
    common.daily_return,
    common.rival_return
from common
inner join periods
    on common.trade_date >= periods.begins_on
order by common.strategy, common.pool, periods.period, common.trade_date
