-- depends_on: {{ ref('int_bars__lagged') }}
-- depends_on: {{ ref('int_factors__lagged') }}
-- depends_on: {{ ref('int_funds') }}
-- depends_on: {{ ref('factor_panel') }}
-- depends_on: {{ ref('int_scored_factors') }}
-- depends_on: {{ ref('scores') }}
-- depends_on: {{ ref('trading_calendar') }}
-- depends_on: {{ ref('etf_pools') }}
-- depends_on: {{ ref('pool_constraints') }}

-- The funds of every pool and session, ranked by each model of models/strategies. The
-- code of these models is included here, so a new file needs no registration. It may
-- read only the relations above.

{% set rankings = {} %}
{% if execute %}
    {% for node in graph.nodes.values() | sort(attribute='name') %}
        {% if node.resource_type == 'model' and node.fqn[1] == 'strategies' %}
            {% for relation in node.depends_on.nodes if relation not in model.depends_on.nodes %}
                {% set name = relation.split('.') | last %}
                {% do exceptions.raise_compiler_error(
                    node.original_file_path ~ " reads " ~ name ~ ": add the line -- depends_on: {{ ref('" ~ name
                    ~ "') }} to models/signals/int_rankings.sql, or read a relation that stands there"
                ) %}
            {% endfor %}
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
    -- Aliased by the model's name, so that an error about a missing column names the
    -- model.
    select
        '{{ name }}' as ranking,
        {{ name }}.pool,
        {{ name }}.trade_date,
        {{ name }}.symbol,
        cast({{ name }}.score as double) as score,
        cast({{ name }}.raw_weight as double) as raw_weight
    from (
        select *
        from (
            {{ code | indent(12) }}
        )
        union all by name
        select cast(null as double) as raw_weight where false
    ) as {{ name }}
    where {{ name }}.pool is not null and {{ name }}.trade_date is not null and {{ name }}.symbol is not null
    union all
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
            when count(*) over (partition by ranked.ranking, ranked.pool, ranked.trade_date, ranked.symbol) > 1
                then error(
                    format(
                        '{}: {} has two rows on {}; a ranking has one per fund and session',
                        ranked.ranking,
                        ranked.symbol,
                        ranked.trade_date
                    )
                )
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
