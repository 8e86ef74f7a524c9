{% set ranges = [7, 10, 14, 20, 30, 60] %}

with

bars as (

    select
        *,
        coalesce(tr, h - l) as tr_from_first
    from {{ ref('int_bars') }}

),

{{ rolling('windows', 'bars', ranges, sum=['tr', 'tr_from_first']) }},

{% set states = [] %}
{% for n in ranges %}{% do states.append(ema_state('atr_' ~ n, 'tr', n, first=2, span=2 * n)) %}{% endfor %}
{{ smoothing('averages', 'windows', states) }}

select
    bar_id,
    {% for n in ranges %}
    atr_{{ n }},
    tr_from_first_sum_{{ n }} / {{ n }} as atr_sma_{{ n }},
    {% endfor %}
    100 * atr_14 / c as natr_14
from averages
