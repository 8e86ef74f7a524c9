{# Sums of two columns of integers, from which rank_correlation() follows; needs count(*) as funds. #}
{% macro rank_sums(x, y) -%}
    sum({{ x }})::bigint as sum_x,
        sum({{ y }})::bigint as sum_y,
        sum({{ x }} * {{ x }})::bigint as sum_xx,
        sum({{ y }} * {{ y }})::bigint as sum_yy,
        sum({{ x }} * {{ y }})::bigint as sum_xy
{%- endmacro %}

{# Pearson's correlation of those ranks, to the same bits in any order; null where either is constant. #}
{% macro rank_correlation() -%}
    (funds * sum_xy - sum_x * sum_y)
        / nullif(
            sqrt((funds * sum_xx - sum_x * sum_x)::double) * sqrt((funds * sum_yy - sum_y * sum_y)::double), 0
        )
{%- endmacro %}
