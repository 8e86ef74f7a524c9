{{ config(severity='error') }}

-- Waits for every model that nothing else waits for: it runs last and skips none.
{% for leaf in gate_leaves() %}
-- depends_on: {{ ref(leaf) }}
{% endfor %}

{{ gate_findings('fail') }}
