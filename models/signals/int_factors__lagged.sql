-- A view: factor_panel puts its columns into catalogue order.
{{ config(materialized='view') }}

{% set families = [
    'moving_averages', 'macd', 'rsi', 'regression', 'direction', 'oscillators', 'returns', 'bands',
    'true_range', 'volatility', 'volume', 'cross_section',
] %}

-- Every family has one row a bar, sorted alike, so they are laid side by side, ten times faster
-- than joined by key. Were one out of step, the build would stop here.
select
    lagged.symbol,
    lagged.trade_date,
    lagged.as_of_date,
    lagged.pool,
    lagged.adj_close,
    {% for family in families %}
    {{ family }}.* exclude (symbol, trade_date){{ ',' if not loop.last }}
    {% endfor %}
from {{ ref('int_bars__lagged') }} as lagged
{% for family in families %}
positional join {{ ref('factors_' ~ family) }} as {{ family }}
{% endfor %}
where
    {% for family in families %}
    case
        when
            {{ family }}.symbol is not distinct from lagged.symbol
            and {{ family }}.trade_date is not distinct from lagged.as_of_date
            then true
        else error('factors_{{ family }} is out of step with int_bars__lagged at ' || coalesce(lagged.symbol || ' ' || lagged.as_of_date, 'its end'))
    end{{ ' and' if not loop.last }}
    {% endfor %}
