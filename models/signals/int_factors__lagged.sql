{{ config(materialized='view') }}

{% set families = [
    'moving_averages', 'smoothed', 'regression', 'direction', 'oscillators', 'returns', 'bands',
    'volatility', 'volume', 'cross_section',
] %}

select
    lagged.symbol,
    lagged.trade_date,
    lagged.as_of_date,
    lagged.pool,
    {% for family in families %}
    {{ family }}.* exclude (symbol, trade_date){{ ',' if not loop.last }}
    {% endfor %}
from {{ ref('int_bars__lagged') }} as lagged
{% for family in families %}
inner join {{ ref('factors_' ~ family) }} as {{ family }}
    on
        lagged.symbol = {{ family }}.symbol
        and lagged.as_of_date = {{ family }}.trade_date
{% endfor %}
order by lagged.symbol, lagged.trade_date
