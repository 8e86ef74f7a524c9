-- depends_on: {{ ref('int_bars__lagged') }}
-- depends_on: {{ ref('int_funds') }}
-- depends_on: {{ ref('factor_panel') }}
-- depends_on: {{ ref('int_scored_factors') }}
-- depends_on: {{ ref('scores') }}
-- depends_on: {{ ref('trading_calendar') }}
-- depends_on: {{ ref('etf_pools') }}
-- depends_on: {{ ref('pool_constraints') }}

-- The funds of every pool and session, ranked by each model of models/strategies. The code of
-- such a model stands here as it is in its file: a new file is found without being named, and may
-- read the relations above and no other.

{% set rankings = {} %}
{% if execute %}
    {% for node in graph.nodes.values() | sort(attribute='name') %}
        {% if node.resource_type == 'model' and node.fqn[1] == 'strategies' %}
            {% do rankings.update({node.name: render(node.raw_code)}) %}
        {% endif %}
    {% endfor %}
{% endif %}

with

pools as (

    select pool from {{ ref('pool_constraints') }}

),

ranked as (

    {% for name, code in rankings.items() %}
    select
        '{{ name }}' as ranking,
        pool,
        trade_date,
        symbol,
        columns(lambda name: name in ('score', 'raw_weight'))
    from (
        {{ code | indent(8) }}
    )
    -- Named here, a column that the model lacks is an error.
    where pool is not null and trade_date is not null and symbol is not null and (score is null or true)
    union all by name
    {% endfor %}
    select
        cast(null as varchar) as ranking,
        cast(null as varchar) as pool,
        cast(null as date) as trade_date,
        cast(null as varchar) as symbol,
        cast(null as double) as score,
        cast(null as double) as raw_weight
    where false

),

checked as (

    select
        ranked.ranking,
        ranked.pool,
        ranked.trade_date,
        ranked.symbol,
        case
            when isfinite(ranked.score) then ranked.score
            when ranked.score is not null then error(
                format('{} {} {}: score is not finite', ranked.ranking, ranked.symbol, ranked.trade_date)
            )
        end as score,
        case
            when isfinite(ranked.raw_weight) and ranked.raw_weight >= 0 then ranked.raw_weight
            when ranked.raw_weight is not null then error(
                format('{} {} {}: raw_weight is not a number of at least 0', ranked.ranking, ranked.symbol, ranked.trade_date)
            )
        end as raw_weight
    from ranked
    inner join pools
        on ranked.pool = pools.pool

)

select
    *,
    case
        when score is not null
            then row_number() over (
                partition by ranking, pool, trade_date order by score desc nulls last, symbol asc
            )
    end as rank
from checked
order by ranking, pool, trade_date, symbol
