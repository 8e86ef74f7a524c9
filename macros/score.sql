{#
    The percentile rank of every fund in every scored factor: its average rank among the pool's
    funds with a value on the session, over their number.
#}
{% macro percentile_ranks(factor_values, catalog) -%}
    select
        factor_values.pool,
        factor_values.trade_date,
        factor_values.symbol,
        factor_values.factor_id,
        -- Equal values get the mean of their first and last rank.
        (rank() over ranking + count(*) over ranking) / 2.0
        / count(*) over (
            partition by factor_values.pool, factor_values.trade_date, factor_values.factor_id
        ) as percentile_rank
    from {{ factor_values }} as factor_values
    inner join {{ catalog }} as catalog
        on factor_values.factor_id = catalog.factor_id
    where catalog.score_direction is not null
    window
        ranking as (
            partition by factor_values.pool, factor_values.trade_date, factor_values.factor_id
            order by factor_values.factor_value * catalog.score_direction
        )
{%- endmacro %}
