{#
    Exponentially weighted states by doubling, with the same bits whatever else is in the table.

    A state is s = seed on its first bar, and s = β · s[-1] + α · x on later bars. Let f be the seed on
    the first bar, α · x after it and 0 before it. Then s is the sum of β^j · f[-j]. The sum over 2L
    bars follows from the sums over L bars here and L bars above. Terms below `cutoff` are dropped.
    The source must be in the order of int_bars, as for rolling(). docs/engine.md explains it.
#}

{# An average as in TA-Lib. It starts with the mean of the first n values of x, which start on bar
   `first`. Needs x_sum_n. `span` is n + 1 for the exponential average (α = 2 / span), 2n for Wilder. #}
{% macro ema_state(id, x, n, first=1, span=none, cutoff=1e-13) %}
    {{ return({
        'id': id, 'x': x, 'seed_bar': first + n - 1, 'seed': x ~ '_sum_' ~ n ~ ' / ' ~ n,
        'alpha': 2 / (span or n + 1), 'beta': 1 - 2 / (span or n + 1), 'cutoff': cutoff,
    }) }}
{% endmacro %}

{# Wilder's sum: first the sum of the first n - 1 values of x, then s - s / n + x. #}
{% macro wilder_sum_state(id, x, n, first=2) %}
    {{ return({
        'id': id, 'x': x, 'seed_bar': first + n - 2, 'seed': x ~ '_sum_' ~ (n - 1),
        'alpha': 1, 'beta': 1 - 1 / n, 'cutoff': 1e-21,
    }) }}
{% endmacro %}


{# The value of `x` `step` rows above, 0 if there is no such row. A lag of 2,048 does not stream: a
   step above 1,024 needs the columns of lag_rows(…, step - 1024, …). #}
{% macro above(x, step) -%}
    lag({{ x ~ '_old' if step > 1024 else x }}, {{ [step, 1024] | min }}, 0.0) over ()
{%- endmacro %}

{# CTEs that end in `name`, with the columns of `source` and, for each of `xs`, x_old: its value `step`
   rows above, 0 if there is no such row. #}
{% macro lag_rows(name, source, step, xs) %}
    {% set hop = [step, 1024] | min %}
    {% for reached in range(hop, step + 1, hop) %}
    {{ name if reached == step else name ~ '_' ~ reached }} as (
        {%- if loop.first %}
        select
            *
            {%- for x in xs %},
            lag({{ x }}, {{ hop }}, 0.0) over () as {{ x }}_old
            {%- endfor %}
        from {{ source }}
        {%- else %}
        select
            * replace (
                {%- for x in xs %}
                lag({{ x }}_old, {{ hop }}, 0.0) over () as {{ x }}_old{{ ',' if not loop.last }}
                {%- endfor %}
            )
        from {{ name }}_{{ reached - hop }}
        {%- endif %}
    ),
    {% endfor %}
{% endmacro %}


{# CTEs that end in `name`, with the columns of `source` and each state under its id, null before its
   first bar. #}
{% macro smoothing(name, source, states) %}
    {{ name }}_1 as (
        select
            *
            {%- for state in states %},
            case
                when bar_number > {{ state.seed_bar }} then {{ '%.17e' | format(state.alpha) }} * {{ state.x }}
                when bar_number = {{ state.seed_bar }} then {{ state.seed }}
                else 0.0
            end as {{ name }}__{{ state.id }}
            {%- endfor %}
        from {{ source }}
    ),

    {% set last = namespace(step=1) %}
    {% for power in range(14) %}
    {% set step = 2 ** power %}
    {% set going = [] %}
    {% set moving = [] %}
    {% for state in states if state.beta ** step >= state.cutoff %}
    {% do going.append(state) %}
    {% do moving.append(name ~ '__' ~ state.id) %}
    {% endfor %}
    {% if going %}
    {% if step > 1024 %}
    {{ lag_rows(name ~ '_above_' ~ step, name ~ '_' ~ step, step - 1024, moving) }}
    {% endif %}

    {{ name }}_{{ step * 2 }} as (
        select
            *{% if step > 1024 %} exclude ({{ moving | join('_old, ') }}_old){% endif %} replace (
                {%- for state in going %}
                {%- set s = name ~ '__' ~ state.id %}
                {{ s }} + {{ above(s, step) }} * ({{ '%.17e' | format(state.beta ** step) }} * cast(bar_number > {{ step }} as double)) as {{ s }}{{ ',' if not loop.last }}
                {%- endfor %}
            )
        from {{ name }}{{ '_above' if step > 1024 }}_{{ step }}
    ),
    {% set last.step = step * 2 %}
    {% endif %}
    {% endfor %}

    {{ name }} as (
        select
            columns(lambda x: not starts_with(x, '{{ name }}__'))
            {%- for state in states %},
            case when bar_number >= {{ state.seed_bar }} then {{ name }}__{{ state.id }} end as {{ state.id }}
            {%- endfor %}
        from {{ name }}_{{ last.step }}
    )
{% endmacro %}


{#
    CTEs that end in `name`, with the columns of `source` and each state s = kept · s[-1] + added. The
    columns <id>_kept and <id>_added must not be null. Two steps combine into one: kept · kept[-1] and
    added + kept · added[-1]. Doubling reaches 8,192 steps. Up to the first bar kept is 0, so nothing
    from earlier bars or from the fund above remains.
#}
{% macro linear_recurrence(name, source, ids) %}
    {% set links = [] %}
    {% for id in ids %}{% do links.extend([id ~ '_kept', id ~ '_added']) %}{% endfor %}

    {% for power in range(13) %}
    {% set step = 2 ** power %}
    {% if step > 1024 %}
    {{ lag_rows(name ~ '_above_' ~ step, name ~ '_' ~ step, step - 1024, links) }}
    {% endif %}

    {{ name }}_{{ step * 2 }} as (
        select
            *{% if step > 1024 %} exclude ({{ links | join('_old, ') }}_old){% endif %} replace (
                {%- for id in ids %}
                {{ id }}_kept * {{ above(id ~ '_kept', step) }} as {{ id }}_kept,
                {{ id }}_added + {{ id }}_kept * {{ above(id ~ '_added', step) }} as {{ id }}_added{{ ',' if not loop.last }}
                {%- endfor %}
            )
        from {{ name ~ ('_above' if step > 1024 else '') ~ '_' ~ step if power else source }}
    ),
    {% endfor %}

    {{ name }} as (
        select
            * exclude ({{ links | join(', ') }})
            {%- for id in ids %},
            {{ id }}_added as {{ id }}
            {%- endfor %}
        from {{ name }}_{{ 2 ** 13 }}
    )
{% endmacro %}
