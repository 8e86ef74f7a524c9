-- Every session on which a strategy traded a fund, with the shares before and after and
-- the remaining cost of the position (average cost).

with

fills as (

    select
        strategy,
        pool,
        symbol,
        trade_date,
        coalesce(sum(shares order by sequence) filter (where side = 'buy'), 0) as bought_shares,
        coalesce(sum(shares order by sequence) filter (where side = 'sell'), 0) as sold_shares,
        coalesce(sum(value order by sequence) filter (where side = 'buy'), 0) as bought_value,
        coalesce(sum(value order by sequence) filter (where side = 'sell'), 0) as sold_value,
        sum(commission order by sequence) as commission,
        sum(slippage order by sequence) as slippage
    from {{ ref('trades') }}
    group by strategy, pool, symbol, trade_date

),

changes as (

    select
        fills.*,
        -- Sales come before purchases, so this is the remainder after sales. Not
        -- yesterday's shares: corporate actions changed them before the open.
        coalesce(positions.shares, 0) - fills.bought_shares as kept_shares
    from fills
    left join {{ ref('positions_daily') }} as positions
        on
            fills.strategy = positions.strategy
            and fills.pool = positions.pool
            and fills.symbol = positions.symbol
            and fills.trade_date = positions.trade_date

)

select
    *,
    -- Fractions of a share are real, but the rounding error of a closed position is
    -- not.
    kept_shares <= 1e-6 and bought_shares > 0 as is_entry,
    case when kept_shares > 1e-6 then kept_shares / (kept_shares + sold_shares) else 0 end as kept_part,
    count(*) filter (where kept_shares <= 1e-6 and bought_shares > 0) over (
        partition by strategy, pool, symbol order by trade_date rows unbounded preceding
    ) as trip
from changes
order by strategy, pool, symbol, trade_date
