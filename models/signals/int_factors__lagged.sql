-- A view: factor_panel puts its columns into catalog order.
{{ config(materialized='view') }}

{% set families = [
    'moving_averages', 'macd', 'rsi', 'regression', 'direction', 'oscillators', 'returns',
    'true_range', 'volatility', 'volume', 'cross_section',
] %}
{# Laid side by side are tables: of the bands the one that their formulas are about. #}
{% set tables = {'bands': ref('int_bands')} %}
{% for family in families %}{% do tables.update({family: ref('factors_' ~ family)}) %}{% endfor %}

-- Every family has one row a bar, sorted alike, so they are laid side by side, ten times faster
-- than joined by key. Were one out of step, the build would stop here.
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
