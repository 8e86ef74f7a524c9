{#
    Sums of doubles with the same bits in any order: each value becomes a whole number of `1 / scale`,
    and sums of whole numbers are exact. docs/engine.md explains it.
#}

{% macro exact_sum(x, scale='1e15', where=none) -%}
    {% set total = 'sum(' ~ scaled(x, scale) ~ ')' ~ (' filter (where ' ~ where ~ ')' if where else '') %}
    {{- unscaled(total, scale) }}
{%- endmacro %}

{% macro exact_mean(x) -%}
    {{ exact_sum(x) }} / count({{ x }})
{%- endmacro %}

{# For a sum in two steps. #}
{% macro scaled(x, scale='1e15') -%}
    cast(({{ x }}) * {{ scale }} as hugeint)
{%- endmacro %}

{% macro unscaled(total, scale='1e15') -%}
    (cast({{ total }} as double) / {{ scale }})
{%- endmacro %}
