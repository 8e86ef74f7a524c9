-- A row here stops the build before anything is computed: staging is made of the tested rows.
select
    table_name,
    expectation,
    column_name,
    details
from {{ ref('int_expectations__raw') }}
where is_blocking and not success
