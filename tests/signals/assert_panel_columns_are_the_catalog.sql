{{ after_the_gate() }}

{% set panel = ref('factor_panel') %}

with

panel_columns as (

    select
        column_name,
        ordinal_position as place,
        data_type
    from information_schema.columns
    where
        table_catalog = '{{ panel.database }}'
        and table_schema = '{{ panel.schema }}'
        and table_name = '{{ panel.identifier }}'

),

expected as (

    select
        key_columns.column_name,
        key_columns.place,
        key_columns.data_type
    from (
        values
        ('symbol', 1, 'VARCHAR'),
        ('trade_date', 2, 'DATE'),
        ('as_of_date', 3, 'DATE'),
        ('pool', 4, 'VARCHAR')
    ) as key_columns (column_name, place, data_type)

    union all

    -- rowid is the order of the seed's lines. Rendered in full, because --empty would
    -- drop rowid.
    select
        factor_id as column_name,
        4 + row_number() over (order by rowid) as place,
        'DOUBLE' as data_type
    from {{ ref('factor_catalog').render() }}

)

select
    column_name,
    panel_columns.place,
    panel_columns.data_type,
    expected.place as expected_place,
    expected.data_type as expected_data_type
from panel_columns
full join expected
    using (column_name)
where
    panel_columns.place is distinct from expected.place
    or panel_columns.data_type is distinct from expected.data_type
