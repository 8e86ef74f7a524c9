{#
    Exponentially weighted states by doubling, exact to the same bits whatever else is in the table.

    A state is s = seed on its seed bar and s = β · s[-1] + α · x after it. With f = seed on the
    seed bar, α · x after and 0 before, s is the sum of β^j · f[-j]; the sum over 2L bars follows
    from the sum over L bars here and L bars back. Terms below `cutoff` are dropped. The source
    must be in the order of int_bars, as for rolling(). docs/engine.md explains it.
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

    {# What is not needed any more is left behind: planning takes as long as the columns are many. #}
    {{ name }}_{{ step * 2 }} as (
        select
            * exclude (
                {{ name }}__reach_{{ step }}
                {%- for state in going %},
                {{ name }}__{{ state.id }}_{{ step }}
                {%- for hopped in range(hop, step + 1, hop) %}, {{ name }}__{{ state.id }}_{{ step * 2 }}_{{ hopped }}{% endfor %}
                {%- endfor %}
            )
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


{#
    CTEs that end in `name`: the columns of `source` and each state s = kept · s[-1] + added, from its
    columns <id>_kept and <id>_added, neither of them null. Two links in a row are one: kept · kept[-1]
    and added + kept · added[-1]; so are 2, 4, … 8,192. On the seed bar and above it kept is 0, and
    with it whatever is carried from farther back, the fund above included.
#}
{% macro carrying(name, source, ids) %}
    {{ name }}_1 as (
        select
            *
            {%- for id in ids %},
            {{ id }}_kept as {{ name }}__{{ id }}_kept_1,
            {{ id }}_added as {{ name }}__{{ id }}_added_1
            {%- endfor %}
        from {{ source }}
    ),

    {% set last = namespace(step=1) %}
    {% for power in range(13) %}
    {% set step = 2 ** power %}
    {% set hop = [step, 1024] | min %}
    {% for hopped in range(hop, step + 1, hop) %}
    {{ name }}_{{ step * 2 }}_{{ hopped }} as (
        select
            *
            {%- for id in ids %}{% for part in ['kept', 'added'] %}
            {%- set x = name ~ '__' ~ id ~ '_' ~ part %},
            lag({{ x }}_{{ step if hopped == hop else (step * 2) ~ '_' ~ (hopped - hop) }}, {{ hop }}, 0.0) over () as {{ x }}_{{ step * 2 }}_{{ hopped }}
            {%- endfor %}{% endfor %}
        from {{ name }}_{{ last.step }}
    ),
    {% set last.step = (step * 2) ~ '_' ~ hopped %}
    {% endfor %}

    {{ name }}_{{ step * 2 }} as (
        select
            * exclude (
                {%- for id in ids %}{% for part in ['kept', 'added'] %}
                {%- set x = name ~ '__' ~ id ~ '_' ~ part -%}
                {{ x }}_{{ step }}{% for hopped in range(hop, step + 1, hop) %}, {{ x }}_{{ step * 2 }}_{{ hopped }}{% endfor %}{{ ', ' if not loop.last }}
                {%- endfor %}{{ ', ' if not loop.last }}{% endfor -%}
            )
            {%- for id in ids %}{% set x = name ~ '__' ~ id %},
            {{ x }}_kept_{{ step }} * {{ x }}_kept_{{ step * 2 }}_{{ step }} as {{ x }}_kept_{{ step * 2 }},
            {{ x }}_added_{{ step }} + {{ x }}_kept_{{ step }} * {{ x }}_added_{{ step * 2 }}_{{ step }} as {{ x }}_added_{{ step * 2 }}
            {%- endfor %}
        from {{ name }}_{{ last.step }}
    ),
    {% set last.step = step * 2 %}
    {% endfor %}

    {{ name }} as (
        select
            columns(lambda x: not starts_with(x, '{{ name }}__'))
            {%- for id in ids %},
            {{ name }}__{{ id }}_added_{{ last.step }} as {{ id }}
            {%- endfor %}
        from {{ name }}_{{ last.step }}
    )
{% endmacro %}
