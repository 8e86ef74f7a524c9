{% set windows = [5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 120, 150, 200, 252] %}
{% set emas = [5, 10, 12, 20, 26, 30, 40, 50, 60, 80, 100, 120, 150, 200, 252] %}

with

bars as (

    select
        bar_id,
        bar_number,
        c
    from {{ ref('int_bars') }}

),

{{ rolling('windows', 'bars', (windows + emas) | unique | sort, sum=['c']) }},

{% set states = [] %}
{% for n in emas %}{% do states.append(ema_state('ema_' ~ n, 'c', n)) %}{% endfor %}
{{ smoothing('averages', 'windows', states) }}

select
    bar_id,
    {% for n in windows %}
    c_sum_{{ n }} / {{ n }} as sma_{{ n }},
    {% endfor %}
    {% for n in emas %}
    ema_{{ n }},
    {% endfor %}
    {% for n in [5, 10, 20, 60, 120, 252] %}
    c / (c_sum_{{ n }} / {{ n }}) - 1 as bias_{{ n }}{{ ',' if not loop.last }}
    {% endfor %}
from averages
