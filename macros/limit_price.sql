{#
    The limit price of the session: `sign` is + for limit up, - for limit down. Decimals, because a
    double that misses a half tick by its last bits rounds the wrong way.
#}
{% macro limit_price(reference_close, price_limit, sign) -%}
    cast(round(cast({{ reference_close }} as decimal(18, 3)) * (1 {{ sign }} {{ price_limit }}), 3) as double)
{%- endmacro %}
