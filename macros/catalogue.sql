{#
    The factors in the order of the catalogue's lines. One that only the catalogue or only `lagged` has
    stops the build. Before the two are built, as when dbt compiles: whatever there will be.
#}
{% macro catalogue_order(lagged, catalogue) %}
    {% set keys = ['symbol', 'trade_date', 'as_of_date', 'pool', 'adj_close'] %}
    {% if not (execute and load_relation(lagged) and load_relation(catalogue)) %}
        {{ return(['* exclude (' ~ keys | join(', ') ~ ')']) }}
    {% endif %}
    {% set listed = run_query('select factor_id from ' ~ catalogue ~ ' order by rowid').columns[0].values() | list %}
    {% set computed = adapter.get_columns_in_relation(lagged) | map(attribute='name') | reject('in', keys) | list %}
    {% set faults = [] %}
    {% for what, factors in [
        ('in the seed factor_catalog but computed by no model', listed | reject('in', computed) | list),
        ('computed but missing from the seed factor_catalog', computed | reject('in', listed) | list),
    ] if factors %}
        {% do faults.append(what ~ ': ' ~ factors | sort | join(', ')) %}
    {% endfor %}
    {% if faults %}
        {{ exceptions.raise_compiler_error('factors and catalogue disagree; ' ~ faults | join('; ')) }}
    {% endif %}
    {{ return(listed) }}
{% endmacro %}
