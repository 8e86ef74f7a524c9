{# The gate's result at the end of a build or test; where it was not built, what failed before it. #}
{% macro print_gate(gate_checks, gate_built, settings, metadata) %}
{% if execute and flags.WHICH in ['build', 'test'] %}
    {% set failed = results | selectattr('status', 'in', ['error', 'fail', 'runtime error']) | list %}
    {% set checks = load_relation(gate_checks) %}
    {% set built = load_relation(gate_built) %}
    {% set is_current = false %}
    {% if checks and built %}
        {% set is_current = run_query(gate_is_current(gate_built, settings)).rows[0][0] %}
    {% endif %}
    {% if is_current %}
        {% set message = 'message_zh' if language() == 'zh' else 'message' %}
        {% set rows = run_query(
            "select pool, check_name, status, " ~ message ~ " from " ~ checks ~ " where status <> 'pass' order by status, pool, check_name"
        ).rows %}
        {% for row in rows %}
            {{ log('gate  ' ~ '%-4s  %-9s  %-24s  %s' | format(row[2], row[0], row[1], row[3]), info=true) }}
        {% endfor %}
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
