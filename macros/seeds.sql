{# Replaces dbt-duckdb's macro, which does not escape an apostrophe in the project's path. #}
{% macro duckdb__load_csv_rows(model, agate_table) %}
    {% set sql %}
        copy {{ this }} from {{ sql_text(adapter.get_seed_file_path(model)) }} (format csv, header true)
    {% endset %}
    {% do adapter.add_query(sql, abridge_sql_log=true) %}
    {{ return(sql) }}
{% endmacro %}


{# Loads the seeds without a table, so that `dbt run` works in a fresh checkout. #}
{% macro load_missing_seeds() %}
    {% set loaded = [] %}
    {% if execute and flags.WHICH == 'run' %}
        {% for seed in graph.nodes.values() | selectattr('resource_type', 'equalto', 'seed') %}
            {% set relation = api.Relation.create(seed.database, seed.schema, seed.alias) %}
            {% if not load_relation(relation) %}
                {% do adapter.create_schema(relation) %}
                {% do run_query(create_seed(relation, seed)) %}
                {% do loaded.append(seed.name) %}
            {% endif %}
        {% endfor %}
    {% endif %}
    {% if loaded %}
        {% do log('loaded the seeds that had no table: ' ~ loaded | sort | join(', '), info=true) %}
    {% endif %}
{% endmacro %}


{# The statement that creates a seed's table with the types of its YAML file. #}
{% macro create_seed(relation, seed) -%}
    create table {{ relation }} as
    from read_csv(
        {{ sql_text(adapter.get_seed_file_path(seed)) }},
        {% if seed.config.column_types %}
        types = {{ seed.config.column_types | tojson | replace('"', "'") }},
        {% endif %}
        all_varchar = true,
        header = true
    )
{%- endmacro %}
