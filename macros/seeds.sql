{# In place of dbt-duckdb's macro, which does not quote an apostrophe in the project's path. #}
{% macro duckdb__load_csv_rows(model, agate_table) %}
    {% set sql %}
        copy {{ this }} from {{ sql_text(adapter.get_seed_file_path(model)) }} (format csv, header true)
    {% endset %}
    {% do adapter.add_query(sql, abridge_sql_log=true) %}
    {{ return(sql) }}
{% endmacro %}
