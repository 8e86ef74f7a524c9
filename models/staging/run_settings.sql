{# YAML reads a plain 2020-01-01 as a date, which JSON does not have. #}
{% set given_vars = {} %}
{% for name, value in (invocation_args_dict.vars or {}).items() %}
    {% do given_vars.update({name: value.isoformat() if value.isoformat is defined else value}) %}
{% endfor %}
{% set data_docs = env_var('ETF_DATA_DOCS', '') or (flags.TARGET_PATH or 'target') ~ '/gate_report' %}

select
    cast({{ var('duplicate_correlation') }} as double) as duplicate_correlation,
    cast({{ var('min_adv_cny') }} as double) as min_adv_cny,
    cast({{ var('impact_coefficient') }} as double) as impact_coefficient,
    cast({{ var('capacity_capitals') }} as double[]) as capacity_capitals,
    cast({{ var('sessions_per_year') }} as integer) as sessions_per_year,
    cast({{ var('risk_free_rate') }} as double) as risk_free_rate,
    cast({{ at_least_one('min_metrics_sessions') }} as integer) as min_metrics_sessions,
    nullif({{ sql_text(holdings_file()) }}, '') as holdings_file,
    {{ sql_text(raw_root()) }} as raw_root,
    -- The sample must not replace a folder that the user named: an empty one is an
    -- error.
    nullif({{ sql_text(in_project('sample') if raw_root() == in_project('raw')) }}, '') as sample_root,
    nullif('{{ as_of() }}', '') as as_of,
    cast({{ var('max_rows_per_file') }} as bigint) as max_rows_per_file,
    '{{ universe() }}' as universe,
    {{ sql_text(selected_pools() | join(',')) }} as selected_pools,
    -- The exchange's date and not as_of: a bar cannot be dated later.
    {% if var('today', none) %} cast('{{ var("today") }}' as date)
    {% else %} cast(now() at time zone 'Asia/Shanghai' as date)
    {% endif %} as today,
    -- The session ends at 15:00.
    {% if var('today', none) %} cast('{{ var("today") }}' as date)
    {% else %} cast(now() at time zone 'Asia/Shanghai' - interval 15 hours as date)
    {% endif %} as completed_until,
    -- Vendors deliver the bars some time after the close.
    {% if var('today', none) %} cast('{{ var("today") }}' as date)
    {% else %} cast(now() at time zone 'Asia/Shanghai' - interval '{{ fetch_after() }}' as date)
    {% endif %} as due_until,
    '{{ target.name }}' as target_name,
    {{ sql_text(invocation_args_dict.project_dir) }} as project_dir,
    {{ sql_text(published_database()) }} as published_database,
    {{ sql_text(in_project(data_docs)) }} as data_docs,
    {{ sql_text(given_vars | tojson) }} as given_vars,
    cast('{{ run_started_at }}' as timestamptz) as run_started_at
