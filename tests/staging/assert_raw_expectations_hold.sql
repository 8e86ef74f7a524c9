-- A row here stops the build at once, because staging depends on this test.
select
    table_name,
    expectation,
    column_name,
    details
from {{ ref('int_expectations__raw') }}
where is_blocking and not success
