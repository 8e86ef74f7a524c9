with

figures as (

    select * from {{ ref('int_evidence__figures') }}

),

spans as (

    select
        strategy,
        pool,
        period,
        min(trade_date) as first_date,
        max(trade_date) as last_date
    from {{ ref('int_evidence__returns') }}
    group by strategy, pool, period

)

select
    figures.strategy,
    figures.pool,
    figures.period,
    spans.first_date,
    spans.last_date,
    cast(figures.sessions as integer) as sessions,
    figures.mean_excess,
    figures.excess_t,
    figures.alpha,
    figures.alpha_t,
    figures.sharpe_difference,
    figures.low,
    figures.high,
    figures.verdict
from figures
inner join spans
    on
        figures.strategy = spans.strategy
        and figures.pool = spans.pool
        and figures.period = spans.period
order by figures.strategy, figures.pool, figures.period
