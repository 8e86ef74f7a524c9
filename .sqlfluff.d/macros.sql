{# What the linter puts in place of the project's macros: it judges what is written in a model, not
   the thousands of lines that rolling() writes. #}
{% macro rolling(name, source) %}{% set _ = (varargs, kwargs) %}{{ name }} as (

    select * from {{ source }}

){% endmacro %}
{% macro smoothing(name, source) %}{% set _ = (varargs, kwargs) %}{{ name }} as (

    select * from {{ source }}

){% endmacro %}
{% macro averaged(id) %}{% set _ = (varargs, kwargs) %}{{ id }}{% endmacro %}
{% macro accumulated(id) %}{% set _ = (varargs, kwargs) %}{{ id }}{% endmacro %}
{% macro ago(x, n) %}{% set _ = (varargs, kwargs) %}lag({{ x }}, {{ n }}) over (){% endmacro %}
{% macro sd(x, n) %}{% set _ = (varargs, kwargs) %}sqrt({{ x }}_dev_{{ n }}){% endmacro %}
{% macro one_of(name, value, allowed) %}{% set _ = (varargs, kwargs) %}{{ allowed[0] }}{% endmacro %}
{% macro selected_pools() %}{% set _ = (varargs, kwargs) %}{% endmacro %}
{% macro universe() %}{% set _ = (varargs, kwargs) %}pools{% endmacro %}
{% macro raw_root() %}{% set _ = (varargs, kwargs) %}raw{% endmacro %}
{% macro as_of() %}{% set _ = (varargs, kwargs) %}{% endmacro %}
{% macro holdings_file() %}{% set _ = (varargs, kwargs) %}{% endmacro %}
{% macro is_rebalance_session(calendar) %}{% set _ = (varargs, kwargs) %}{{ calendar }}.is_first_of_month{% endmacro %}
