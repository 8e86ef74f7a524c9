{# Settings that come from a var on the command line, else the environment, else a default. #}

{% macro raw_root() -%}
    {{ var('raw_root', none) or env_var('ETF_RAW_ROOT', '') or 'raw' }}
{%- endmacro %}

{% macro as_of() -%}
    {% set value = (var('as_of', none) or env_var('ETF_AS_OF', '')) | string | trim %}
    {%- if value -%}
        {%- if not modules.re.fullmatch('[0-9]{4}-?(0[1-9]|1[0-2])-?(0[1-9]|[12][0-9]|3[01])', value) -%}
            {{ exceptions.raise_compiler_error("as_of is '" ~ value ~ "', which must be a date YYYY-MM-DD") }}
        {%- endif -%}
        {{- modules.datetime.date.fromisoformat(value) -}}
    {%- endif -%}
{%- endmacro %}

{% macro holdings_file() -%}
    {{ var('holdings_file', none) or env_var('ETF_HOLDINGS_FILE', '') }}
{%- endmacro %}

{% macro language() -%}
    {{ one_of('language', var('language', none) or env_var('ETF_LANGUAGE', '') or 'en', ['en', 'zh']) }}
{%- endmacro %}

{% macro fetch_after() -%}
    {% set value = env_var('ETF_FETCH_AFTER', '') | trim or '17:30' %}
    {%- if not modules.re.fullmatch('(1[5-9]|2[0-3]):[0-5][0-9]', value) -%}
        {{ exceptions.raise_compiler_error("ETF_FETCH_AFTER is '" ~ value ~ "', which must be a time HH:MM in Shanghai, 15:00 or later") }}
    {%- endif -%}
    {{- value -}}
{%- endmacro %}

{% macro universe() -%}
    {{ one_of('universe', var('universe', none) or env_var('ETF_UNIVERSE', '') or 'pools', ['pools', 'all']) }}
{%- endmacro %}

{% macro selected_pools() -%}
    {% set value = var('pools', none) or env_var('ETF_POOLS', '') %}
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

{# Whether a session of the calendar is one at whose open pools are rebalanced. #}
{% macro is_rebalance_session(calendar) -%}
    {% set rebalance = one_of('rebalance', var('rebalance'), ['monthly', 'weekly', 'daily']) -%}
    {{ {'monthly': calendar ~ '.is_first_of_month', 'weekly': calendar ~ '.is_first_of_week', 'daily': 'true'}[rebalance] }}
    {%- if var('backtest_start') %}
    and {{ calendar }}.trade_date >= cast('{{ modules.datetime.date.fromisoformat(var("backtest_start") | string) }}' as date)
    {%- endif %}
{%- endmacro %}

{# The bound of the cumulative adjustment factor, and with 1 over it the lower one. #}
{% macro largest_adj() -%}
    1e4
{%- endmacro %}
