-- Build time of gate_checks. A build that stops earlier leaves the table of an older build. The
-- time has its own table, so that gate_checks is equal for equal input.
-- depends_on: {{ ref('gate_checks') }}

select
    cast('{{ run_started_at }}' as timestamptz) as run_started_at
