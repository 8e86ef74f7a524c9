-- Inputs of the Bollinger bands. band_factors() computes the factors from these
-- columns.

with

{{ rolling('windows', ref('int_bars'), band_lengths(), ssd=['c']) }}

select
    bar_id,
    c,
    {% for n in band_lengths() %}
    c_sum_{{ n }} / {{ n }} as middle_{{ n }},
    {{ sd('c', n, ddof=0) }} as deviation_{{ n }}{{ ',' if not loop.last }}
    {% endfor %}
from windows
