{% set macds = [(12, 26, 9), (16, 34, 7), (20, 42, 8), (5, 35, 5)] %}
{% set rsis = [6, 9, 12, 14, 20, 24, 30, 60] %}
{% set ranges = [5, 9, 10, 14, 20, 30, 60, 120] %}

with

bars as (

    select
        *,
        case when c > previous_c then c - previous_c when c <= previous_c then 0 end as gain,
        case when c < previous_c then previous_c - c when c >= previous_c then 0 end as loss,
        (h + l + c) / 3 as typical
    from {{ ref('int_bars') }}
    order by symbol, bar_number

),

{{ rolling('averages', 'bars', [5, 12, 16, 20, 26, 34, 35, 42], sum=['c']) }},

{{ rolling('moves', 'averages', rsis, sum=['gain', 'loss']) }},

{{ rolling('extremes', 'moves', ranges, min=['l'], max=['h']) }},

{{ rolling('typicals', 'extremes', [14, 20], sum=['typical']) }},

lines as (

    select
        *,
        {% for f, s, g in macds %}
        c_sum_{{ f }} / {{ f }} - c_sum_{{ s }} / {{ s }} as macd_sma_{{ f }}_{{ s }}_{{ g }},
        {% endfor %}
        {% for n in [5, 9, 14, 20] %}
        100 * (c - l_min_{{ n }}) / nullif(h_max_{{ n }} - l_min_{{ n }}, 0) as stoch_k_{{ n }},
        {% endfor %}
        {% for n in [14, 20] %}
        -- Deviations from a mean that moves: no doubling, but one lag a bar of the window.
        (
            abs(typical - typical_sum_{{ n }} / {{ n }})
            {% for age in range(1, n) %}
            + abs(lag(typical, {{ age }}) over () - typical_sum_{{ n }} / {{ n }})
            {% endfor %}
        ) / {{ n }} as typical_deviation_{{ n }}{{ ',' if not loop.last }}
        {% endfor %}
    from typicals

),

{% for f, s, g in macds %}
{{ rolling('signals_' ~ s, 'signals_' ~ macds[loop.index0 - 1][1] if not loop.first else 'lines', [g], sum=['macd_sma_' ~ f ~ '_' ~ s ~ '_' ~ g]) }},
{% endfor %}

{{ rolling('smoothed', 'signals_' ~ macds[-1][1], [3, 5], sum=['stoch_k_5', 'stoch_k_9', 'stoch_k_14', 'stoch_k_20']) }}

select
    symbol,
    trade_date,
    {% for f, s, g in macds %}
    {% set id = f ~ '_' ~ s ~ '_' ~ g %}
    macd_sma_{{ id }},
    macd_sma_{{ id }}_sum_{{ g }} / {{ g }} as macd_sma_signal_{{ id }},
    macd_sma_{{ id }} - macd_sma_{{ id }}_sum_{{ g }} / {{ g }} as macd_sma_hist_{{ id }},
    {% endfor %}
    {% for n in rsis %}
    100 * gain_sum_{{ n }} / nullif(gain_sum_{{ n }} + loss_sum_{{ n }}, 0) as rsi_sma_{{ n }},
    {% endfor %}
    {% for n in [5, 9, 14, 20] %}
    stoch_k_{{ n }},
    {% for m in [3, 5] %}
    stoch_k_{{ n }}_sum_{{ m }} / {{ m }} as stoch_d_{{ n }}_{{ m }},
    {% endfor %}
    {% endfor %}
    {% for n in [10, 30, 60, 120] %}
    (c - l_min_{{ n }}) / nullif(h_max_{{ n }} - l_min_{{ n }}, 0) as price_position_{{ n }},
    {% endfor %}
    {% for n in [14, 20] %}
    -- TA-Lib gives 0 where nothing deviates.
    case
        when typical_deviation_{{ n }} <= 1e-12 * typical_sum_{{ n }} / {{ n }} then 0.0
        else (typical - typical_sum_{{ n }} / {{ n }}) / (0.015 * typical_deviation_{{ n }})
    end as cci_{{ n }}{{ ',' if not loop.last }}
    {% endfor %}
from smoothed
