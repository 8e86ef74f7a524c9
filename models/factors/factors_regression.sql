{% set lines = [20, 25, 60, 120] %}

with

bars as (

    select
        *,
        ln(c) as ln_c
    from {{ ref('int_bars') }}

),

{{ rolling('lines', 'bars', lines, ssd=['ln_c'], index_cov=['ln_c']) }},

{{ rolling('ranges', 'lines', [18], ssd=['l'], cov=[('h', 'l')]) }},

betas as (

    select
        *,
        {% for n in lines %}
        -- Least squares on 0…n-1. The squared deviations of 0…n-1 sum to n(n² - 1) / 12.
        case
            when {{ sd('ln_c', n, ddof=0) }} = 0 then 0.0
            else ln_c_index_cov_{{ n }} / {{ n * (n * n - 1) / 12 }}
        end as slope_{{ n }},
        pow(ln_c_index_cov_{{ n }}, 2) / {{ n * (n * n - 1) / 12 }}
        / case when {{ sd('ln_c', n, ddof=0) }} > 0 then ln_c_ssd_{{ n }} end as r2_{{ n }},
        {% endfor %}
        h_l_cov_18 / case when {{ sd('l', 18) }} > 0 then l_ssd_18 end as rsrs_beta_18
    from ranges

),

{{ rolling('scores', 'betas', [250], ssd=['rsrs_beta_18']) }}

select
    bar_id,
    {% for n in [20, 60, 120] %}
    slope_{{ n }},
    r2_{{ n }},
    {% endfor %}
    {% for n in [20, 25, 60] %}
    (exp(252 * slope_{{ n }}) - 1) * r2_{{ n }} as momentum_score_{{ n }},
    {% endfor %}
    rsrs_beta_18,
    (rsrs_beta_18 - rsrs_beta_18_sum_250 / 250)
    / nullif({{ sd('rsrs_beta_18', 250) }}, 0) as rsrs_zscore_18_250
from scores
