-- Every fund with a bar before a session, with its figures for each strategy of its
-- pool.

{% set windows = [5, 10, 20, 30, 60, 120] %}

with

strategies as (

    select * from {{ ref('int_strategies') }}

),

lagged as (

    select * from {{ ref('int_bars__lagged') }}

),

rankings as (

    select * from {{ ref('int_rankings') }}

),

with_weights as (

    select
        ranking,
        pool,
        count(raw_weight) as n_raw_weights
    from rankings
    group by ranking, pool

),

volatilities as (

    select
        symbol,
        {% for window in windows %}
        volatility_{{ window }},
        {% endfor %}
        trade_date
    from {{ ref('factor_panel') }}

),

joined as (

    select
        strategies.strategy,
        lagged.pool,
        lagged.trade_date,
        lagged.symbol,
        rankings.score,
        rankings.rank,
        lagged.adv20,
        strategies.weighting,
        case strategies.weighting
            when 'inverse_volatility'
                then case strategies.volatility_window
                    {% for window in windows %}
                    when {{ window }} then volatilities.volatility_{{ window }}
                    {% endfor %}
                end
            when 'own'
                then case
                    when with_weights.n_raw_weights > 0 then rankings.raw_weight
                    else error(
                        format(
                            'seed strategies: {} in {}: weighting is own, and {} has no raw_weight',
                            strategies.strategy,
                            strategies.pool,
                            strategies.ranking
                        )
                    )
                end
        end as raw_value
    from strategies
    inner join lagged
        on strategies.pool = lagged.pool
    inner join volatilities
        on
            lagged.symbol = volatilities.symbol
            and lagged.trade_date = volatilities.trade_date
    left join rankings
        on
            strategies.ranking = rankings.ranking
            and lagged.pool = rankings.pool
            and lagged.trade_date = rankings.trade_date
            and lagged.symbol = rankings.symbol
    left join with_weights
        on
            strategies.ranking = with_weights.ranking
            and strategies.pool = with_weights.pool

)

select
    strategy,
    pool,
    trade_date,
    symbol,
    score,
    rank,
    adv20,
    raw_value,
    case
        when score is null then 'no_score'
        when adv20 is null then 'no_adv'
        when adv20 < {{ var('min_adv_cny') }} then 'low_adv'
        when weighting = 'inverse_volatility' and raw_value is null then 'no_volatility'
        when weighting = 'inverse_volatility' and raw_value <= 0 then 'zero_volatility'
    end as ineligible
from joined
order by strategy, pool, trade_date, symbol
