{#
    Stores the descriptions of a YAML file as comments. Replaces dbt's macro, which looks up the
    columns twice and took a second of every build.
#}
{% macro duckdb__persist_docs(relation, model, for_relation, for_columns) %}
    {% set comments = [] %}
    {% if for_relation and config.persist_relation_docs() and model.description %}
        {% do comments.append('comment on ' ~ relation.type ~ ' ' ~ relation ~ ' is ' ~ sql_text(model.description)) %}
    {% endif %}
    {% if for_columns and config.persist_column_docs() %}
        {% for column in model.columns.values() if column.description %}
            {% do comments.append('comment on column ' ~ relation ~ '.' ~ column.name ~ ' is ' ~ sql_text(column.description)) %}
        {% endfor %}
    {% endif %}
    {% if comments %}{% do run_query(comments | join(';\n')) %}{% endif %}
{% endmacro %}


{#
    Stores the descriptions of the seed factor_catalog as comments of the factor columns, except in
    int_factors__lagged, because readers use the panel.
#}
{% macro describe_factors(catalog) %}
    {% if execute and flags.WHICH in ['build', 'run', 'seed'] and load_relation(catalog) %}
        {% set statements %}
            select
                format(
                    'comment on column {}.{}.{} is ''{}''',
                    columns.schema_name,
                    columns.table_name,
                    columns.column_name,
                    replace(catalog.description, '''', '''''')
                )
            from duckdb_columns() as columns
            inner join {{ catalog.render() }} as catalog
                on columns.column_name = catalog.factor_id
            where
                columns.database_name = {{ sql_text(catalog.database) }}
                and columns.schema_name in ('factors', 'signals')
                and columns.table_name <> 'int_factors__lagged'
                and columns.comment is distinct from catalog.description
        {% endset %}
        {% set comments = run_query(statements).columns[0].values() %}
        {# One transaction, because separate statements would each be written to disk. #}
        {% do run_query((['begin'] + comments | list + ['commit']) | join(';\n')) %}
    {% endif %}
{% endmacro %}
