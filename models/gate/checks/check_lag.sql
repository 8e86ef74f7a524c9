{{ config(materialized='ephemeral') }}

-- The lag of one session: the permitted edges of the manifest, and the panel against
-- its sources.

{#
    Which folders a model may read from. Signals and strategies read nothing from before the lag, what
    follows reads the lagged, and nothing reads the gate. Edges beyond this are in the seed lag_edges.
    dbt itself refuses most of the others (models/groups.yml); this also sees a relation by its name,
    a fill that a signal reads, and a model that was put into the group.
#}
{% set lagged = ['signals', 'strategies'] %}
{% set may_read = {
    'backtest': lagged + ['backtest'],
    'capacity': lagged + ['backtest', 'capacity'],
    'marts': lagged + ['backtest', 'capacity', 'marts'],
} %}
{% set not_judged = ['staging', 'factors', 'gate', 'research'] %}
{% set edges = [] %}
{% if execute %}
    {% for node in graph.nodes.values() | sort(attribute='unique_id') %}
        {% if node.resource_type == 'model' and node.fqn[1] not in not_judged %}
            {% for parent_id in node.depends_on.nodes | unique | sort %}
                {% set parent = graph.nodes[parent_id] %}
                {% set folders = may_read.get(node.fqn[1], lagged) %}
                {% if parent.resource_type == 'model' and parent.fqn[1] not in folders %}
                    {% do edges.append((parent.name, node.name, node.original_file_path)) %}
                {% endif %}
            {% endfor %}
            {# A relation named without ref leaves no edge in the manifest. #}
            {% for name in modules.re.findall(
                '(?:(?:from|join)\\s+"?|[(]\\s*["\'])((?:staging|factors|signals|backtest|capacity)"?\\."?\\w+)',
                node.raw_code | lower
            ) %}
                {% do edges.append((name, node.name, node.original_file_path)) %}
            {% endfor %}
        {% endif %}
    {% endfor %}
{% endif %}

with

found as (

    select
        unnest({{ edges | map(attribute=0) | list or ['none'] }}) as parent,
        unnest({{ edges | map(attribute=1) | list or ['none'] }}) as child,
        unnest({{ edges | map(attribute=2) | list or ['none'] }}) as path

),

allowed as (

    select * from {{ ref('lag_edges') }}

),

offending as (

    select found.*
    from found
    left join allowed
        on
            -- A new family of factors needs no row in the seed.
            found.parent like replace(allowed.parent, '_', '\_') escape '\'
            and allowed.child in (found.child, '*')
    where allowed.parent is null and found.child <> 'none'

),

differences as (

    select * from {{ ref('int_lag__differences') }}

)

select
    'BUILD' as pool,
    'lag_static' as check_name,
    offending.path as source_file,
    cast(null as varchar) as symbol,
    cast(null as date) as trade_date,
    (offending.child is not null)::integer as value,
    offending.parent || ' -> ' || offending.child as detail,
    offending.parent || ' -> ' || offending.child as detail_zh
from (select 1) as build
left join offending
    on true
union all
select
    'BUILD' as pool,
    'lag_dynamic' as check_name,
    null as source_file,
    differences.symbol,
    differences.trade_date,
    (differences.column_name is not null)::integer as value,
    coalesce(
        format('{} differs on {} rows', differences.column_name, differences.n_rows),
        differences.column_name || ' is in no family of factors'
    ) as detail,
    coalesce(
        format(
            '{} 有 {} 行不一致',
            case differences.column_name when 'row keys' then '主键' else differences.column_name end,
            differences.n_rows
        ),
        differences.column_name || ' 不属于任何因子族'
    ) as detail_zh
from (select 1) as build
left join differences
    on true
