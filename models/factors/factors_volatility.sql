{% set volatilities = [5, 10, 20, 30, 60, 120] %}

with

bars as (

    select
        *,
        case when r < 0 then r * r when r >= 0 then 0.0 end as downside_square,
        pow(ln(h / l), 2) as range_square,
        0.5 * pow(ln(h / l), 2) - (2 * ln(2) - 1) * pow(ln(c / o), 2) as garman_klass
    from {{ ref('int_bars') }}

),

{{ rolling('returns', 'bars', volatilities, moments=['r'], sum=['downside_square']) }},

{{ rolling('estimators', 'returns', [20], sum=['range_square', 'garman_klass']) }},

deviations as (

    select
        *,
        {% for n in volatilities %}
        {{ sd('r', n, returns=true) }} as volatility_{{ n }}{{ ',' if not loop.last }}
        {% endfor %}
    from estimators

)

select
    bar_id,
    {% for n in volatilities %}
    volatility_{{ n }},
    {% endfor %}
    {% for n in [20, 60, 120] %}
    sqrt(252) * (r_sum_{{ n }} / {{ n }}) / nullif(volatility_{{ n }}, 0) as sharpe_{{ n }},
    {% endfor %}
    {% for n in [20, 60] %}
    sqrt(downside_square_sum_{{ n }} / {{ n }}) as downside_volatility_{{ n }},
    {% endfor %}
    volatility_20 / nullif(volatility_60, 0) as volatility_ratio_20_60,
    sqrt(range_square_sum_20 / 20 / (4 * ln(2))) as parkinson_volatility_20,
    sqrt(case when garman_klass_sum_20 >= 0 then garman_klass_sum_20 / 20 end) as garman_klass_volatility_20,
    {% for n in [20, 60] %}
    {{ (n * (n - 1)) ** 0.5 / (n - 2) }} * (r_m3_{{ n }} / {{ n }})
    / pow(case when volatility_{{ n }} > 0 then r_ssd_{{ n }} / {{ n }} end, 1.5) as skewness_{{ n }},
    {% endfor %}
    59 / (58.0 * 57) * (
        61 * (60 * r_m4_60 / pow(case when volatility_60 > 0 then r_ssd_60 end, 2) - 3) + 6
    ) as kurtosis_60
from deviations
