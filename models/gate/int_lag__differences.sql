-- The panel recomputed from bars, calendar and factors, apart from the models that lag: the columns
-- that differ on any row. `row keys` stands for rows that only one side has.
-- depends_on: {{ ref('factor_panel') }}

{% set keys = ['symbol', 'trade_date', 'as_of_date', 'pool'] %}
{% set missing = [] %}
{% set families = {} %}
{% if execute %}
    {% for column in adapter.get_columns_in_relation(ref('factor_panel')) if column.name not in keys %}
        {% do missing.append(column.name) %}
    {% endfor %}
    {# Whatever the folder holds, and not what the lag joins: a family that it forgot shows here. #}
    {% for node in graph.nodes.values() | sort(attribute='name') %}
        {% if node.resource_type == 'model' and node.fqn[1] == 'factors' and node.name.startswith('factors_') %}
            {% set relation = api.Relation.create(node.database, node.schema, node.alias) %}
            {% set columns = [] %}
            {% for column in adapter.get_columns_in_relation(relation) if column.name in missing %}
                {% do columns.append(column.name) %}
                {% do missing.remove(column.name) %}
            {% endfor %}
            {% if columns %}
                {% do families.update({node.name: (relation, columns)}) %}
            {% endif %}
        {% endif %}
    {% endfor %}
{% endif %}

{# Whether all values of a column sit on the rows of the same bars: sums of hashes tell, and nothing is
   kept in memory. Only a family where they differ is compared row by row. #}
{% set sums %}
with

bars as materialized (

    select
        row_number() over (order by symbol, trade_date) as bar_id,
        hash(symbol, trade_date) as key_hash
    from {{ ref('stg_etf_daily') }}

),

panel as (

    select
        *,
        hash(symbol, as_of_date) as key_hash
    from {{ ref('factor_panel') }}

),

panel_sums as (

    select
        unnest([
            {% for _, columns in families.values() %}{% for column in columns %}
            ('{{ column }}', coalesce(sum(hash(key_hash, {{ column }})), 0)),
            {% endfor %}{% endfor %}
        ]) as column_sum
    from panel

)

{% for family, (relation, columns) in families.items() %}
select '{{ family }}' as family
from (
    select
        unnest([
            {% for column in columns %}
            ('{{ column }}', coalesce(sum(hash(key_hash, {{ column }})), 0)),
            {% endfor %}
        ]) as column_sum
    from {{ relation }}
    inner join bars
        using (bar_id)
)
where column_sum not in (select column_sum from panel_sums)
{{ 'union' if not loop.last }}
{% endfor %}
order by family
{% endset %}
{% set suspicious = [] %}
{% if families and flags.WHICH in ('build', 'run') %}
    {% do suspicious.extend(run_query(sums).columns[0].values()) %}
{% endif %}

with

bars as (

    select
        symbol,
        trade_date,
        pool,
        -- By this number a family knows a bar.
        row_number() over (order by symbol, trade_date) as bar_id
    from {{ ref('stg_etf_daily') }}

),

calendar as (

    select * from {{ ref('trading_calendar') }}

),

expected as (

    select
        bars.symbol,
        following.trade_date,
        bars.trade_date as as_of_date,
        bars.pool
    from bars
    inner join calendar as own
        on bars.trade_date = own.trade_date
    inner join calendar as following
        on own.session_number + 1 = following.session_number

),

panel_keys as (

    select
        symbol,
        trade_date,
        as_of_date,
        pool
    from {{ ref('factor_panel') }}

),

different_keys as (

    (
        select * from panel_keys
        except all
        select * from expected
    )
    union all
    (
        select * from expected
        except all
        select * from panel_keys
    )

),

{% for family in suspicious %}
{% set relation, columns = families[family] %}
{{ family }} as (

    select
        panel.symbol,
        panel.trade_date,
        unnest([
            {% for column in columns %}
            case when panel.{{ column }} is distinct from own.{{ column }} then '{{ column }}' end{{ ',' if not loop.last }}
            {% endfor %}
        ]) as column_name
    -- Not by a CTE: used so often, it would be held in memory with all of its columns.
    from {{ ref('factor_panel') }} as panel
    left join (
        select
            bars.symbol,
            bars.trade_date,
            family.*
        from {{ relation }} as family
        inner join bars
            on family.bar_id = bars.bar_id
    ) as own
        on
            panel.symbol = own.symbol
            -- A wrong one is a difference of the row keys.
            and panel.as_of_date = own.trade_date
    where
        {% for column in columns %}
        panel.{{ column }} is distinct from own.{{ column }}{{ ' or' if not loop.last }}
        {% endfor %}

),

{% endfor %}
differences as (

    select
        symbol,
        trade_date,
        'row keys' as column_name
    from different_keys
    {% for family in suspicious %}
    union all
    select
        symbol,
        trade_date,
        column_name
    from {{ family }}
    where column_name is not null
    {% endfor %}

)

select
    column_name,
    arg_min(symbol, (trade_date, symbol)) as symbol,
    min(trade_date) as trade_date,
    count(*) as n_rows
from differences
group by column_name
{% for column in missing %}
union all
select
    '{{ column }}' as column_name,
    cast(null as varchar) as symbol,
    cast(null as date) as trade_date,
    cast(null as bigint) as n_rows
{% endfor %}
