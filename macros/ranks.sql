{# Sums of two integer columns as input of rank_correlation(), which also needs count(*) as funds. #}
{% macro rank_sums(x, y) -%}
    sum({{ x }})::bigint as sum_x,
        sum({{ y }})::bigint as sum_y,
        sum({{ x }} * {{ x }})::bigint as sum_xx,
        sum({{ y }} * {{ y }})::bigint as sum_yy,
        sum({{ x }} * {{ y }})::bigint as sum_xy
{%- endmacro %}

{# Pearson's correlation of those ranks, with the same bits in any order; null if either is constant. #}
{% macro rank_correlation() -%}
    (funds * sum_xy - sum_x * sum_y)
        / nullif(
            sqrt((funds * sum_xx - sum_x * sum_x)::double) * sqrt((funds * sum_yy - sum_y * sum_y)::double), 0
        )
{%- endmacro %}
