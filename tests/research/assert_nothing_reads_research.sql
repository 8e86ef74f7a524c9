-- Research looks ahead by design. A model outside its folder must not read it, because
-- it would trade on the future.

{% set readers = [] %}
{% if execute %}
    {% for node in graph.nodes.values() if node.resource_type == 'model' and node.fqn[1] != 'research' %}
        {% for parent_id in node.depends_on.nodes if graph.nodes[parent_id].fqn[1] == 'research' %}
            {% do readers.append((node.original_file_path, graph.nodes[parent_id].name)) %}
        {% endfor %}
        {# A relation named without ref leaves no edge in the manifest. #}
        {% for name in modules.re.findall('\\bresearch"?\."?\w+', node.raw_code | lower) %}
            {% do readers.append((node.original_file_path, name)) %}
        {% endfor %}
    {% endfor %}
{% endif %}

select
    cast(null as varchar) as reader,
    cast(null as varchar) as relation
where false
{% for reader, relation in readers %}
union all
select
    '{{ reader }}' as reader,
    {{ sql_text(relation) }} as relation
{% endfor %}
