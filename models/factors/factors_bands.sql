{% set bands = [10, 15, 20, 25, 30, 40, 50] %}

with

bars as (

    select * from {{ ref('int_bars') }}
    order by symbol, bar_number

),

{{ rolling('windows', 'bars', bands, dev=['c']) }},

deviations as (

    select
        *,
        {% for n in bands %}
        c_sum_{{ n }} / {{ n }} as middle_{{ n }},
        {{ sd('c', n, ddof=0) }} as psd_{{ n }}{{ ',' if not loop.last }}
        {% endfor %}
    from windows

)

select
    symbol,
    trade_date,
    {% for n in bands %}
    {% set last_band = loop.last %}
    {% for k, multiple in [('1p5', 1.5), ('2p0', 2.0), ('2p5', 2.5)] %}
    middle_{{ n }} + {{ multiple }} * psd_{{ n }} as bb_upper_{{ n }}_{{ k }},
    middle_{{ n }} - {{ multiple }} * psd_{{ n }} as bb_lower_{{ n }}_{{ k }},
    2 * {{ multiple }} * psd_{{ n }} / middle_{{ n }} as bb_width_{{ n }}_{{ k }},
    (c - middle_{{ n }}) / nullif(2 * {{ multiple }} * psd_{{ n }}, 0) + 0.5 as bb_percent_b_{{ n }}_{{ k }}{{ ',' if not (last_band and loop.last) }}
    {% endfor %}
    {% endfor %}
from deviations
