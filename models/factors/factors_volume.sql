with

bars as (

    select
        *,
        (h + l + c) / 3 as typical,
        (previous_h + previous_l + previous_c) / 3 as previous_typical,
        v / nullif({{ lag_bars('v', 1) }}, 0) - 1 as volume_r,
        case when r > 0 then v when r <= 0 then 0 end as volume_up,
        case when r < 0 then v when r >= 0 then 0 end as volume_down,
        case when h > l then v * ((c - l) - (h - c)) / (h - l) else 0 end as flow,
        abs(r) / nullif(a, 0) as illiquidity
    from {{ ref('int_bars') }}

),

money as (

    select
        *,
        -- A smaller change of the mean of three prices is a rounding error.
        case
            when typical - previous_typical > 1e-12 * typical then typical * v
            when previous_typical is not null then 0
        end as money_in,
        case
            when previous_typical - typical > 1e-12 * typical then typical * v
            when previous_typical is not null then 0
        end as money_out
    from bars

),

{{ rolling('flows', 'money', [14], sum=['money_in', 'money_out']) }},

{{ rolling(
    'volumes', 'flows', [5, 10, 20, 30],
    sum=['a'], ssd=['c', 'v', 'r', 'volume_r'], cov=[('c', 'v'), ('r', 'volume_r')]
) }},

{{ rolling('lines', 'volumes', [10], index_cov=['obv']) }},

{{ rolling('shares', 'lines', [20], sum=['volume_up', 'volume_down', 'flow', 'illiquidity']) }}
select
    bar_id,
    obv,
    -- TA-Lib returns 0 below one unit of money.
    case
        when money_in_sum_14 + money_out_sum_14 < 1 then 0.0
        else 100 * money_in_sum_14 / (money_in_sum_14 + money_out_sum_14)
    end as mfi_14,
    {% for n in [5, 10, 20, 30] %}
    v / nullif(v_sum_{{ n }} / {{ n }}, 0) as volume_ratio_{{ n }},
    {% endfor %}
    obv_index_cov_10 / {{ 10 * (10 * 10 - 1) / 12 }} / nullif(v_sum_20 / 20, 0) as obv_slope_10,
    volume_up_sum_20 / nullif(volume_down_sum_20, 0) as up_down_volume_ratio_20,
    flow_sum_20 / nullif(v_sum_20, 0) as cmf_20,
    c_v_cov_20
    / nullif({{ sd('c', 20) }} * {{ sd('v', 20) }} * 19, 0) as price_volume_corr_20,
    r_volume_r_cov_20
    / nullif({{ sd('r', 20, returns=true) }} * {{ sd('volume_r', 20, returns=true) }} * 19, 0)
        as return_volume_corr_20,
    illiquidity_sum_20 / 20 * 1e8 as amihud_20,
    (v - v_sum_20 / 20) / nullif({{ sd('v', 20) }}, 0) as volume_zscore_20,
    (a_sum_5 / 5) / nullif(a_sum_20 / 20, 0) as amount_ratio_5_20,
    c / nullif(a_sum_20 / nullif(v_sum_20, 0), 0) - 1 as vwap_bias_20
from shares
