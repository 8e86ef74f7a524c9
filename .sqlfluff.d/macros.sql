{# What the linter puts in place of the project's macros: it judges what is written in a model, not
   the thousands of lines that rolling() writes. #}
{% macro rolling(name, source) %}{% set _ = (varargs, kwargs) %}{{ name }} as (

    select * from {{ source }}

){% endmacro %}
{% macro smoothing(name, source) %}{% set _ = (varargs, kwargs) %}{{ name }} as (

    select * from {{ source }}

){% endmacro %}
{% macro ema_state(id) %}{% set _ = (varargs, kwargs) %}{{ id }}{% endmacro %}
{% macro wilder_sum_state(id) %}{% set _ = (varargs, kwargs) %}{{ id }}{% endmacro %}
{% macro lag_bars(x, n) %}{% set _ = (varargs, kwargs) %}lag({{ x }}, {{ n }}) over (){% endmacro %}
{% macro sd(x, n) %}{% set _ = (varargs, kwargs) %}sqrt({{ x }}_dev_{{ n }}){% endmacro %}
{% macro one_of(name, value, allowed) %}{% set _ = (varargs, kwargs) %}{{ allowed[0] }}{% endmacro %}
{% macro selected_pools() %}{% set _ = (varargs, kwargs) %}{% endmacro %}
{% macro universe() %}{% set _ = (varargs, kwargs) %}pools{% endmacro %}
{% macro largest_adj() %}{% set _ = (varargs, kwargs) %}1e4{% endmacro %}
{% macro raw_root() %}{% set _ = (varargs, kwargs) %}raw{% endmacro %}
{% macro as_of() %}{% set _ = (varargs, kwargs) %}{% endmacro %}
{% macro holdings_file() %}{% set _ = (varargs, kwargs) %}{% endmacro %}
{% macro is_rebalance_session(calendar, strategies) %}{% set _ = (varargs, kwargs) %}{{ calendar }}.is_first_of_month{% endmacro %}
{% macro backtest_start() %}{% set _ = (varargs, kwargs) %}2020-01-01{% endmacro %}
{% macro holdout_start() %}{% set _ = (varargs, kwargs) %}2020-01-01{% endmacro %}
{% macro after_the_gate() %}{% set _ = (varargs, kwargs) %}{% endmacro %}
{% macro is_beyond(value, direction, threshold) %}{% set _ = (varargs, kwargs) %}{{ value }} > {{ threshold }}{% endmacro %}
{% macro rank_sums(x, y) %}{% set _ = (varargs, kwargs) %}sum({{ x }}) as sum_x{% endmacro %}
{% macro rank_correlation() %}{% set _ = (varargs, kwargs) %}sum_x{% endmacro %}
{% macro gate_leaves() %}{% set _ = (varargs, kwargs) %}{% endmacro %}
{% macro gate_findings(status) %}{% set _ = (varargs, kwargs) %}select 1 as finding{% endmacro %}
{% macro running(aggregate) %}{% set _ = (varargs, kwargs) %}{{ aggregate }} over (){% endmacro %}
{% macro band_lengths() %}{{ return([10]) }}{% endmacro %}
{% macro band_factors() %}bands.middle_10 as bb_middle_10{% endmacro %}
{% macro linear_recurrence(name, source, ids) %}{{ name }} as (

    select * from {{ source }}

){% endmacro %}
{% macro at_least_one(name) %}1{% endmacro %}
{% macro fetch_after() %}17:30{% endmacro %}
{% macro exact_sum(x) %}{% set _ = (varargs, kwargs) %}sum({{ x }}){% endmacro %}
{% macro exact_mean(x) %}avg({{ x }}){% endmacro %}
{% macro scaled(x) %}cast({{ x }} as hugeint){% endmacro %}
{% macro unscaled(total) %}cast({{ total }} as double){% endmacro %}
{% macro limit_price(reference_close, price_limit, sign) %}{{ reference_close }} {{ sign }} {{ price_limit }}{% endmacro %}
{% macro sql_text(value) %}'{{ value }}'{% endmacro %}
{% macro percentile_ranks(values, catalog) %}select {{ values }}.* from {{ values }} inner join {{ catalog }} on {{ values }}.factor_id = {{ catalog }}.factor_id{% endmacro %}
