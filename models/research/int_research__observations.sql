-- One row per factor value and forward return, ranked within pool, session and factor.
-- Ranks are doubled as in int_research__factors, but only over funds with a return.
with

factors as (

    select * from {{ ref('int_research__factors') }}

),

forward_returns as (

    select * from {{ ref('int_research__forward_returns') }}

),

pool_sizes as (

    select
        pool,
        case
            when count(*) < {{ var('research_small_pool_funds') }} then {{ var('research_quantiles_small_pool') }}
            else {{ var('research_quantiles') }}
        end as quantiles
    from {{ ref('int_funds') }}
    group by pool

),

ranked as (

    select
        factors.pool,
        factors.factor_id,
        forward_returns.horizon_sessions,
        factors.trade_date,
        factors.symbol,
        forward_returns.forward_return,
        pool_sizes.quantiles,
        count(*) over cross_section as funds,
        rank() over by_factor as factor_rank,
        rank() over by_factor + count(*) over by_factor as doubled_factor_rank,
        rank() over by_return + count(*) over by_return as doubled_return_rank
    from factors
    inner join forward_returns
        on
            factors.symbol = forward_returns.symbol
            and factors.trade_date = forward_returns.trade_date
    inner join pool_sizes
        on factors.pool = pool_sizes.pool
    window
        cross_section as (
            partition by factors.pool, factors.factor_id, forward_returns.horizon_sessions, factors.trade_date
        ),
        by_factor as (
            partition by factors.pool, factors.factor_id, forward_returns.horizon_sessions, factors.trade_date
            order by factors.factor_value
        ),
        by_return as (
            partition by factors.pool, factors.factor_id, forward_returns.horizon_sessions, factors.trade_date
            order by forward_returns.forward_return
        )

)

select
    pool,
    factor_id,
    horizon_sessions,
    trade_date,
    symbol,
    forward_return,
    funds,
    doubled_factor_rank,
    doubled_return_rank,
    -- The interval between two interpolated quantiles of the cross-section that
    -- contains the value, closed above: the one of k quantiles at position rank - 1 of
    -- 0…funds - 1.
    case
        when funds >= quantiles
            then cast(greatest(1, ((factor_rank - 1) * quantiles + funds - 2) // (funds - 1)) as integer)
    end as factor_quantile
from ranked
