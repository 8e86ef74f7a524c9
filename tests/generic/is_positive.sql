{% test is_positive(model, columns) %}

select *
from {{ model }}
where
    {% for column in columns %}
    {{ 'or ' if not loop.first }}not coalesce({{ column }} > 0 and isfinite({{ column }}), true)
    {% endfor %}

{% endtest %}
