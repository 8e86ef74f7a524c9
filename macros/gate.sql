{# Whether a value is beyond a threshold; the directions are those of the seed gate_thresholds. #}
{% macro is_beyond(value, direction, threshold) -%}
    case {{ direction }}
        when 'above' then {{ value }} > {{ threshold }}
        when 'at_least' then {{ value }} >= {{ threshold }}
        when 'below' then {{ value }} < {{ threshold }}
    end
{%- endmacro %}

{#
    Models that no other model reads. A test in tests/python keeps the list complete. The rankings are
    left out, so that an own one needs no line here: what is wrong with one stops int_rankings.
#}
{% macro gate_leaves() -%}
    {{ return([
        'capacity_curve',
        'excess_by_month',
        'extreme_months',
        'gate_resolved',
        'holdings',
        'int_gate_checks__built',
        'next_session_orders',
        'pool_capacity',
        'pool_metrics_summary',
        'rebalance_luck_summary',
        'return_distribution',
        'return_statistics',
        'rolling_metrics',
        'round_trip_summary',
        'strategy_comparison',
        'trading_by_period',
    ]) }}
{%- endmacro %}

{# Makes a test run after the gate, so that a failing test does not skip the gate. #}
{% macro after_the_gate() -%}
    {% do ref('int_gate_checks__built') %}
{%- endmacro %}

{#
    The checks with a status, as rows of a test. `dbt test` tests the last build, so a gate older than
    that build is a finding. A partial build without the gate has no findings.
#}
{% macro gate_findings(status) -%}
{% set gate_checks = ref('gate_checks') %}
{% set gate_built = ref('int_gate_checks__built') %}
{% set settings = ref('run_settings') %}
    select
        pool,
        check_name,
        message
    from {{ gate_checks }}
    where
        status = '{{ status }}'
        and {{ flags.WHICH != 'build' or 'model.etf_rotation.gate_checks' in selected_resources }}
{% if status == 'fail' and flags.WHICH != 'build' %}
    union all
    select
        'BUILD' as pool,
        'gate_checks' as check_name,
        'the last build ended before the gate; these checks are of an older one: run dbt build' as message
    where not coalesce(({{ gate_is_current(gate_built, settings) }}), false)
{% endif %}
{%- endmacro %}

{# True if no build started after the one that built gate_checks. #}
{% macro gate_is_current(gate_built, settings) -%}
    select built.run_started_at >= settings.run_started_at
    from {{ gate_built }} as built
    cross join {{ settings }} as settings
{%- endmacro %}
