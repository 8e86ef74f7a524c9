-- The lag, recomputed from bars, calendar and families, apart from the model that lags: the panel's
-- row of each bar, under the session after it, and every value of that row.

{% set families = [
    'moving_averages', 'macd', 'rsi', 'regression', 'direction', 'oscillators', 'returns', 'bands',
    'true_range', 'volatility', 'volume', 'cross_section',
] %}
{% set panel = ref('factor_panel') %}
{% set columns = {} %}
{% for family in families %}
    {% set relation = ref('factors_' ~ family) %}
    {% set names = adapter.get_columns_in_relation(relation) | map(attribute='name') if execute else [] %}
    {% do columns.update({family: names | reject('in', ['symbol', 'trade_date']) | list}) %}
{% endfor %}

with

panel as (

    select * from {{ panel }}

),

bars as (

    select * from {{ ref('stg_etf_daily') }}

),

calendar as (

    select * from {{ ref('trading_calendar') }}

),

expected as (

    select
        bars.symbol,
        next_sessions.trade_date,
        bars.trade_date as as_of_date,
        bars.pool
    from bars
    inner join calendar
        on bars.trade_date = calendar.trade_date
    inner join calendar as next_sessions
        on calendar.session_number + 1 = next_sessions.session_number

),

faults as (

    select
        symbol,
        trade_date,
        case
            when panel.symbol is null then 'no row'
            when expected.symbol is null then 'a row that no bar explains'
            else 'as_of_date or pool'
        end as differs
    from panel
    full join expected
        using (symbol, trade_date)
    where
        panel.as_of_date is distinct from expected.as_of_date
        or panel.pool is distinct from expected.pool
        or panel.symbol is null

    {% for family, names in columns.items() %}

    union all

    select
        panel.symbol,
        panel.trade_date,
        concat_ws(
            ', ',
            case when {{ family }}.symbol is null then 'no row in factors_{{ family }}' end
            {% for name in names %},
            case when panel.{{ name }} is distinct from {{ family }}.{{ name }} then '{{ name }}' end
            {% endfor %}
        ) as differs
    from panel
    left join {{ ref('factors_' ~ family) }} as {{ family }}
        on
            panel.symbol = {{ family }}.symbol
            and panel.as_of_date = {{ family }}.trade_date
    where
        {{ family }}.symbol is null
        {% for name in names %}
        or panel.{{ name }} is distinct from {{ family }}.{{ name }}
        {% endfor %}

    {% endfor %}

    union all

    select
        null as symbol,
        null as trade_date,
        column_name || ' is in the panel and in no family' as differs
    from information_schema.columns
    where
        table_catalog = '{{ panel.database }}'
        and table_schema = '{{ panel.schema }}'
        and table_name = '{{ panel.identifier }}'
        and column_name not in ('symbol', 'trade_date', 'as_of_date', 'pool')
        {% for names in columns.values() if names %}
        and column_name not in ('{{ names | join("', '") }}')
        {% endfor %}

)

select * from faults
