{# The value as a text of SQL: in quotes, an apostrophe doubled. #}
{% macro sql_text(value) -%}
    '{{ value | string | replace("'", "''") }}'
{%- endmacro %}
