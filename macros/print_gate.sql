{# The result of the gate at the end of a build or test. Without a gate: the failures before it. #}
{% macro print_gate(gate_checks, gate_built, settings, metadata, gate_resolved) %}
{% if execute and flags.EMPTY and flags.WHICH == 'build' %}
    {% set text = '未判定：--empty 建出的表不含数据' if language() == 'zh' else 'not judged, for --empty builds tables without rows' %}
    {{ log('gate: ' ~ text, info=true) }}
{% elif execute and flags.WHICH in ['build', 'test'] %}
    {% set failed = results | selectattr('status', 'in', ['error', 'fail', 'runtime error']) | list %}
    {% set checks = load_relation(gate_checks) %}
    {% set built = load_relation(gate_built) %}
    {% set is_current = false %}
    {% if checks and built %}
        {% set is_current = run_query(gate_is_current(gate_built, settings)).rows[0][0] %}
    {% endif %}
    {% if is_current %}
        {% set message = 'message_zh' if language() == 'zh' else 'message' %}
        {# Warnings of the published build are folded, failures never. #}
        {% set is_standing = "status = 'warn' and since is not distinct from 'unchanged'" %}
        {% set rows = run_query(
            "select pool, check_name, status, " ~ message ~ " from " ~ checks ~ " where status <> 'pass' and not (" ~ is_standing ~ ") order by status, pool, check_name"
        ).rows %}
        {% for row in rows %}
            {{ log('gate  ' ~ '%-4s  %-9s  %-24s  %s' | format(row[2], row[0], row[1], row[3]), info=true) }}
        {% endfor %}
        {% set standing = run_query(
            "select check_name, string_agg(pool, ', ' order by pool), count(*) from " ~ checks ~ " where " ~ is_standing ~ " group by check_name order by check_name"
        ).rows %}
        {% if standing %}
            {% set named = [] %}
            {% for row in standing %}{% do named.append(row[0] ~ ' ' ~ row[1]) %}{% endfor %}
            {% set text = '%d 项警告与已发布的构建相同：%s' if language() == 'zh' else '%d warnings are unchanged since the published build: %s' %}
            {{ log('gate: ' ~ text | format(standing | sum(attribute=2), named | join('; ')), info=true) }}
        {% endif %}
        {{ print_resolved(gate_resolved) }}
        {% set counts = run_query(
            "select count(*), count(*) filter (status = 'fail'), count(*) filter (status = 'warn') from " ~ checks
        ).rows[0] %}
        {{ log('gate: %d checks, %d fail, %d warn' | format(counts[0], counts[1], counts[2]), info=true) }}
        {% if run_query("select is_synthetic from " ~ metadata).rows[0][0] %}
            {{ log('gate: SYNTHETIC DATA 合成数据: no number of this build is about a real fund', info=true) }}
        {% endif %}
    {% elif failed %}
        {% for result in failed %}
            {% set said = [result.message or 'failed'] %}
            {% if result.node.resource_type == 'test' and result.status == 'fail' %}
                {% for row in run_query('select * from (' ~ result.node.compiled_code ~ ') limit 3').rows %}
                    {% do said.append(row.values() | reject('none') | join(' ')) %}
                {% endfor %}
            {% endif %}
            {{ log('gate  fail  BUILD      %-24s  %s' | format(
                result.node.name, said | join('; ') | replace('\n', ' ') | trim
            ), info=true) }}
        {% endfor %}
        {{ log('gate: not judged, the build ended before it', info=true) }}
    {% endif %}
{% endif %}
{% endmacro %}

{# Findings that only the published build has. #}
{% macro print_resolved(gate_resolved) %}
{% set resolved = load_relation(gate_resolved) %}
{% if resolved %}
    {% set detail = 'detail_zh' if language() == 'zh' else 'detail' %}
    {% set rows = run_query(
        "select pool, check_name, concat_ws(' ', symbol, trade_date, " ~ detail ~ ") from " ~ resolved
    ).rows %}
    {% for row in rows[:5] %}
        {{ log('gate  ' ~ '%-4s  %-9s  %-24s  %s' | format('gone', row[0], row[1], row[2]), info=true) }}
    {% endfor %}
    {% if rows | length > 5 %}
        {% set text = '另有 %d 项已消除，见 gate.gate_resolved' if language() == 'zh' else '%d more are gone, see gate.gate_resolved' %}
        {{ log('gate: ' ~ text | format(rows | length - 5), info=true) }}
    {% endif %}
{% endif %}
{% endmacro %}
