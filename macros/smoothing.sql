{#
    Exponentially weighted states by doubling, exact to the same bits whatever else is in the table.

    A state is s = seed on its seed bar and s = β · s[-1] + α · x after it. With f = seed on the
    seed bar, α · x after and 0 before, s is the sum of β^j · f[-j]; the sum over 2L bars follows
    from the sum over L bars here and L bars back. Terms below `cutoff` are dropped. The source
    must be sorted by symbol and bar_number, as for rolling(). docs/engine.md explains it.
#}

{# An average of TA-Lib: seeded with the mean of the first n values of x, which come on bar `first`.
   Needs x_sum_n. `span` is n + 1 for the exponential average (α = 2 / span), 2n for Wilder's. #}
{% macro averaged(id, x, n, first=1, span=none, cutoff=1e-13) %}
    {{ return({
        'id': id, 'x': x, 'seed_bar': first + n - 1, 'seed': x ~ '_sum_' ~ n ~ ' / ' ~ n,
        'alpha': 2 / (span or n + 1), 'beta': 1 - 2 / (span or n + 1), 'cutoff': cutoff,
    }) }}
{% endmacro %}

{# Wilder's sum: seeded with the sum of the first n - 1 values of x, then s - s / n + x. #}
{% macro accumulated(id, x, n, first=2) %}
    {{ return({
        'id': id, 'x': x, 'seed_bar': first + n - 2, 'seed': x ~ '_sum_' ~ (n - 1),
        'alpha': 1, 'beta': 1 - 1 / n, 'cutoff': 1e-21,
    }) }}
{% endmacro %}


{# CTEs that end in `name`: the columns of `source` and each state by its id, null before its seed bar. #}
{% macro smoothing(name, source, states) %}
    {{ name }}_1 as (
        select
            *
            {%- for state in states %},
            case
                when bar_number < {{ state.seed_bar }} then 0.0
                when bar_number = {{ state.seed_bar }} then {{ state.seed }}
                else {{ '%.17e' | format(state.alpha) }} * {{ state.x }}
            end as {{ name }}__{{ state.id }}_1
            {%- endfor %}
        from {{ source }}
    ),

    {% set reached = {} %}
    {% for state in states %}{% do reached.update({state.id: 1}) %}{% endfor %}
    {% set last = namespace(step=1) %}
    {% for power in range(14) %}
    {% set step = 2 ** power %}
    {% set going = [] %}
    {% for state in states if state.beta ** step >= state.cutoff %}{% do going.append(state) %}{% endfor %}
    {% if going %}
    {# A lag of 2,048 no longer streams: it is taken in hops. #}
    {% set hop = [step, 1024] | min %}
    {% for hopped in range(hop, step + 1, hop) %}
    {{ name }}_{{ step * 2 }}_{{ hopped }} as (
        select
            *
            {%- if hopped == hop %},
            case when bar_number > {{ step }} then 1.0::double else 0.0 end as {{ name }}__reach_{{ step }}
            {%- endif %}
            {%- for state in going %}
            {%- set s = name ~ '__' ~ state.id %},
            lag({{ s }}_{{ step if hopped == hop else (step * 2) ~ '_' ~ (hopped - hop) }}, {{ hop }}, 0.0) over () as {{ s }}_{{ step * 2 }}_{{ hopped }}
            {%- endfor %}
        from {{ name }}_{{ last.step }}
    ),
    {% set last.step = (step * 2) ~ '_' ~ hopped %}
    {% endfor %}

    {{ name }}_{{ step * 2 }} as (
        select
            *
            {%- for state in going %}
            {%- set s = name ~ '__' ~ state.id %},
            {{ s }}_{{ step }} + {{ '%.17e' | format(state.beta ** step) }} * {{ s }}_{{ step * 2 }}_{{ step }} * {{ name }}__reach_{{ step }} as {{ s }}_{{ step * 2 }}
            {%- do reached.update({state.id: step * 2}) %}
            {%- endfor %}
        from {{ name }}_{{ last.step }}
    ),
    {% set last.step = step * 2 %}
    {% endif %}
    {% endfor %}

    {{ name }} as (
        select
            columns(lambda x: not starts_with(x, '{{ name }}__'))
            {%- for state in states %},
            case when bar_number >= {{ state.seed_bar }} then {{ name }}__{{ state.id }}_{{ reached[state.id] }} end as {{ state.id }}
            {%- endfor %}
        from {{ name }}_{{ last.step }}
    )
{% endmacro %}
