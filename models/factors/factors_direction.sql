with

bars as (

    select
        *,
        abs(c - previous_c) as moved,
        abs(h - previous_l) as moved_up,
        abs(l - previous_h) as moved_down,
        case
            when h - previous_h > 0 and h - previous_h > previous_l - l then h - previous_h
            when bar_number > 1 then 0
        end as plus_dm,
        case
            when previous_l - l > 0 and previous_l - l > h - previous_h then previous_l - l
            when bar_number > 1 then 0
        end as minus_dm
    from {{ ref('int_bars') }}

),

{{ rolling('paths', 'bars', [10, 20, 60], sum=['moved'], max=['h']) }},

{{ rolling('vortices', 'paths', [13, 14], sum=['moved_up', 'moved_down', 'tr', 'plus_dm', 'minus_dm']) }},

-- Aroon uses 26 bars: this one and the 25 before it.
{{ rolling('extremes', 'vortices', [26], since_extreme=['h', 'l']) }},

{{ smoothing('movements', 'extremes', [
    wilder_sum_state('plus_dm_14', 'plus_dm', 14),
    wilder_sum_state('minus_dm_14', 'minus_dm', 14),
    wilder_sum_state('tr_14', 'tr', 14),
]) }},

directions as (

    select
        *,
        -- TA-Lib returns 0 if there is no range.
        case when bar_number < 15 then null when tr_14 <= 1e-14 then 0.0 else 100 * plus_dm_14 / tr_14 end as plus_di_14,
        case when bar_number < 15 then null when tr_14 <= 1e-14 then 0.0 else 100 * minus_dm_14 / tr_14 end as minus_di_14,
        {% for n in [20, 60] %}
        c / {{ lag_bars('h_max_' ~ n, 1) }} - 1 as breakout_{{ n }},
        {% endfor %}
        {% for n in [10, 20, 60] %}
        c - {{ lag_bars('c', n) }} as moved_over_{{ n }}{{ ',' if not loop.last }}
        {% endfor %}
    from movements

),

-- The weights of KAMA and ADX vary by bar, so smoothing() cannot compute them.
weighed as (

    select
        *,
        100 * abs(plus_di_14 - minus_di_14)
        / case when plus_di_14 + minus_di_14 > 1e-14 then plus_di_14 + minus_di_14 end as dx_14,
        -- Kaufman's constant: the efficiency ratio interpolates between averages of 30
        -- and 2 bars.
        pow(
            case
                when moved_sum_10 <= moved_over_10 or moved_sum_10 <= 1e-14 then 1.0
                else abs(moved_over_10) / moved_sum_10
            end * (2.0 / 3 - 2.0 / 31) + 2.0 / 31,
            2
        ) as kama_constant
    from directions

),

links as (

    select
        *,
        case when bar_number > 10 then 1 - kama_constant else 0.0 end as kama_10_kept,
        case when bar_number > 10 then kama_constant * c when bar_number = 10 then c else 0.0 end as kama_10_added,
        -- The mean of the first 14 DX, then Wilder's average. A bar without direction
        -- is skipped.
        case
            when bar_number <= 15 then 0.0
            when bar_number < 28 then 1.0
            when bar_number = 28 then 1.0 / 14
            when dx_14 is null then 1.0
            else 13.0 / 14
        end as adx_14_kept,
        case
            when bar_number < 15 or dx_14 is null then 0.0
            when bar_number < 28 then dx_14
            else dx_14 / 14
        end as adx_14_added
    from weighed

),

{{ linear_recurrence('states', 'links', ['kama_10', 'adx_14']) }}

select
    bar_id,
    case when bar_number >= 28 then adx_14 end as adx_14,
    plus_di_14,
    minus_di_14,
    case when bar_number >= 11 then kama_10 end as kama_10,
    moved_up_sum_14 / nullif(tr_sum_14, 0) as vortex_plus_14,
    moved_down_sum_14 / nullif(tr_sum_14, 0) as vortex_minus_14,
    100 * (25 - h_since_max_26) / 25 as aroon_up_25,
    100 * (25 - l_since_min_26) / 25 as aroon_down_25,
    {% for n in [20, 60] %}
    breakout_{{ n }},
    {% endfor %}
    {% for n in [10, 20, 60] %}
    abs(moved_over_{{ n }}) / nullif(moved_sum_{{ n }}, 0) as efficiency_ratio_{{ n }}{{ ',' if not loop.last }}
    {% endfor %}
from states
