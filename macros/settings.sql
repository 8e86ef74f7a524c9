{#
    A setting: the var of the command line, else of dbt_project.yml, else ETF_<NAME> of the
    environment, else the default. settings.setting() repeats this order for the production command.
#}
{% macro setting(name, default='') -%}
    {{ return(var(name, none) or env_var('ETF_' ~ name | upper, '') or default) }}
{%- endmacro %}

{% macro raw_root() -%}
    {{ in_project(setting('raw_root', 'raw')) }}
{%- endmacro %}

{# A relative path starts in the project's folder and not in the working directory. #}
{% macro in_project(path) -%}
    {{ path if path.startswith('/') else invocation_args_dict.project_dir ~ '/' ~ path }}
{%- endmacro %}

{% macro as_of() -%}
    {% set value = setting('as_of') | string | trim %}
    {%- if value -%}
        {%- if not modules.re.fullmatch('[0-9]{4}-?(0[1-9]|1[0-2])-?(0[1-9]|[12][0-9]|3[01])', value) -%}
            {{ exceptions.raise_compiler_error("as_of is '" ~ value ~ "', which must be a date YYYY-MM-DD") }}
        {%- endif -%}
        {{- modules.datetime.date.fromisoformat(value) -}}
    {%- endif -%}
{%- endmacro %}

{% macro holdings_file() -%}
    {% set path = setting('holdings_file') %}
    {{- in_project(path) if path }}
{%- endmacro %}

{% macro language() -%}
    {{ one_of('language', setting('language', 'en'), ['en', 'zh']) }}
{%- endmacro %}

{% macro published_database() -%}
    {% set path = setting('published_database') %}
    {{- in_project(path) if path }}
{%- endmacro %}

{% macro fetch_after() -%}
    {% set value = env_var('ETF_FETCH_AFTER', '') | trim or '17:30' %}
    {%- if not modules.re.fullmatch('(1[5-9]|2[0-3]):[0-5][0-9]', value) -%}
        {{ exceptions.raise_compiler_error("ETF_FETCH_AFTER is '" ~ value ~ "', which must be a time HH:MM in Shanghai, 15:00 or later") }}
    {%- endif -%}
    {{- value -}}
{%- endmacro %}

{% macro universe() -%}
    {{ one_of('universe', setting('universe', 'pools'), ['pools', 'all']) }}
{%- endmacro %}

{% macro selected_pools() -%}
    {% set value = setting('pools') %}
    {%- if value is string -%}
        {% set value = value.split(',') | map('trim') | select | list %}
    {%- endif -%}
    {{ return(value) }}
{%- endmacro %}

{% macro one_of(name, value, allowed) -%}
    {% if value not in allowed %}
        {{ exceptions.raise_compiler_error("var " ~ name ~ " is '" ~ value ~ "', which must be one of: " ~ allowed | join(', ')) }}
    {% endif %}
    {{- value -}}
{%- endmacro %}

{% macro at_least_one(name) -%}
    {%- set value = var(name) -%}
    {%- if value is not integer or value < 1 -%}
        {{ exceptions.raise_compiler_error("var " ~ name ~ " is '" ~ value ~ "', which must be a whole number above 0") }}
    {%- endif -%}
    {{- value -}}
{%- endmacro %}

{#
    Whether a session of the calendar is one at whose open a tranche of a strategy is rebalanced: a
    given session of its month or week, or the last one of a shorter month or week.
#}
{% macro is_rebalance_session(calendar, strategies) -%}
    case {{ strategies }}.rebalance
        when 'monthly'
            then {{ calendar }}.session_of_month = least(
                ({{ strategies }}.rebalance_offset + 5 * {{ strategies }}.tranche) % 20,
                {{ calendar }}.sessions_in_month - 1
            )
        when 'weekly'
            then {{ calendar }}.session_of_week = least(
                ({{ strategies }}.rebalance_offset + {{ strategies }}.tranche) % 5,
                {{ calendar }}.sessions_in_week - 1
            )
        else true
    end
    {%- if backtest_start() %}
    and {{ calendar }}.trade_date >= cast('{{ backtest_start() }}' as date)
    {%- endif %}
{%- endmacro %}

{# The upper bound of the cumulative adjustment factor; the lower bound is its inverse. #}
{% macro largest_adj() -%}
    1e4
{%- endmacro %}

{# No rebalance happens before this date, YYYY-MM-DD; empty if unset. #}
{% macro backtest_start() -%}
    {%- if var('backtest_start') -%}
        {{- modules.datetime.date.fromisoformat(var('backtest_start') | string) -}}
    {%- endif -%}
{%- endmacro %}

{# The first session of the holdout, which no rule was chosen on, YYYY-MM-DD; empty if unset. #}
{% macro holdout_start() -%}
    {%- if var('holdout_start') -%}
        {{- modules.datetime.date.fromisoformat(var('holdout_start') | string) -}}
    {%- endif -%}
{%- endmacro %}
