{#
    Sums of doubles that have the same bits in any order: each value becomes a whole number of
    `1 / scale`, and whole numbers add up exactly. docs/engine.md explains it.
#}

{% macro exact_sum(x, scale='1e15', where=none) -%}
    {% set total = 'sum(' ~ scaled(x, scale) ~ ')' ~ (' filter (where ' ~ where ~ ')' if where else '') %}
    {{- unscaled(total, scale) }}
{%- endmacro %}

{% macro exact_mean(x) -%}
    {{ exact_sum(x) }} / count({{ x }})
{%- endmacro %}

{# The parts of a sum that is taken in two steps. #}
{% macro scaled(x, scale='1e15') -%}
    cast(({{ x }}) * {{ scale }} as hugeint)
{%- endmacro %}

{% macro unscaled(total, scale='1e15') -%}
    (cast({{ total }} as double) / {{ scale }})
{%- endmacro %}
