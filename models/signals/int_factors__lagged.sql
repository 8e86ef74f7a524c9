-- A view. factor_panel puts its columns into the catalog's order.
{{ config(materialized='view') }}

{% set families = [
    'moving_averages', 'macd', 'rsi', 'regression', 'direction', 'oscillators', 'returns',
    'true_range', 'volatility', 'volume', 'cross_section',
] %}
{# Laid side by side are tables: of the bands the one that their formulas are about. #}
{% set tables = {'bands': ref('int_bands')} %}
{% for family in families %}{% do tables.update({family: ref('factors_' ~ family)}) %}{% endfor %}

-- A positional join, because it is ten times faster than a join by key. Every family
-- has one row per bar in the same order. The build stops here if one is out of step.
select
    lagged.symbol,
    lagged.trade_date,
    lagged.as_of_date,
    lagged.pool,
    lagged.adj_close,
    {% for family in families %}
    {{ family }}.* exclude (bar_id),
    {% endfor %}
    {{ band_factors() }}
from {{ ref('int_bars__lagged') }} as lagged
{% for family, table in tables.items() %}
positional join {{ table }} as {{ family }}
{% endfor %}
where
    {% for family, table in tables.items() %}
    case
        when {{ family }}.bar_id is not distinct from lagged.bar_id then true
        else error('{{ table.identifier }} is out of step with int_bars__lagged at ' || coalesce(lagged.symbol || ' ' || lagged.as_of_date, 'its end'))
    end{{ ' and' if not loop.last }}
    {% endfor %}
