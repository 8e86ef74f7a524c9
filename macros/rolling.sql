{#
    Rolling statistics by doubling, with the same bits whatever else is in the table.

    The statistics of n = p + q bars follow from those of the last p bars (this row) and of the q bars
    before them (the row p bars above), so each window costs one lag. A lag without partition and
    order streams. The source must therefore be in the order of int_bars and have bar_number. A window
    with a null is null. docs/engine.md explains it.
#}

{# Steps (n, p, q), each p and q being 1 or the n of an earlier step. #}
{% macro doubling_plan(windows) %}
    {% set plan = [] %}
    {% set have = [1] %}
    {% for window in windows | sort %}
        {% set wanted = [window] %}
        {% for _ in range(64) if wanted %}
            {% set n = wanted[-1] %}
            {% set below = have | select('lt', n) | list %}
            {% set splits = [] %}
            {% for p in below if n - p in have %}{% do splits.append(p) %}{% endfor %}
            {% if n in have %}
                {% do wanted.pop() %}
            {% elif splits %}
                {% do plan.append((n, splits | max, n - splits | max)) %}
                {% do have.append(n) %}
            {% elif below | max * 2 < n %}
                {% do wanted.append(below | max * 2) %}
            {% else %}
                {% do wanted.append(n - below | max) %}
            {% endif %}
        {% endfor %}
    {% endfor %}
    {{ return(plan) }}
{% endmacro %}


{# The mean of the last p bars minus the mean of the q bars before them. #}
{% macro mean_step(x, n, p, q) -%}
    ({{ x }}_sum_{{ p }} / {{ p }} - {{ x }}_sum_{{ n }}_old / {{ q }})
{%- endmacro %}


{#
    CTEs that end in `name`, with the columns of `source` and, for every window n:
        sum            x_sum_n        sum of x
        ssd            x_ssd_n        sum of squared deviations from the mean
        cov            x_y_cov_n      sum of products of the deviations of (x, y)
        index_cov      x_index_cov_n  sum of products of the deviations of x and of 0…n-1
        moments        x_m3_n, x_m4_n  sums of third and fourth powers of the deviations
        min, max       x_min_n, x_max_n
        drawdown       x_drawdown_n   the worst x_j / x_i - 1 with i ≤ j
        since_extreme  x_since_max_n, x_since_min_n  bars since the latest maximum, minimum
    (The columns of min, max, drawdown and since_extreme must not contain nulls.)
#}
{% macro rolling(name, source, windows, sum=[], ssd=[], cov=[], index_cov=[], moments=[], min=[], max=[], drawdown=[], since_extreme=[]) %}
    {% set w = name ~ '__' %}
    {% set ssds = (ssd + moments) | unique | list %}
    {% set sums = (sum + ssds + index_cov + cov | map('first') | list + cov | map('last') | list) | unique | list %}
    {% set mins = (min + drawdown + since_extreme) | unique | list %}
    {% set maxs = (max + drawdown + since_extreme) | unique | list %}
    {% set kept = [] %}
    {% for x in sums %}{% do kept.append((x ~ '_sum', x)) %}{% endfor %}
    {% for x in ssds %}{% do kept.append((x ~ '_ssd', x ~ ' * 0')) %}{% endfor %}
    {% for x, y in cov %}{% do kept.append((x ~ '_' ~ y ~ '_cov', x ~ ' * ' ~ y ~ ' * 0')) %}{% endfor %}
    {% for x in index_cov %}{% do kept.append((x ~ '_index_cov', x ~ ' * 0')) %}{% endfor %}
    {% for x in moments %}{% do kept.append((x ~ '_m3', x ~ ' * 0')) %}{% do kept.append((x ~ '_m4', x ~ ' * 0')) %}{% endfor %}
    {% for x in mins %}{% do kept.append((x ~ '_min', x)) %}{% endfor %}
    {% for x in maxs %}{% do kept.append((x ~ '_max', x)) %}{% endfor %}
    {% for x in drawdown %}{% do kept.append((x ~ '_drawdown', '0.0')) %}{% endfor %}
    {% for x in since_extreme %}{% do kept.append((x ~ '_since_max', '0')) %}{% do kept.append((x ~ '_since_min', '0')) %}{% endfor %}

    {{ name }}_1 as (
        select
            *
            {%- for column, start in kept %},
            {{ start }} as {{ name }}__{{ column }}_1
            {%- endfor %}
        from {{ source }}
    ),

    {% for n, p, q in doubling_plan(windows) %}
    {% set before = 1 if loop.first else loop.previtem[0] %}
    {{ name }}_{{ n }}_old as (
        select
            *
            {%- for column, _ in kept %},
            lag({{ w ~ column }}_{{ q }}, {{ p }}) over () as {{ w ~ column }}_{{ n }}_old
            {%- endfor %}
        from {{ name }}_{{ before }}
    ),

    {{ name }}_{{ n }} as (
        select
            *{% if kept %} exclude (
                {%- for column, _ in kept %}{{ w ~ column }}_{{ n }}_old{{ ', ' if not loop.last }}{% endfor -%}
            ){% endif %}
            {%- for x in sums %},
            {{ w ~ x }}_sum_{{ p }} + {{ w ~ x }}_sum_{{ n }}_old as {{ w ~ x }}_sum_{{ n }}
            {%- endfor %}
            {%- for x in ssds %},
            {{ w ~ x }}_ssd_{{ p }} + {{ w ~ x }}_ssd_{{ n }}_old
            + {{ mean_step(w ~ x, n, p, q) }} * {{ mean_step(w ~ x, n, p, q) }} * {{ p * q }} / {{ n }} as {{ w ~ x }}_ssd_{{ n }}
            {%- endfor %}
            {%- for x, y in cov %}{% set xy = x ~ '_' ~ y ~ '_cov' %},
            {{ w ~ xy }}_{{ p }} + {{ w ~ xy }}_{{ n }}_old
            + {{ mean_step(w ~ x, n, p, q) }} * {{ mean_step(w ~ y, n, p, q) }} * {{ p * q }} / {{ n }} as {{ w ~ xy }}_{{ n }}
            {%- endfor %}
            {%- for x in index_cov %},
            {{ w ~ x }}_index_cov_{{ p }} + {{ w ~ x }}_index_cov_{{ n }}_old
            + {{ mean_step(w ~ x, n, p, q) }} * {{ p * q }} / 2 as {{ w ~ x }}_index_cov_{{ n }}
            {%- endfor %}
            {%- for x in moments %}{% set d = mean_step(w ~ x, n, p, q) %},
            {{ w ~ x }}_m3_{{ p }} + {{ w ~ x }}_m3_{{ n }}_old
            + {{ d }} * {{ d }} * {{ d }} * {{ p * q * (q - p) }} / {{ n * n }}
            + 3 * {{ d }} * ({{ q }} * {{ w ~ x }}_ssd_{{ p }} - {{ p }} * {{ w ~ x }}_ssd_{{ n }}_old) / {{ n }}
                as {{ w ~ x }}_m3_{{ n }},
            {{ w ~ x }}_m4_{{ p }} + {{ w ~ x }}_m4_{{ n }}_old
            + {{ d }} * {{ d }} * ({{ d }} * {{ d }}) * {{ p * q * (p * p - p * q + q * q) }} / {{ n * n * n }}
            + 6 * ({{ d }} * {{ d }}) * ({{ q * q }} * {{ w ~ x }}_ssd_{{ p }} + {{ p * p }} * {{ w ~ x }}_ssd_{{ n }}_old) / {{ n * n }}
            + 4 * {{ d }} * ({{ q }} * {{ w ~ x }}_m3_{{ p }} - {{ p }} * {{ w ~ x }}_m3_{{ n }}_old) / {{ n }}
                as {{ w ~ x }}_m4_{{ n }}
            {%- endfor %}
            {%- for x in mins %},
            least({{ w ~ x }}_min_{{ p }}, {{ w ~ x }}_min_{{ n }}_old) as {{ w ~ x }}_min_{{ n }}
            {%- endfor %}
            {%- for x in maxs %},
            greatest({{ w ~ x }}_max_{{ p }}, {{ w ~ x }}_max_{{ n }}_old) as {{ w ~ x }}_max_{{ n }}
            {%- endfor %}
            {%- for x in drawdown %},
            least(
                {{ w ~ x }}_drawdown_{{ p }},
                {{ w ~ x }}_drawdown_{{ n }}_old,
                {{ w ~ x }}_min_{{ p }} / {{ w ~ x }}_max_{{ n }}_old - 1
            ) as {{ w ~ x }}_drawdown_{{ n }}
            {%- endfor %}
            {%- for x in since_extreme %},
            case
                when {{ w ~ x }}_max_{{ p }} >= {{ w ~ x }}_max_{{ n }}_old then {{ w ~ x }}_since_max_{{ p }}
                else {{ w ~ x }}_since_max_{{ n }}_old + {{ p }}
            end as {{ w ~ x }}_since_max_{{ n }},
            case
                when {{ w ~ x }}_min_{{ p }} <= {{ w ~ x }}_min_{{ n }}_old then {{ w ~ x }}_since_min_{{ p }}
                else {{ w ~ x }}_since_min_{{ n }}_old + {{ p }}
            end as {{ w ~ x }}_since_min_{{ n }}
            {%- endfor %}
        from {{ name }}_{{ n }}_old
    ),

    {% if loop.last %}
    {{ name }}_full as (
        select
            *
            {%- for window in windows %},
            case when bar_number >= {{ window }} then 1.0::double end as {{ w }}full_{{ window }}
            {%- endfor %}
        from {{ name }}_{{ n }}
    ),

    {{ name }} as (
        select
            columns(lambda x: not starts_with(x, '{{ w }}'))
            {%- for window in windows %}
            {%- for column, _ in kept %},
            {{ w ~ column }}_{{ window }} * {{ w }}full_{{ window }} as {{ column }}_{{ window }}
            {%- endfor %}
            {%- endfor %}
        from {{ name }}_full
    )
    {%- endif %}
    {% endfor %}
{% endmacro %}


{# The value of `x` n bars earlier, null before the fund's first bar. #}
{% macro lag_bars(x, n) -%}
    case when bar_number > {{ n }} then lag({{ x }}, {{ n }}) over () end
{%- endmacro %}


{# An aggregate over all rows up to this one, across funds. It must be exact, such as an integer sum. #}
{% macro running(aggregate) -%}
    {{ aggregate }} over (rows unbounded preceding)
{%- endmacro %}


{#
    Standard deviation of x over n bars from x_sum_n and x_ssd_n. A value up to `zero` (a fraction of
    the mean, absolute for returns) is a rounding error of constant input and becomes exactly 0.
    Multiplying by 0 or 1 is faster than a case, which computes the root for each branch separately.
#}
{% macro sd(x, n, ddof=1, returns=false) -%}
    {% set root = 'sqrt(' ~ x ~ '_ssd_' ~ n ~ ' / ' ~ (n - ddof) ~ ')' %}
    {% set zero = '1e-15' if returns else '1e-12 * abs(' ~ x ~ '_sum_' ~ n ~ ' / ' ~ n ~ ')' %}
    ({{ root }} * cast({{ root }} > {{ zero }} as double))
{%- endmacro %}
