{% set rsis = [6, 9, 12, 14, 20, 24, 30, 60] %}

with

bars as (

    select
        *,
        case when c > previous_c then c - previous_c when c <= previous_c then 0 end as gain,
        case when c < previous_c then previous_c - c when c >= previous_c then 0 end as loss
    from {{ ref('int_bars') }}

),

{{ rolling('windows', 'bars', rsis, sum=['gain', 'loss']) }},

{% set states = [] %}
{% for n in rsis %}
{% for x in ['gain', 'loss'] %}{% do states.append(ema_state(x ~ '_' ~ n, x, n, first=2, span=2 * n, cutoff=1e-21)) %}{% endfor %}
{% endfor %}
{{ smoothing('averages', 'windows', states) }}

select
    bar_id,
    {% for n in rsis %}
    -- TA-Lib returns 0 if nothing moved.
    case
        when gain_{{ n }} + loss_{{ n }} <= 1e-14 then 0.0
        else 100 * gain_{{ n }} / (gain_{{ n }} + loss_{{ n }})
    end as rsi_{{ n }},
    100 * gain_sum_{{ n }} / nullif(gain_sum_{{ n }} + loss_sum_{{ n }}, 0) as rsi_sma_{{ n }}{{ ',' if not loop.last }}
    {% endfor %}
from averages
