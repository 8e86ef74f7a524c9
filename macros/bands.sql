{% macro band_lengths() %}
    {{ return([10, 15, 20, 25, 30, 40, 50]) }}
{% endmacro %}


{#
    The band factors: 84 formulas of the 15 columns of int_bands. They are not stored, because a
    reader computes them faster than it would read them.
#}
{% macro band_factors() %}
    {% for n in band_lengths() %}
    {% set is_last = loop.last %}
    {% for k, multiple in [('1p5', 1.5), ('2p0', 2.0), ('2p5', 2.5)] %}
    bands.middle_{{ n }} + {{ multiple }} * bands.deviation_{{ n }} as bb_upper_{{ n }}_{{ k }},
    bands.middle_{{ n }} - {{ multiple }} * bands.deviation_{{ n }} as bb_lower_{{ n }}_{{ k }},
    2 * {{ multiple }} * bands.deviation_{{ n }} / bands.middle_{{ n }} as bb_width_{{ n }}_{{ k }},
    (bands.c - bands.middle_{{ n }}) / nullif(2 * {{ multiple }} * bands.deviation_{{ n }}, 0) + 0.5 as bb_percent_b_{{ n }}_{{ k }}
    {{- ',' if not (is_last and loop.last) }}
    {% endfor %}
    {% endfor %}
{% endmacro %}
