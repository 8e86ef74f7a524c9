-- When gate_checks was last built: a build that ends before it leaves the table of an older one.
-- In a table of its own, for gate_checks is the same from one build of the same input to the next.
-- depends_on: {{ ref('gate_checks') }}

select
    cast('{{ run_started_at }}' as timestamptz) as run_started_at
