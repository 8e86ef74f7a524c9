with

equity as (

    select * from {{ ref('equity_daily') }}

),

calendar as (

    select * from {{ ref('trading_calendar') }}

),

counted as (

    select
        strategy,
        pool,
        trade_date,
        drawdown,
        row_number() over sessions as session_count,
        count(*) filter (where drawdown = 0) over sessions as peaks_so_far
    from equity
    window sessions as (partition by strategy, pool order by trade_date rows unbounded preceding)

),

-- Session 0 is the close at which the pool still held its initial capital, the first
-- peak.
dated as (

    select
        strategy,
        pool,
        session_count,
        trade_date
    from counted
    union all
    select
        counted.strategy,
        counted.pool,
        0 as session_count,
        calendar.previous_trade_date as trade_date
    from counted
    inner join calendar
        on counted.trade_date = calendar.trade_date
    where counted.session_count = 1

),

below_peak as (

    select
        strategy,
        pool,
        peaks_so_far,
        session_count,
        drawdown,
        min(drawdown) over (partition by strategy, pool, peaks_so_far) as depth
    from counted
    where drawdown < 0

),

spells as (

    select
        strategy,
        pool,
        min(depth) as depth,
        min(session_count) - 1 as peak_count,
        min(session_count) filter (where drawdown = depth) as trough_count,
        max(session_count) + 1 as recovery_count
    from below_peak
    group by strategy, pool, peaks_so_far

),

ranked as (

    select
        *,
        row_number() over (partition by strategy, pool order by depth, peak_count) as rank
    from spells

)

select
    ranked.strategy,
    ranked.pool,
    cast(ranked.rank as integer) as rank,
    ranked.depth,
    peak.trade_date as peak_date,
    trough.trade_date as trough_date,
    recovery.trade_date as recovery_date,
    cast(ranked.trough_count - ranked.peak_count as integer) as sessions_to_trough,
    cast(recovery.session_count - ranked.trough_count as integer) as sessions_to_recovery
from ranked
left join dated as peak
    on
        ranked.strategy = peak.strategy
        and ranked.pool = peak.pool
        and ranked.peak_count = peak.session_count
left join dated as trough
    on
        ranked.strategy = trough.strategy
        and ranked.pool = trough.pool
        and ranked.trough_count = trough.session_count
left join dated as recovery
    on
        ranked.strategy = recovery.strategy
        and ranked.pool = recovery.pool
        and ranked.recovery_count = recovery.session_count
where ranked.rank <= 10
order by ranked.strategy, ranked.pool, ranked.rank
