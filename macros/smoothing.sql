{#
    The next value of a smoothed state in a recursion whose row before is `state` and whose bar is
    `bar`, as TA-Lib seeds it. `x` is the input on this bar and `first` the number of the bar on
    which it has its first value. The state is null before `first`, the running sum of x while it
    is being seeded, and valid from bar first + n - 1 on.
#}

{# Exponential average: the mean of the first n values, then prev + 2 / (n + 1) · (x - prev). #}
{% macro ema(state, x, n, first=1) -%}
    case
        when bar_number < {{ first }} then null
        when bar_number = {{ first }} then {{ x }}
        when bar_number < {{ first + n - 1 }} then {{ state }} + {{ x }}
        when bar_number = {{ first + n - 1 }} then ({{ state }} + {{ x }}) / {{ n }}
        else {{ state }} + 2.0 / {{ n + 1 }} * ({{ x }} - {{ state }})
    end
{%- endmacro %}

{# Wilder's average: the mean of the first n values, then (prev · (n - 1) + x) / n. #}
{% macro wilder(state, x, n, first=2) -%}
    case
        when bar_number < {{ first }} then null
        when bar_number = {{ first }} then {{ x }}
        when bar_number < {{ first + n - 1 }} then {{ state }} + {{ x }}
        when bar_number = {{ first + n - 1 }} then ({{ state }} + {{ x }}) / {{ n }}
        else ({{ state }} * {{ n - 1 }} + {{ x }}) / {{ n }}
    end
{%- endmacro %}

{# Wilder's sum: the sum of the first n - 1 values, then prev - prev / n + x. #}
{% macro wilder_sum(state, x, n, first=2) -%}
    case
        when bar_number < {{ first }} then null
        when bar_number = {{ first }} then {{ x }}
        when bar_number < {{ first + n - 1 }} then {{ state }} + {{ x }}
        else {{ state }} - {{ state }} / {{ n }} + {{ x }}
    end
{%- endmacro %}
