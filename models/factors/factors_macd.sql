{% set macds = [(12, 26, 9), (16, 34, 7), (20, 42, 8), (5, 35, 5)] %}

with

bars as (

    select
        bar_id,
        bar_number,
        c
    from {{ ref('int_bars') }}

),

{{ rolling('windows', 'bars', [5, 12, 15, 16, 20, 26, 34, 35, 42], sum=['c']) }},

{% set states = [ema_state('ema_15', 'c', 15, cutoff=1e-17)] %}
{% for f, s, g in macds %}
{# TA-Lib seeds both averages on the slow one's bar, so that the fast one starts late. #}
{% do states.append(ema_state('fast_' ~ s, 'c', f, first=s - f + 1, cutoff=1e-17)) %}
{% do states.append(ema_state('slow_' ~ s, 'c', s, cutoff=1e-17)) %}
{% endfor %}
{{ smoothing('averages', 'windows', states) }},

lines as (

    select
        *,
        {% for f, s, g in macds %}
        fast_{{ s }} - slow_{{ s }} as macd_{{ s }},
        c_sum_{{ f }} / {{ f }} - c_sum_{{ s }} / {{ s }} as macd_sma_{{ s }}{{ ',' if not loop.last }}
        {% endfor %}
    from averages

),

{% for f, s, g in macds %}
{{ rolling('lines_' ~ s, 'lines' if loop.first else 'lines_' ~ loop.previtem[1], [g], sum=['macd_' ~ s, 'macd_sma_' ~ s]) }},
{% endfor %}

{{ rolling('ema_windows', 'lines_' ~ macds[-1][1], [15], sum=['ema_15']) }},

{% set states = [ema_state('ema_ema_15', 'ema_15', 15, first=15, cutoff=1e-17)] %}
{% for f, s, g in macds %}{% do states.append(ema_state('signal_' ~ s, 'macd_' ~ s, g, first=s, cutoff=1e-17)) %}{% endfor %}
{{ smoothing('signals', 'ema_windows', states) }},

{{ rolling('ema_ema_windows', 'signals', [15], sum=['ema_ema_15']) }},

{{ smoothing('triples', 'ema_ema_windows', [ema_state('ema_ema_ema_15', 'ema_ema_15', 15, first=29, cutoff=1e-17)]) }}

select
    bar_id,
    100 * (ema_ema_ema_15 / {{ lag_bars('ema_ema_ema_15', 1) }} - 1) as trix_15,
    {% for f, s, g in macds %}
    {% set id = f ~ '_' ~ s ~ '_' ~ g %}
    -- As in TA-Lib, the line is null until its signal exists.
    case when signal_{{ s }} is not null then macd_{{ s }} end as macd_{{ id }},
    signal_{{ s }} as macd_signal_{{ id }},
    macd_{{ s }} - signal_{{ s }} as macd_hist_{{ id }},
    macd_sma_{{ s }} as macd_sma_{{ id }},
    macd_sma_{{ s }}_sum_{{ g }} / {{ g }} as macd_sma_signal_{{ id }},
    macd_sma_{{ s }} - macd_sma_{{ s }}_sum_{{ g }} / {{ g }} as macd_sma_hist_{{ id }}{{ ',' if not loop.last }}
    {% endfor %}
from triples
