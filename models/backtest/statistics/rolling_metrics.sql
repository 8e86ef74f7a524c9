{% set window = at_least_one('rolling_sessions') | int %}
{% set year = var('sessions_per_year') %}

-- Sums of whole numbers, because a rolling sum of doubles depends on rows that left the
-- window.

with

returns as (

    select
        strategy,
        pool,
        trade_date,
        cast(daily_return * 1e12 as hugeint) as r,
        cast(benchmark_return * 1e12 as hugeint) as b,
        row_number() over sessions as session_count
    from {{ ref('equity_daily') }}
    window sessions as (partition by strategy, pool order by trade_date)

),

sums as (

    select
        strategy,
        pool,
        trade_date,
        session_count,
        sum(r) over sessions as sum_r,
        sum(b) over sessions as sum_b,
        {{ window }} * sum(r * r) over sessions - sum(r) over sessions * sum(r) over sessions as spread_r,
        {{ window }} * sum(b * b) over sessions - sum(b) over sessions * sum(b) over sessions as spread_b,
        {{ window }} * sum(r * b) over sessions - sum(r) over sessions * sum(b) over sessions as spread_rb
    from returns
    window sessions as (
        partition by strategy, pool order by trade_date rows {{ window - 1 }} preceding
    )

),

measured as (

    select
        strategy,
        pool,
        trade_date,
        cast(sum_r as double) / {{ window }} / 1e12 - {{ var('risk_free_rate') }} / {{ year }} as mean_x,
        cast(sum_b as double) / {{ window }} / 1e12 - {{ var('risk_free_rate') }} / {{ year }} as benchmark_mean_x,
        sqrt(cast(spread_r as double) / nullif({{ window }} * ({{ window }} - 1), 0)) / 1e12 as deviation,
        sqrt(cast(spread_b as double) / nullif({{ window }} * ({{ window }} - 1), 0)) / 1e12 as benchmark_deviation,
        case when spread_b > 0 then cast(spread_rb as double) / cast(spread_b as double) end as beta
    from sums
    where session_count >= {{ window }}

)

select
    strategy,
    pool,
    trade_date,
    sqrt({{ year }}) * deviation as volatility,
    case when deviation > 0 then sqrt({{ year }}) * mean_x / deviation end as sharpe,
    beta,
    sqrt({{ year }}) * benchmark_deviation as benchmark_volatility,
    case when benchmark_deviation > 0 then sqrt({{ year }}) * benchmark_mean_x / benchmark_deviation end
    as benchmark_sharpe
from measured
order by strategy, pool, trade_date
