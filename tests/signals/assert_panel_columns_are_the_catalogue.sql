{% set panel = ref('factor_panel') %}

with

panel_columns as (

    select
        column_name,
        ordinal_position as position,
        data_type
    from information_schema.columns
    where
        table_catalog = '{{ panel.database }}'
        and table_schema = '{{ panel.schema }}'
        and table_name = '{{ panel.identifier }}'

),

expected as (

    select
        column_name,
        position,
        data_type
    from (
        values
        ('symbol', 1, 'VARCHAR'),
        ('trade_date', 2, 'DATE'),
        ('as_of_date', 3, 'DATE'),
        ('pool', 4, 'VARCHAR')
    ) as keys (column_name, position, data_type)

    union all

    -- The seed is loaded in the order of its lines.
    select
        factor_id as column_name,
        4 + row_number() over (order by rowid) as position,
        'DOUBLE' as data_type
    from {{ ref('factor_catalog') }}

)

select
    column_name,
    panel_columns.position,
    panel_columns.data_type,
    expected.position as expected_position,
    expected.data_type as expected_data_type
from panel_columns
full join expected
    using (column_name)
where
    panel_columns.position is distinct from expected.position
    or panel_columns.data_type is distinct from expected.data_type
