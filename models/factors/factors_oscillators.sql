{% set ranges = [5, 9, 10, 14, 20, 30, 60, 120] %}

with

bars as (

    select
        *,
        (h + l + c) / 3 as typical
    from {{ ref('int_bars') }}

),

{{ rolling('extremes', 'bars', ranges, min=['l'], max=['h']) }},

{{ rolling('typicals', 'extremes', [14, 20], sum=['typical']) }},

lines as (

    select
        *,
        {% for n in [5, 9, 14, 20] %}
        100 * (c - l_min_{{ n }}) / nullif(h_max_{{ n }} - l_min_{{ n }}, 0) as stoch_k_{{ n }},
        {% endfor %}
        {% for n in [14, 20] %}
        -- One lag per bar of the window: doubling does not work for deviations from a
        -- moving mean.
        (
            abs(typical - typical_sum_{{ n }} / {{ n }})
            {% for age in range(1, n) %}
            + abs(lag(typical, {{ age }}) over () - typical_sum_{{ n }} / {{ n }})
            {% endfor %}
        ) / {{ n }} as typical_deviation_{{ n }}{{ ',' if not loop.last }}
        {% endfor %}
    from typicals

),

{{ rolling('smoothed', 'lines', [3, 5], sum=['stoch_k_5', 'stoch_k_9', 'stoch_k_14', 'stoch_k_20']) }}

select
    bar_id,
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
    -- TA-Lib returns 0 if nothing deviates.
    case
        when typical_deviation_{{ n }} <= 1e-12 * typical_sum_{{ n }} / {{ n }} then 0.0
        else (typical - typical_sum_{{ n }} / {{ n }}) / (0.015 * typical_deviation_{{ n }})
    end as cci_{{ n }}{{ ',' if not loop.last }}
    {% endfor %}
from smoothed
