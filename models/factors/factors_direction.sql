with

bars as (

    select
        *,
        abs(c - previous_c) as moved,
        abs(h - previous_l) as moved_up,
        abs(l - previous_h) as moved_down
    from {{ ref('int_bars') }}
    order by symbol, bar_number

),

{{ rolling('paths', 'bars', [10, 20, 60], sum=['moved'], max=['h']) }},

{{ rolling('vortices', 'paths', [14], sum=['moved_up', 'moved_down', 'tr']) }},

-- Aroon looks at today and the 25 bars before.
{{ rolling('extremes', 'vortices', [26], age=['h', 'l']) }}

select
    symbol,
    trade_date,
    moved_up_sum_14 / nullif(tr_sum_14, 0) as vortex_plus_14,
    moved_down_sum_14 / nullif(tr_sum_14, 0) as vortex_minus_14,
    100 * (25 - h_max_age_26) / 25 as aroon_up_25,
    100 * (25 - l_min_age_26) / 25 as aroon_down_25,
    {% for n in [20, 60] %}
    c / {{ ago('h_max_' ~ n, 1) }} - 1 as breakout_{{ n }},
    {% endfor %}
    {% for n in [10, 20, 60] %}
    abs(c - {{ ago('c', n) }}) / nullif(moved_sum_{{ n }}, 0) as efficiency_ratio_{{ n }}{{ ',' if not loop.last }}
    {% endfor %}
from extremes
