{{ after_the_gate() }}

with

weights as (

    select
        'target_weights' as relation,
        strategy,
        pool,
        trade_date,
        tranche,
        symbol,
        target_weight
    from {{ ref('target_weights') }}

    union all

    select
        'rebalances' as relation,
        strategy,
        pool,
        trade_date,
        tranche,
        symbol,
        target_weight
    from {{ ref('rebalances') }}

)

select
    relation,
    strategy,
    pool,
    trade_date,
    tranche,
    sum(target_weight) as weight_sum,
    min(target_weight) as least_weight
from weights
group by relation, strategy, pool, trade_date, tranche
having
    sum(target_weight) > 1 + 1e-9
    or min(target_weight) < 0
    or count(target_weight) < count(*)
